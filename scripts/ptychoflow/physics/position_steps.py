"""Gauss-Newton steps on the scan positions: where a frame must lie for the object to explain its photons."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum
from ptychoflow.physics.joint_steps import FLOOR
from ptychoflow.physics.patches import crop_patches, fourier_shift, split_positions
from ptychoflow.physics.pieces import pieces

DAMPING = 0.1
"""Share of the frames' mean curvature that damps a step: a frame that shows next to nothing stays."""


def spectral_slopes(canvases: Complex[Tensor, "*axes H W"]) -> Complex[Tensor, "*axes 2 H W"]:
    """Derivatives of objects (..., H, W), taken as periodic, by row and column, (..., 2, H, W) complex per pixel."""
    height, width = canvases.shape[-2:]
    rows, columns = (torch.fft.fftfreq(length, device=canvases.device) for length in (height, width))
    frequencies = torch.stack([rows[:, None].expand(height, width), columns.expand(height, width)])
    return torch.fft.ifft2(2j * torch.pi * frequencies * torch.fft.fft2(canvases).unsqueeze(-3))


def position_steps(
    canvas: Complex[Tensor, "H W"],
    probe: Complex[Tensor, "modes N N"],
    amplitudes: Float[Tensor, "frames N N"],
    positions: Float[Tensor, "frames 2"],
    mask: Bool[Tensor, "N N"],
    propagator: Propagator,
    background: Float[Tensor, ""] | Float[Tensor, "frames 1 1"],
) -> tuple[Float[Tensor, "frames 2"], Float[Tensor, "frames"]]:
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
        Scalar, intensity in every pixel that is no diffraction, or (frames, 1, 1), that of each frame.

    Returns
    -------
    steps, squares : Tensor
        As `damped_steps` gives them.
    """
    slopes = spectral_slopes(canvas)
    backgrounds = background.expand(len(positions), 1, 1)
    return damped_steps(
        amplitude_jacobian(
            canvas, slopes, probe, amplitudes[some], positions[some], mask, propagator, backgrounds[some]
        )
        for some in pieces(len(positions), probe)
    )


def damped_steps(
    linearised: Iterable[tuple[Float[Tensor, "_ pixels 2"], Float[Tensor, "_ pixels"]]],
) -> tuple[Float[Tensor, "frames 2"], Float[Tensor, "frames"]]:
    """Solve the normal equations of each frame, damped by what all frames show on average.

    Parameters
    ----------
    linearised : iterable of pair
        What `amplitude_jacobian` gives, of some of the frames at a time.

    Returns
    -------
    steps : Tensor
        (frames, 2) float pixels.
    squares : Tensor
        (frames,) float, Σ (√I − √n)² before the steps.
    """
    normal, right, squares = [], [], []
    for jacobian, residual in linearised:
        normal.append(jacobian.mT @ jacobian)
        right.append((jacobian * residual[..., None]).sum(dim=-2))
        squares.append(residual.square().sum(dim=-1))
    matrix, vector = torch.cat(normal), torch.cat(right)
    damping = DAMPING * matrix.diagonal(dim1=-2, dim2=-1).mean()
    return torch.linalg.solve(matrix + damping * torch.eye(2, device=matrix.device), vector), torch.cat(squares)


def searched_offsets(
    canvas: Complex[Tensor, "H W"],
    probe: Complex[Tensor, "modes N N"],
    amplitudes: Float[Tensor, "frames N N"],
    positions: Float[Tensor, "frames 2"],
    mask: Bool[Tensor, "N N"],
    propagator: Propagator,
    background: Float[Tensor, ""] | Float[Tensor, "frames 1 1"],
    offsets: Float[Tensor, "offsets frames 2"],
) -> tuple[Float[Tensor, "frames 2"], Float[Tensor, "frames"]]:
    """Find the offsets at which frames explain their photons best, of a few that are beyond the reach of steps.

    Parameters
    ----------
    canvas, probe, amplitudes, positions, mask, propagator, background
        As `position_steps` takes them.
    offsets : Tensor
        (offsets, frames, 2) float pixels, those to try for each frame.

    Returns
    -------
    best : Tensor
        (frames, 2) float pixels.
    squares : Tensor
        (frames,) float, Σ (√I − √n)² there.
    """
    backgrounds = background.expand(len(positions), 1, 1)
    tried = []
    for offset in offsets:
        parts = [
            amplitude_residuals(
                canvas, probe, amplitudes[some], (positions + offset)[some], mask, propagator, backgrounds[some]
            )
            for some in pieces(len(positions), probe)
        ]
        tried.append(torch.cat([part.square().sum(dim=(-2, -1)) for part in parts]))
    squares, best = torch.stack(tried).min(dim=0)
    return offsets[best, torch.arange(len(positions))], squares


def amplitude_jacobian(
    canvas: Complex[Tensor, "H W"],
    slopes: Complex[Tensor, "2 H W"],
    probe: Complex[Tensor, "modes N N"],
    amplitudes: Float[Tensor, "frames N N"],
    positions: Float[Tensor, "frames 2"],
    mask: Bool[Tensor, "N N"],
    propagator: Propagator,
    background: Float[Tensor, ""] | Float[Tensor, "frames 1 1"] | float = 0.0,
    deformed: bool = False,
) -> tuple[Float[Tensor, "frames N*N coordinates"], Float[Tensor, "frames N*N"]]:
    """Derivatives of the modelled amplitudes of frames by their coordinates, and what the amplitudes lack.

    Parameters
    ----------
    canvas, probe, amplitudes, positions, mask, propagator, background
        As `position_steps` takes them.
    slopes : Tensor
        (2, H, W) complex, `spectral_slopes` of the object.
    deformed : bool
        Derivatives by the four entries of a linear map of scan and object together, row by row, in place of those by
        the coordinates: a frame still sees the same place, but sees it deformed, so that its patch changes by minus
        the slope times the distance from the patch's centre.

    Returns
    -------
    jacobian : Tensor
        (frames, N², 2 or 4) float, 0 at bad pixels.
    residual : Tensor
        (frames, N²) float, measured less modelled amplitudes, 0 at bad pixels.
    """
    size = probe.shape[-1]
    corner, moved, place = placed(probe, positions, propagator)
    waves, modelled = _amplitudes(canvas, corner, moved, place, background)
    factors: list[Tensor | float] = [1.0]
    if deformed:
        _, fraction = split_positions(positions, size)
        axis = torch.arange(size, device=fraction.device) - size // 2
        lever = (fraction[..., None] - axis)[:, :, None]
        factors = [lever[:, 0, :, :, None], lever[:, 1, :, None, :]]
    columns = []
    for slope in slopes:
        patches = exit_waves(cut(slope, corner, size), moved)
        for factor in factors:
            change = (waves.conj() * place(factor * patches)).real.sum(dim=1) / modelled
            columns.append(torch.where(mask, change, 0).flatten(1))
    return torch.stack(columns, dim=-1), torch.where(mask, amplitudes - modelled, 0).flatten(1)


def amplitude_residuals(
    canvas: Complex[Tensor, "H W"],
    probe: Complex[Tensor, "modes N N"],
    amplitudes: Float[Tensor, "frames N N"],
    positions: Float[Tensor, "frames 2"],
    mask: Bool[Tensor, "N N"],
    propagator: Propagator,
    background: Float[Tensor, ""] | Float[Tensor, "frames 1 1"] | float = 0.0,
) -> Float[Tensor, "frames N N"]:
    """Measured less modelled amplitudes (frames, N, N) float, 0 at bad pixels; parameters as in `position_steps`."""
    _, modelled = _amplitudes(canvas, *placed(probe, positions, propagator), background)
    return torch.where(mask, amplitudes - modelled, 0)


def placed(
    probe: Complex[Tensor, "modes N N"], positions: Float[Tensor, "frames 2"], propagator: Propagator
) -> tuple[Int[Tensor, "frames 2"], Complex[Tensor, "frames modes N N"], Propagator]:
    """Whole-pixel corners (frames, 2), the probe (frames, modes, N, N) moved by the fractions, and its propagator."""
    corner, fraction = split_positions(positions, probe.shape[-1])
    return corner, fourier_shift(probe, fraction[:, None]), propagator.moved(fraction)


def cut(
    canvas: Complex[Tensor, "H W"], corner: Int[Tensor, "frames 2"], size: int
) -> Complex[Tensor, "frames {size} {size}"]:
    """Patches (frames, N, N) of (H, W)."""
    return crop_patches(canvas[None], corner[None], size)[0]


def _amplitudes(
    canvas: Tensor, corner: Tensor, moved: Tensor, propagator: Propagator, background: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Detector waves (frames, modes, N, N) and the amplitudes (frames, N, N) that they add up to."""
    waves = propagator(exit_waves(cut(canvas, corner, moved.shape[-1]), moved))
    return waves, (incoherent_sum(waves) + background + FLOOR).sqrt()
