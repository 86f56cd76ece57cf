"""How far objects are from true ones once what object and probe may trade is taken out."""

import torch
from torch import Tensor

from ptychoflow.physics.gauge import centre_of
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.physics.position_steps import spectral_slopes

ROUNDS = 3
"""Gauss-Newton steps on shift and tilt."""


def truth_as_seen(objects: Tensor, truth: Tensor, weight: Tensor, probes: Tensor, true_probes: Tensor) -> Tensor:
    """Move, tilt and scale true objects to where reconstructed ones are, (batch, H, W) complex, without gradient.

    Parameters
    ----------
    objects, truth : Tensor
        (batch, H, W) complex.
    weight : Tensor
        (batch, H, W) float, where they are compared.
    probes, true_probes : Tensor
        (batch, modes, N, N) complex, by which shift and tilt are told first; Gauss-Newton steps refine them.
    """
    shift, tilt = trade(objects, truth, weight, probes, true_probes)
    seen = fourier_shift(truth * _ramp(truth, -tilt), -shift)
    factor = (weight * objects * seen.conj()).sum(dim=(-2, -1), keepdim=True)
    return seen * factor / (weight * seen.abs().square()).sum(dim=(-2, -1), keepdim=True).clamp_min(1e-12)


def relative_error(objects: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
    """Σ w |O − T|² / Σ w |T − T̄|² of objects and true ones (batch, H, W) complex as they are seen, (batch,) float."""
    mean = (weight * seen).sum(dim=(-2, -1), keepdim=True) / weight.sum(dim=(-2, -1), keepdim=True)
    wrong = (weight * (objects - seen).abs().square()).sum(dim=(-2, -1))
    return wrong / (weight * (seen - mean).abs().square()).sum(dim=(-2, -1)).clamp_min(1e-12)


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
    return fourier_shift(objects, shift) * _ramp(objects, tilt)


def _ramp(objects: Tensor, tilt: Tensor) -> Tensor:
    rows, columns = _axes(objects)
    phase = 2 * torch.pi * (tilt[:, 0, None, None] * rows + tilt[:, 1, None, None] * columns)
    return torch.polar(torch.ones_like(phase), phase)


def _axes(objects: Tensor) -> tuple[Tensor, Tensor]:
    height, width = objects.shape[-2:]
    rows = torch.arange(height, device=objects.device) - height // 2
    columns = torch.arange(width, device=objects.device) - width // 2
    return rows[:, None].float(), columns[None, :].float()


def _power(probes: Tensor) -> Tensor:
    return probes.abs().square().sum(dim=1)


def _far(probes: Tensor) -> Tensor:
    return torch.fft.fftshift(_power(torch.fft.fft2(probes)), dim=(-2, -1))
