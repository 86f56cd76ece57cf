"""What measured amplitudes ask of the waves at the detector, and what they say of background, misfit and noise."""

import logging
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.steps import unbiased_ratio

log = logging.getLogger(__name__)
MANY = 1e9
"""Photons whose third power is a number yet, and whose noise that of infinitely many."""


class AskedWaves(NamedTuple):
    """Changes of waves, and sums over frames and good pixels beside them.

    Parameters
    ----------
    change : Tensor
        (batch, frames, modes, N, N) complex, what the waves are to change by.
    slope, curvature : Tensor
        (batch,) float, derivatives of the Poisson log-likelihood by the background, or 0.
    misfit : Tensor
        (batch,) float, Σ (√I − √n)².
    noise : Tensor
        (batch,) float, what photon noise alone would make of that.
    """

    change: Complex[Tensor, "batch frames modes N N"]
    slope: Float[Tensor, "batch"]
    curvature: Float[Tensor, "batch"]
    misfit: Float[Tensor, "batch"]
    noise: Float[Tensor, "batch"]


def ask_of_waves(
    waves: Complex[Tensor, "batch frames modes N N"],
    amplitudes: Float[Tensor, "#batch frames N N"],
    mask: Bool[Tensor, "#batch 1 N N"],
    dark: Float[Tensor, "batch"],
    scale: Float[Tensor, "#batch"],
    unbiased: bool,
    with_background: bool,
) -> AskedWaves:
    """Lead measured amplitudes back to the waves that ought to have them; the waves themselves are used up.

    Parameters
    ----------
    waves : Tensor
        (batch, frames, modes, N, N) complex, at the detector.
    amplitudes : Tensor
        (batch or 1, frames, N, N) float.
    mask : Tensor
        (batch or 1, 1, N, N) bool, True for good pixels.
    dark : Tensor
        (batch,) float, intensity in every pixel that is no diffraction, above 0.
    scale : Tensor
        (batch or 1,) float, whose square is the photons of a unit of intensity.
    unbiased : bool
        Whether few photons ask for no change on average, see `unbiased_ratio`.
    with_background : bool
        Whether slope and curvature are asked for.
    """
    if waves.device.type == "cuda" and waves.dtype == torch.complex64 and (fused := _fused()) is not None:
        change, sums = fused(waves, amplitudes, mask, dark, scale, unbiased, with_background, MANY)
        slope, curvature, misfit, noise = sums.unbind(-1)
        return AskedWaves(change, slope, curvature, misfit, noise / scale.square())
    intensity = incoherent_sum(waves).add_(dark[:, None, None, None])
    # Bad pixels by a factor: to choose value by value takes ten times as long.
    good, per_photon = mask.to(intensity.dtype), scale[:, None, None, None].square()
    photons, ratio = intensity * per_photon, intensity.rsqrt().mul_(amplitudes).sub_(1).mul_(good)
    misfit = ratio.square().mul_(intensity).sum(dim=(1, 2, 3))
    noise = (photon_noise(photons).sum(dim=1) * good[:, 0]).sum(dim=(1, 2)) / scale.square()
    slope = curvature = torch.zeros_like(misfit)
    if with_background:
        slope, curvature = _background_slopes(ratio, intensity, good, per_photon)
    asked = unbiased_ratio(ratio, photons) if unbiased else ratio
    return AskedWaves(waves.mul_(asked.unsqueeze(-3)), slope, curvature, misfit, noise)


@cache
def _fused() -> Callable[..., tuple[Tensor, Tensor]] | None:
    """The kernel that does the same, where Triton can compile it."""
    try:
        from ptychoflow.physics.asked_waves_fused import fused_sums

        frame, number = torch.ones(1, 1, 2, 2, device="cuda"), torch.ones(1, device="cuda")
        fused_sums(frame[:, :, None] + 0j, frame, frame > 0, number, number, True, False, MANY)
    except Exception as error:  # a missing Triton or compiler, a GPU that it does not know
        log.warning("steps on a GPU are made by torch, which takes longer than by Triton: %.200s", error)
        return None
    return fused_sums


def _background_slopes(ratio: Tensor, intensity: Tensor, good: Tensor, per_photon: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and curvature (batch,) of the log-likelihood by the background."""
    relative = ratio * (ratio + 2)  # n / I − 1
    # A dark pixel's photon says little of a background: a tenth of a photon bounds what it may ask for.
    inverse = (intensity + 0.1 / per_photon).reciprocal()
    weight = intensity * inverse
    asked = relative * weight
    return asked.sum(dim=(1, 2, 3)), torch.addcmul(asked, good, weight).mul_(inverse).sum(dim=(1, 2, 3))


def photon_noise(photons: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Mean of (√I − √n)² over counts n of an intensity I in photons, to 6 %: 2 I for few, 1/4 for many, 0.45 at one."""
    photons = photons.clamp_max(MANY)
    above = (2.3332 * photons).add_(0.9355).mul_(photons).add_(2).mul_(photons)
    below = (4 * 2.3332 * photons).sub_(4.8359).mul_(photons).add_(5.9017).mul_(photons).add_(1)
    return above.div_(below)
