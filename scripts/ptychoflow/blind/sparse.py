"""Scans whose frames overlap little: object and probe by least squares together.

Steps on object and probe find at once what a frame and its neighbours tell. What only chains of frames tell, as phases
that drift over the field of a sparse scan, they find very slowly. Conjugate gradients on the linearised model find that
in a few (Gauss-Newton, as in Yeh et al., Opt. Express 23, 33214, 2015). Frames that were left out judge how much of
such a step is made.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ptychoflow.blind.judged import judged_step
from ptychoflow.models.blind_state import BlindState, photons_per_pixel
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.linearised import LEAST_PHOTONS, LinearisedScan, least_squares

FEW_FRAMES = 4.0
"""That light a pixel as bright as a probe's brightest: where there are more, steps alone find the way."""
ALONE, ENOUGH_PHOTONS = 1.6, 100.0
"""Frames that light a pixel below which those that are fitted decide on steps, and photons on it from which they do."""
MOST_VALUES = 2**23
"""Of the waves of all frames, which are in memory several times over."""
CONJUGATE_GRADIENTS = 40
"""Of a step; with 5 and 10 slow phases remain, with 20 some of them until two steps later."""


def overlap_little(state: BlindState, frames: ScanFrames) -> bool:
    """Tell whether frames overlap so little that steps alone take long to find the way."""
    return frames_per_pixel(state, frames, incoherent_sum(state.probes[0]).amax()) < FEW_FRAMES


def lie_apart(probe: Tensor, frames: ScanFrames) -> bool:
    """Tell whether frames overlap little under a probe (modes, N, N) that is only a guess.

    A guess may have a focus that the beam has not: its width is that of its light on the whole, not of its peak.
    """
    return frames_per_pixel(BlindState.start(probe[None], (1, 1)), frames, typical_light(probe)) < FEW_FRAMES


def tell_by_themselves(state: BlindState, frames: ScanFrames) -> bool:
    """Tell whether frames hardly overlap, and hold photons enough to be believed without others.

    Frames that are left out see then what no other has lit: an image that is better where there is light is often worse
    for them. Where photons are few they still tell how far it follows noise.
    """
    photons = float(photons_per_pixel(state, frames)[0])
    return photons > ENOUGH_PHOTONS and frames_per_pixel(state, frames, typical_light(state.probes[0])) < ALONE


def typical_light(probe: Tensor) -> Tensor:
    """Intensity, a scalar, at which most of the light of a probe (modes, N, N) is."""
    intensity = incoherent_sum(probe)
    return intensity.square().sum() / intensity.sum()


def frames_per_pixel(state: BlindState, frames: ScanFrames, light: Tensor) -> float:
    """How many frames of the first scan light a pixel of its object, as brightly each as a scalar intensity says."""
    return float(photons_per_pixel(state, frames)[0] / (light * frames.scale[0] ** 2))


def judged_least_squares(
    state: BlindState,
    frames: ScanFrames,
    chosen: Tensor,
    deviance: Callable[[BlindState], float],
    before: float | None = None,
) -> tuple[BlindState, float]:
    """Make a Gauss-Newton step on object and probe together, or as much of it as helps the frames that judge.

    Parameters
    ----------
    state : BlindState
        Of one scan, after a pass.
    frames : ScanFrames
        All frames.
    chosen : Tensor
        (chosen,) int64, numbers of those that are fitted.
    deviance : callable
        Of the frames that judge, in a state.
    before : float, optional
        Deviance of the state, where it is known.

    Returns
    -------
    state : BlindState
        After the step, or as it was where they are explained worse.
    told : float
        Deviance of the state that comes out.
    """
    before = deviance(state) if before is None else before
    # A frame of twice the light is one of the mean light with half the background.
    amplitudes, positions = frames.subset(chosen)
    light = frames.light(chosen)
    light = torch.ones_like(positions[..., 0]) if light is None else light
    light = light[0][:, None, None]
    least = LEAST_PHOTONS / frames.scale**2
    counts = amplitudes[0].square() / light + least
    mask, dark = frames.mask[0, 0], state.background / light + least
    scan = LinearisedScan(
        state.objects[0], state.probes[0], positions[0], mask, frames.propagator, dark, whole_pixels=True
    )
    change = least_squares(scan, scan.residual(counts), CONJUGATE_GRADIENTS)

    def step(share: float) -> BlindState:
        objects, probes = state.objects + share * change.object, state.probes + share * change.probe
        return replace(state, objects=objects, probes=probes)

    return judged_step(step, state, deviance, before)
