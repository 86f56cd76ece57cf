"""What object and probe may trade without any photon noticing: scale, place, tilt, and the choice of the modes.

P(r − s) and O(r − s) diffract as P and O do, and so do c P and O / c, P exp(i k r) and O exp(−i k r), and any unitary
mixture of the modes. Whoever solves for both must fix these, or they drift.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

BRIGHT = 0.99
"""Quantile of the photons of frames that stands for the empty beam, where nothing else tells the flux."""
EVEN = 0.1
"""Share of the light in its first harmonic below which that tells no centre."""


def balance(objects: Complex[Tensor, "batch H W"], light: Float[Tensor, "batch H W"]) -> Float[Tensor, "batch"]:
    """Mean amplitude of objects where light falls: what they are divided by, and their probes are multiplied by.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex.
    light : Tensor
        (batch, H, W) float, accumulated intensity of the probe.

    Returns
    -------
    Tensor
        (batch,) float, without gradient.
    """
    with torch.no_grad():
        # Beyond a tenth of the largest light, more of it is no more reason to count.
        weight = light.clamp_max(0.1 * light.amax(dim=(-2, -1), keepdim=True))
        return (objects.abs() * weight).sum(dim=(-2, -1)) / weight.sum(dim=(-2, -1))


def with_power(
    probes: Complex[Tensor, "*axes modes N N"], photons: Float[Tensor, ""] | Float[Tensor, "*#axes 1 1 1"]
) -> Complex[Tensor, "*axes modes N N"]:
    """Scale probes (..., modes, N, N) to Σ|P|² = photons, a scalar or (..., 1, 1, 1).

    They may have any power but none, even one beyond the squares of single precision.
    """
    probes = probes / probes.abs().amax(dim=(-3, -2, -1), keepdim=True)
    return probes * (photons / probes.abs().square().sum(dim=(-3, -2, -1), keepdim=True)).sqrt()


def orthogonal_modes(probes: Complex[Tensor, "batch modes N N"]) -> Complex[Tensor, "batch modes modes"]:
    """Unitary matrices (batch, modes, modes) that make probes (batch, modes, N, N) orthogonal, the strongest first.

    They are the eigenvectors of the modes' Gram matrix, without gradient: mixing modes changes no photon.
    """
    with torch.no_grad():
        if probes.shape[-3] == 1:  # for eigenvectors a GPU makes the processor wait
            return probes.new_ones(len(probes), 1, 1)
        flat = probes.flatten(-2)
        return torch.linalg.eigh(torch.nan_to_num(flat @ flat.mH)).eigenvectors.flip(-1).mH


def mix_modes(
    probes: Complex[Tensor, "batch modes N N"], unitary: Complex[Tensor, "batch modes modes"]
) -> Complex[Tensor, "batch modes N N"]:
    """Give the modes (batch, modes, N, N) that unitary matrices (batch, modes, modes) mix from others."""
    return torch.einsum("bij,bjhw->bihw", unitary, probes)


def centre_of(intensity: Float[Tensor, "*axes N N"]) -> Float[Tensor, "*axes 2"]:
    """Centre of intensities (..., N, N) about the pixel N // 2, (..., 2) float (row, column) pixels.

    The first harmonic's phase tells it, which light at the far edges of a frame moves less than the mean of places.
    Light that fills the frame has next to none, and is taken to lie in the middle.
    """
    size = intensity.shape[-1]
    angle = 2 * torch.pi * (torch.arange(size, device=intensity.device) - size // 2) / size
    wave = torch.polar(torch.ones_like(angle), angle)
    harmonics = torch.stack([(intensity.sum(dim=axis) * wave).sum(dim=-1) for axis in (-1, -2)], dim=-1)
    told = harmonics.abs() > EVEN * intensity.sum(dim=(-2, -1)).unsqueeze(-1)
    return torch.where(told, harmonics.angle(), 0) * size / (2 * torch.pi)
