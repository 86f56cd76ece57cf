"""Gauss-Newton steps on the scan positions: where a frame must lie for the object to explain its photons."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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


@dataclass
class MeasuredFrames:
    """Measured amplitudes of some frames, and all that models them.

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
    background : Tensor or float
        Intensity in every pixel that is no diffraction: of all frames, or (frames, 1, 1) float, that of each.
    """

    canvas: Complex[Tensor, "H W"]
    probe: Complex[Tensor, "modes N N"]
    amplitudes: Float[Tensor, "frames N N"]
    positions: Float[Tensor, "frames 2"]
    mask: Bool[Tensor, "N N"]
    propagator: Propagator
    background: Float[Tensor, ""] | Float[Tensor, "frames 1 1"] | float = 0.0

    def pieces(self) -> Iterator["MeasuredFrames"]:
        """Some of the frames at a time, whose waves are in memory together."""
        each = isinstance(self.background, Tensor) and self.background.ndim > 0
        for some in pieces(len(self.positions), self.probe):
            own = {"background": self.background[some]} if each else {}
            yield replace(self, amplitudes=self.amplitudes[some], positions=self.positions[some], **own)


def position_steps(frames: MeasuredFrames) -> tuple[Float[Tensor, "frames 2"], Float[Tensor, "frames"]]:
    """Steps by which frames explain their photons better, to first order, and what `damped_steps` gives beside them."""
    slopes = spectral_slopes(frames.canvas)
    return damped_steps(amplitude_jacobian(some, slopes) for some in frames.pieces())


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
    frames: MeasuredFrames, offsets: Float[Tensor, "offsets frames 2"]
) -> tuple[Float[Tensor, "frames 2"], Float[Tensor, "frames"]]:
    """Find the offsets at which frames explain their photons best, of a few that are beyond the reach of steps.

    Parameters
    ----------
    frames : MeasuredFrames
        Where they are now.
    offsets : Tensor
        (offsets, frames, 2) float pixels, those to try for each frame.

    Returns
    -------
    best : Tensor
        (frames, 2) float pixels.
    squares : Tensor
        (frames,) float, Σ (√I − √n)² there.
    """
    tried = []
    for offset in offsets:
        there = replace(frames, positions=frames.positions + offset)
        parts = [amplitude_residuals(some).square().sum(dim=(-2, -1)) for some in there.pieces()]
        tried.append(torch.cat(parts))
    squares, best = torch.stack(tried).min(dim=0)
    return offsets[best, torch.arange(len(frames.positions))], squares


def amplitude_jacobian(
    frames: MeasuredFrames, slopes: Complex[Tensor, "2 H W"], deformed: bool = False
) -> tuple[Float[Tensor, "frames pixels coordinates"], Float[Tensor, "frames pixels"]]:
    """Derivatives of the modelled amplitudes of frames by their coordinates, and what the amplitudes lack.

    Parameters
    ----------
    frames : MeasuredFrames
        As many as are in memory together.
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
    size = frames.probe.shape[-1]
    corner, moved, place = placed(frames.probe, frames.positions, frames.propagator)
    waves, modelled = _amplitudes(frames.canvas, corner, moved, place, frames.background)
    factors: list[Tensor | float] = [1.0]
    if deformed:
        _, fraction = split_positions(frames.positions, size)
        factors = [lever[:, None] for lever in levers(fraction, size)]
    columns = []
    for slope in slopes:
        patches = exit_waves(cut(slope, corner, size), moved)
        for factor in factors:
            change = (waves.conj() * place(factor * patches)).real.sum(dim=1) / modelled
            columns.append(torch.where(frames.mask, change, 0).flatten(1))
    residual = torch.where(frames.mask, frames.amplitudes - modelled, 0).flatten(1)
    return torch.stack(columns, dim=-1), residual


def amplitude_residuals(frames: MeasuredFrames) -> Float[Tensor, "frames N N"]:
    """Measured less modelled amplitudes (frames, N, N) float, 0 at bad pixels."""
    places = placed(frames.probe, frames.positions, frames.propagator)
    _, modelled = _amplitudes(frames.canvas, *places, frames.background)
    return torch.where(frames.mask, frames.amplitudes - modelled, 0)


def levers(
    fraction: Float[Tensor, "frames 2"], size: int
) -> tuple[Float[Tensor, "frames {size} 1"], Float[Tensor, "frames 1 {size}"]]:
    """Pixels from each pixel of frames to their middles, (frames, N, 1) along rows and (frames, 1, N) along columns.

    The middle is a fraction (frames, 2) of a pixel off the pixel N // 2.
    """
    axis = torch.arange(size, device=fraction.device) - size // 2
    lever = (fraction[..., None] - axis)[..., None]
    return lever[:, 0], lever[:, 1].mT


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
