"""The modes of a probe by themselves, under an object that stays: how much light each has, and what they look like.

Steps on object and modes together find both at a pace that grows with their light, so weak modes come to theirs slowly.
Some frames tell it at once; frames that were left out judge whether they are believed.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ptychoflow.blind.judged import judged_step
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.coherence import CoherenceFit
from ptychoflow.physics.gauge import mix_modes, orthogonal_modes
from ptychoflow.physics.mode_steps import ModeFit, patterns_of
from ptychoflow.physics.pieces import pieces

MOST_FRAMES, SHARE, FEWEST_FRAMES = 16, 0.1, 4
"""That tell the modes: at most, of all, and at least. More only take longer."""
ENOUGH_PIXELS = 2**16
"""Of those frames together, which have to be at least so many, where there are."""


def enough_frames(frames: int, size: int) -> int:
    """How many of some frames of size² pixels tell the modes of their probe."""
    least = max(FEWEST_FRAMES, ENOUGH_PIXELS // size**2)
    return min(frames, MOST_FRAMES, max(least, int(SHARE * frames)))


def judged_mixture(
    state: BlindState, frames: ScanFrames, chosen: Tensor, deviance: Callable[[BlindState], float]
) -> tuple[BlindState, float]:
    """Give the modes of the probe the light that frames tell at once, if it helps those that judge.

    Parameters
    ----------
    state : BlindState
        Of one scan, after a pass.
    frames : ScanFrames
        All frames.
    chosen : Tensor
        (chosen,) int64, numbers of those that tell.
    deviance : callable
        Of the frames that judge, in a state.

    Returns
    -------
    state : BlindState
        With the modes mixed so, or as it was where they are explained worse.
    told : float
        Deviance of the state that comes out.
    """
    fit = CoherenceFit(state.probes.shape[1])
    _feed(fit, state.probes[0], state, frames, chosen)
    mixture = fit.mixture()[None]
    probes = mix_modes(state.probes, mixture)
    mixture = orthogonal_modes(probes) @ mixture
    names = ("probes", "probe_momentum")
    mixed = replace(state, **{name: mix_modes(getattr(state, name), mixture) for name in names})
    before, after = deviance(state), deviance(mixed)
    return (mixed, after) if after <= before else (state, before)


def judged_modes(
    state: BlindState, frames: ScanFrames, chosen: Tensor, deviance: Callable[[BlindState], float], before: float
) -> tuple[BlindState, float]:
    """Make a Gauss-Newton step on the modes of the probe among a few patterns, or as much of it as helps the judges.

    Parameters are those of `judged_mixture`, and the deviance of the state.

    Returns
    -------
    state : BlindState
        After the step, its modes orthogonal, or as it was where the frames that judge are explained worse.
    told : float
        Deviance of the state that comes out.
    """
    patterns, fit = patterns_of(state.probes[0]), ModeFit(state.probes.shape[1])
    _feed(fit, patterns, state, frames, chosen)
    change = torch.einsum("mp,phw->mhw", fit.change(), patterns)

    def step(share: float) -> BlindState:
        probes = state.probes + share * change
        unitary = orthogonal_modes(probes)
        momentum = mix_modes(state.probe_momentum, unitary)
        return replace(state, probes=mix_modes(probes, unitary), probe_momentum=momentum)

    return judged_step(step, state, deviance, before)


def _feed(fit: CoherenceFit | ModeFit, patterns: Tensor, state: BlindState, frames: ScanFrames, chosen: Tensor) -> None:
    """Feed a fit with the waves that patterns (patterns, N, N) make of some frames (chosen,) int64."""
    # Each pattern is multiplied by each mode.
    for part in pieces(len(chosen), patterns, state.probes.shape[1]):
        some = chosen[part]
        amplitudes, _ = frames.subset(some)
        waves = frames.waves(state.objects, patterns[None], some)[0]
        fit.add(waves, amplitudes[0].square(), state.background[0], frames.mask[0, 0], frames.scale[0] ** 2)
