"""Gauss-Newton steps on the scan positions: where a frame must lie for the object to explain its photons."""

import torch
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum
from ptychoflow.physics.joint_steps import FLOOR, PIXELS_AT_ONCE
from ptychoflow.physics.patches import crop_patches, fourier_shift, split_positions

DAMPING = 0.1
"""Share of the frames' mean curvature that damps a step: a frame that shows next to nothing stays."""


def spectral_slopes(canvases: Tensor) -> Tensor:
    """Derivatives of objects (..., H, W), taken as periodic, by row and column, (..., 2, H, W) complex per pixel."""
    height, width = canvases.shape[-2:]
    rows, columns = (torch.fft.fftfreq(length, device=canvases.device) for length in (height, width))
    frequencies = torch.stack([rows[:, None].expand(height, width), columns.expand(height, width)])
    return torch.fft.ifft2(2j * torch.pi * frequencies * torch.fft.fft2(canvases).unsqueeze(-3))


def position_steps(
    canvas: Tensor,
    probe: Tensor,
    amplitudes: Tensor,
    positions: Tensor,
    mask: Tensor,
    propagator: Propagator,
    background: Tensor,
) -> Tensor:
    """Steps by which frames explain their photons better, to first order.

    Parameters
    ----------
    canvas : Tensor
        (H, W) complex object.
    probe : Tensor
        (modes, N, N) complex.
    amplitudes : Tensor
        (frames, N, N) float, zero frequency or middle in the corner.
    positions : Tensor
        (frames, 2) float pixels.
    mask : Tensor
        (N, N) bool.
    propagator : Propagator
        Of exit waves.
    background : Tensor
        Scalar, intensity in every pixel that is no diffraction.

    Returns
    -------
    Tensor
        (frames, 2) float pixels.
    """
    slopes = spectral_slopes(canvas)
    piece = max(1, PIXELS_AT_ONCE // probe.numel())
    normal, right = [], []
    for some in torch.arange(len(positions)).split(piece):
        corner, fraction = split_positions(positions[some], probe.shape[-1])
        moved, place = fourier_shift(probe, fraction[:, None]), propagator.moved(fraction)
        waves = place(exit_waves(_cut(canvas, corner, probe.shape[-1]), moved))
        modelled = (incoherent_sum(waves) + background + FLOOR).sqrt()
        residual = torch.where(mask, amplitudes[some] - modelled, 0).flatten(1)
        columns = [
            torch.where(
                mask, (waves.conj() * place(exit_waves(_cut(slope, corner, probe.shape[-1]), moved))).real.sum(1), 0
            )
            for slope in slopes
        ]
        jacobian = torch.stack([(column / modelled).flatten(1) for column in columns], dim=-1)
        normal.append(jacobian.mT @ jacobian)
        right.append((jacobian * residual[..., None]).sum(dim=-2))
    matrix, vector = torch.cat(normal), torch.cat(right)
    damping = DAMPING * matrix.diagonal(dim1=-2, dim2=-1).mean()
    return torch.linalg.solve(matrix + damping * torch.eye(2, device=matrix.device), vector)


def _cut(canvas: Tensor, corner: Tensor, size: int) -> Tensor:
    """Patches (frames, N, N) of (H, W)."""
    return crop_patches(canvas[None], corner[None], size)[0]
