"""How far objects are from true ones once what object and probe may trade is taken out."""

import torch
from torch import Tensor

from ptychoflow.physics.gauge import centre_of
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.physics.position_steps import spectral_slopes

ROUNDS = 3
"""Gauss-Newton steps on shift and tilt."""


def relative_error(objects: Tensor, truth: Tensor, weight: Tensor, probes: Tensor, true_probes: Tensor) -> Tensor:
    """Σ w |c O' − T|² / Σ w |T − T̄|², with O' the objects moved and tilted to fit the truth, and c a complex factor.

    Shift and tilt are told from the probes first, refined by Gauss-Newton steps, and have no gradient.

    Parameters
    ----------
    objects, truth : Tensor
        (batch, H, W) complex.
    weight : Tensor
        (batch, H, W) float, where they are compared.
    probes, true_probes : Tensor
        (batch, modes, N, N) complex.

    Returns
    -------
    Tensor
        (batch,) float.
    """
    shift, tilt = trade(objects.detach(), truth, weight, probes.detach(), true_probes)
    moved = _traded(objects, shift, tilt)
    factor = (weight * truth * moved.detach().conj()).sum(dim=(-2, -1), keepdim=True)
    factor = factor / (weight * moved.detach().abs().square()).sum(dim=(-2, -1), keepdim=True)
    mean = (weight * truth).sum(dim=(-2, -1), keepdim=True) / weight.sum(dim=(-2, -1), keepdim=True)
    wrong = (weight * (factor * moved - truth).abs().square()).sum(dim=(-2, -1))
    return wrong / (weight * (truth - mean).abs().square()).sum(dim=(-2, -1)).clamp_min(1e-12)


@torch.no_grad()
def trade(objects: Tensor, truth: Tensor, weight: Tensor, probes: Tensor, true_probes: Tensor) -> tuple[Tensor, Tensor]:
    """Shift in pixels and tilt in cycles per pixel, each (batch, 2), that bring objects to the truth."""
    size = probes.shape[-1]
    shift = centre_of(_power(true_probes)) - centre_of(_power(probes))
    # Where a far field moves by a pixel, its probe turns once over the frame, and the object the other way.
    tilt = -(centre_of(_far(true_probes)) - centre_of(_far(probes))) / size
    for _ in range(ROUNDS):
        moved = _traded(objects, shift, tilt)
        factor = (weight * truth * moved.conj()).sum(dim=(-2, -1), keepdim=True)
        moved = moved * factor / (weight * moved.abs().square()).sum(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
        rows, columns = _axes(moved)
        slopes = spectral_slopes(moved)
        directions = torch.stack(
            [
                *slopes.neg().unbind(dim=1),
                2j * torch.pi * rows * moved,
                2j * torch.pi * columns * moved,
                moved,
                1j * moved,
            ],
            dim=1,
        )
        weighted = (weight[:, None] * directions.conj()).flatten(2)
        normal = (weighted @ directions.flatten(2).mT).real
        right = (weighted @ (truth - moved).flatten(1)[..., None]).real
        damping = 1e-3 * normal.diagonal(dim1=-2, dim2=-1)
        step = torch.linalg.solve(normal + torch.diag_embed(damping + 1e-9), right)[..., 0]
        shift = shift + step[:, :2].clamp(-1, 1)
        tilt = tilt + step[:, 2:4].clamp(-0.5 / size, 0.5 / size)
    return shift, tilt


def _traded(objects: Tensor, shift: Tensor, tilt: Tensor) -> Tensor:
    rows, columns = _axes(objects)
    phase = 2 * torch.pi * (tilt[:, 0, None, None] * rows + tilt[:, 1, None, None] * columns)
    return fourier_shift(objects, shift) * torch.polar(torch.ones_like(phase), phase)


def _axes(objects: Tensor) -> tuple[Tensor, Tensor]:
    height, width = objects.shape[-2:]
    rows = torch.arange(height, device=objects.device) - height // 2
    columns = torch.arange(width, device=objects.device) - width // 2
    return rows[:, None].float(), columns[None, :].float()


def _power(probes: Tensor) -> Tensor:
    return probes.abs().square().sum(dim=1)


def _far(probes: Tensor) -> Tensor:
    return torch.fft.fftshift(_power(torch.fft.fft2(probes)), dim=(-2, -1))
