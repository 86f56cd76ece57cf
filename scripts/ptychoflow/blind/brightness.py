"""The light of each frame: a source that flickers or decays, a shutter that is not exact.

Photons do not tell all of it. Where the object is multiplied by exp(a · r) and the probe by exp(−a · x), x being the
distance from the middle of a frame, each exit wave is as before but for a factor of exp(a · r_k), which frames of
another brightness have too. So a brightness that falls exponentially over the field is taken out, with the mean: what
is found is as near to a steady source as photons allow.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ptychoflow.metrics.doubts import LARGEST_MISFIT
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.losses import expected_deviance, poisson_deviance

FRAMES_AT_ONCE = 256
OF_LIGHT = 0.5
"""Share of what an image leaves unexplained, from which on the light of single frames is said to be why."""
WORTH_SOLVING = 0.42
"""Mean of that share for frames that judge and for fitted ones, of whose light an image takes on something, from which
on their light is solved for. Half-way through the iterations light that flickers makes it 0.5 and more. Frames that
were repeated made it 0.35 at most, but some wedges, which tell little else, are beyond with other faults too."""
LEAST, MOST = 1e-2, 1e2
"""Of the mean brightness, that a frame has: in a dark one nothing tells how bright it would have to be."""


class LeftByLight(NamedTuple):
    """What frames leave unexplained for their light, which a model takes as steady.

    Parameters
    ----------
    share : float
        Of the deviance beyond that of a perfect model, at most 1; 0 where there is none beyond it.
    spread : float
        Standard deviation of the frames' light over its mean.
    misfit : float
        Deviance over that of a perfect model.
    """

    share: float
    spread: float
    misfit: float


def brightened(state: BlindState, frames: ScanFrames, fitted: Tensor) -> tuple[BlindState, Tensor]:
    """Brighten each frame as its own photons ask for, in gauge.

    Parameters
    ----------
    state : BlindState
        Of one scan.
    frames : ScanFrames
        All frames.
    fitted : Tensor
        (fitted,) int64, those whose brightness has a mean of 1 and does not fall over the field.

    Returns
    -------
    state : BlindState
        With what the gauge took out of the brightness.
    brightness : Tensor
        (1, frames) float.
    """
    everything = torch.arange(frames.positions.shape[1], device=state.objects.device)
    wanted = torch.cat([brightness_asked(state, frames, some) for some in everything.split(FRAMES_AT_ONCE)], dim=1)
    whole = wanted[:, fitted].mean().clamp_min(1e-12)
    logarithm = (wanted / whole).clamp(LEAST, MOST).log()[0]
    slope, middle = fall(logarithm[fitted], frames.positions[0, fitted])
    steady = (logarithm - (frames.positions[0] - middle) @ slope).exp()
    mean = steady[fitted].mean()
    on_object = _exponential(state.objects.shape[-2:], slope / 2, middle)
    size = frames.mask.shape[-1]
    on_probe = _exponential((size, size), -slope / 2, torch.full_like(middle, size // 2)) * (whole * mean).sqrt()
    state = replace(
        state,
        objects=state.objects * on_object,
        object_momentum=state.object_momentum * on_object,
        probes=state.probes * on_probe,
        probe_momentum=state.probe_momentum * on_probe,
    )
    return state, (steady / mean)[None]


def brightness_asked(state: BlindState, frames: ScanFrames, which: Tensor) -> Tensor:
    """Brightness (1, chosen) float that some frames (chosen,) int64 ask for under object and probe as they are.

    A step of expectation maximisation for Poisson counts n of b S + B (Richardson, J. Opt. Soc. Am. 62, 55, 1972):
    b is multiplied by Σ n S / (b S + B) over Σ S. Without a background B it is exact at once.
    """
    amplitudes, _ = frames.subset(which)
    modelled = frames.modelled(state.objects, state.probes, state.background, which)
    signal = torch.where(frames.mask, modelled - state.background[:, None, None, None], 0).clamp_min(0)
    asked = (amplitudes.square() * signal / modelled.clamp_min(1e-12)).sum(dim=(-2, -1))
    total, before = signal.sum(dim=(-2, -1)), frames.light(which)
    # Where the model has no light at all, photons say nothing of the source.
    step = torch.where(total > 0, asked / total.clamp_min(1e-12), 1)
    return step if before is None else before * step


def fall(logarithm: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Slope (2,) per pixel of values (frames,) over positions (frames, 2), by least squares, and the positions' mean.

    Along an axis that the positions do not spread over there is none.
    """
    middle = positions.mean(dim=0)
    away = positions - middle
    normal = away.mT @ away
    damping = 1e-6 * normal.diagonal().sum().clamp_min(1e-12)
    return torch.linalg.solve(normal + damping * torch.eye(2).to(normal), away.mT @ logarithm), middle


def _exponential(shape: tuple[int, int], slope: Tensor, middle: Tensor) -> Tensor:
    """exp(slope · (r − middle)), (H, W) float."""
    rows, columns = (
        torch.exp(slope[axis] * (torch.arange(length, device=slope.device) - middle[axis]))
        for axis, length in enumerate(shape)
    )
    return rows[:, None] * columns


def light_changes(judging: LeftByLight, fitted: LeftByLight) -> bool:
    """Whether frames that judge an image, and those that it was fitted to, are left unexplained for their light."""
    return judging.misfit > LARGEST_MISFIT and (judging.share + fitted.share) / 2 > WORTH_SOLVING


def left_by_light(photons: Iterable[tuple[Tensor, Tensor]], mask: Tensor) -> LeftByLight:
    """How much of what frames leave unexplained would be explained if each had as much light as it measured.

    Parameters
    ----------
    photons : iterable of tuple
        Modelled and measured photons of some frames at a time, (chosen, N, N) float both.
    mask : Tensor
        (N, N) bool, good pixels.
    """
    light, deviances, count = [], torch.zeros(3, dtype=torch.float64), 0
    for modelled, counts in photons:
        measured, told = (torch.where(mask, image, 0).sum(dim=(-2, -1)) for image in (counts, modelled))
        light.append(measured / told.clamp_min(1e-12))
        own = modelled * light[-1][:, None, None]
        found = poisson_deviance(modelled, counts, mask), poisson_deviance(own, counts, mask)
        deviances += len(counts) * torch.stack([*found, expected_deviance(modelled, mask)]).double().cpu()
        count += len(counts)
    steady, varying, perfect = (deviances / count).tolist()
    factors = torch.cat(light)
    spread = float(factors.std(correction=0) / factors.mean())
    share = min((steady - varying) / (steady - perfect), 1.0) if steady > perfect else 0.0
    return LeftByLight(share, spread, steady / max(perfect, 1e-12))
