"""What reconstructions do alike: learn, smooth and step as far as judges bear it, and stay in their place."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ptychoflow.blind.verdicts import Verdict
from ptychoflow.models.blind import Blind
from ptychoflow.models.blind_state import BlindState, doubt
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import centre_of, mix_modes, orthogonal_modes, with_power
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.physics.total_variation import smoothed

SMOOTHED_FROM = 0.5
"""Progress from which objects are smoothed: before, what is still to be found has no edges to keep."""
WORSE_AT_HOME = 0.01
"""Share by which frames may be explained worse where object and probe are moved by the fraction of a pixel."""
MOST_SMOOTHING = 20.0
"""Largest strength of smoothing in units of what a pixel may be wrong by."""
SHORTEST = 0.25
"""Share of a step below which no shorter one is tried."""


def judged_correction(
    network: Blind,
    state: BlindState,
    frames: ScanFrames,
    progress: float,
    gain: float,
    judge: Callable[[BlindState], Verdict],
) -> tuple[BlindState, float, float]:
    """Add as much of the learned correction as helps the frames that judge, by more than their noise may pretend.

    Where they are hardly explained at all they can judge nothing, and no correction is made. Nor is one while more than
    noise is left of them: what has been learned is how objects look, and it makes up for a wrong model in the object.

    Parameters
    ----------
    network : Blind
        Which has learned.
    state : BlindState
        After a pass.
    frames : ScanFrames
        All frames.
    progress : float
        0 at the beginning of a reconstruction, 1 at its end.
    gain : float
        Share of the correction that is tried.
    judge : callable
        What the frames that judge say of a state.

    Returns
    -------
    state : BlindState
        Corrected, or as it was.
    gain : float
        Share that is tried next: more where this one helped, at most 1, and half of it where it did not.
    told : float
        Deviance of the state that comes out.
    """
    before = judge(state)
    if before.misfits or not before.determined:
        return state, gain, before.mean
    corrected = network.corrected(state, gain * network.learned_change(state, frames, progress))
    after = judge(corrected)
    if after.clearly_better_than(before):
        return corrected, min(1.0, 1.5 * gain), after.mean
    return state, 0.5 * gain, before.mean


def smoothed_state(state: BlindState, frames: ScanFrames, strength: Tensor | float) -> BlindState:
    """Smooth the object; the strength, a number or (H, W), is in units of what a pixel may be wrong by."""
    return replace(state, objects=frames.call(smoothed, state.objects, strength * doubt(state, frames)))


def judged_smoothing(
    state: BlindState,
    frames: ScanFrames,
    strength: float,
    deviance: Callable[[BlindState], float],
    where: Tensor | float = 1.0,
    most: float | None = None,
) -> tuple[BlindState, float, float]:
    """Smooth the object as far as helps the frames that judge: what is noise explains none of them.

    Parameters
    ----------
    state : BlindState
        After a pass.
    frames : ScanFrames
        All frames.
    strength : float
        What is tried, in units of what a pixel may be wrong by.
    deviance : callable
        Of the frames that judge, in a state.
    where : Tensor or float
        (H, W) share of the strength.
    most : float, optional
        Deviance beyond which they are explained worse; that of the state if not given.

    Returns
    -------
    state : BlindState
        Smoothed so or twice as strongly, or as it was where they are explained worse.
    strength : float
        What is tried next: that which helped most, and half of it where neither did.
    told : float
        Deviance of the state that comes out, or `most` where it is as it was.
    """
    most = deviance(state) if most is None else most
    tried = {factor: smoothed_state(state, frames, factor * strength * where) for factor in (1.0, 2.0)}
    told = {factor: deviance(one) for factor, one in tried.items()}
    best = min(told, key=told.__getitem__)
    if told[best] <= most:
        return tried[best], min(MOST_SMOOTHING, best * strength), told[best]
    return state, 0.5 * strength, most


def judged_step(
    step: Callable[[float], BlindState], state: BlindState, deviance: Callable[[BlindState], float], before: float
) -> tuple[BlindState, float]:
    """Make a step, a half or a quarter of it: the largest that helps the frames that judge.

    Parameters
    ----------
    step : callable
        Gives the state after a share of the step.
    state : BlindState
        Before it.
    deviance : callable
        Of the frames that judge, in a state.
    before : float
        Deviance of the state.

    Returns
    -------
    state : BlindState
        After the step, or as it was where none of them helps.
    told : float
        Deviance of the state that comes out.
    """
    share = 1.0
    while share >= SHORTEST:
        tried = step(share)
        after = deviance(tried)
        if after < before:
            return tried, after
        share /= 2
    return state, before


def home_of(known: Tensor | None, photons: Tensor, propagator: Propagator) -> Tensor | None:
    """Where a probe belongs, (2,) (row, column) pixels: where the file has it, or else in the middle of its frame.

    None in a near field. There its frames tell where it is, and move with what object and probe move by together; a far
    field knows nothing of that.

    Parameters
    ----------
    known : Tensor, optional
        (modes, N, N) complex64, the file's probe.
    photons : Tensor
        () float, of a frame.
    propagator : Propagator
        Of exit waves.
    """
    if propagator.transfer is not None:
        return None
    # A start may have wandered while it was found.
    if known is None:
        return torch.zeros(2, device=photons.device)
    return centre_of(incoherent_sum(with_power(known, photons.to(known.device))))


def wandered(state: BlindState, home: Tensor | None) -> Tensor:
    """How far the first scan's probe, and its object with it, is from home (2,), (row, column) pixels; 0 for none."""
    if home is None:
        return state.light.new_zeros(2)
    size = state.probes.shape[-1]
    away = centre_of(state.probes.abs().square().sum(dim=1))[0] - home
    return away - size * (away / size).round()


def at_home(state: BlindState, home: Tensor | None) -> BlindState:
    """Move object and probe back by whole pixels when they have wandered off together."""
    whole = [-int(pixels) for pixels in wandered(state, home).round()]
    if not any(whole):
        return state
    names = ("objects", "probes", "object_momentum", "probe_momentum", "light")
    return replace(state, **{name: torch.roll(getattr(state, name), whole, dims=(-2, -1)) for name in names})


def object_at_home(state: BlindState, home: Tensor | None) -> Tensor:
    """Object (H, W) complex64 of the first scan, exactly at home."""
    return fourier_shift(state.objects[0], -wandered(state, home))


def probe_at_home(state: BlindState, home: Tensor | None) -> Tensor:
    """Probe (modes, N, N) complex64 of the first scan, orthogonal, exactly at home, in units of the frames' scale."""
    probes = mix_modes(state.probes, orthogonal_modes(state.probes))
    return fourier_shift(probes[0], -wandered(state, home))


def settled(state: BlindState, home: Tensor | None, deviance: Callable[[BlindState], float]) -> BlindState:
    """Move object and probe of a scan exactly home, unless frames are then explained worse; its modes orthogonal.

    Light that fills its frame comes in again at the other edge where it is moved by a fraction of a pixel. It is left
    where whole pixels have brought it then.

    Parameters
    ----------
    state : BlindState
        Of one scan.
    home : Tensor, optional
        (2,) where its probe belongs, (row, column) pixels; nowhere else than it is if not given.
    deviance : callable
        Of frames in a state.
    """
    there = replace(state, objects=object_at_home(state, home)[None], probes=probe_at_home(state, home)[None])
    if deviance(there) <= (1 + WORSE_AT_HOME) * deviance(state):
        return there
    near = at_home(state, home)
    return replace(near, probes=mix_modes(near.probes, orthogonal_modes(near.probes)))
