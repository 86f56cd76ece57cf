"""Modelled amplitudes of a scan to first order in object, probe and geometry at once, and least squares with them.

What photons tell of a scan's geometry is what is left of its derivatives once object and probe have made up for all
that they can. So all three are solved for together, by conjugate gradients on the linearised amplitudes, whose noise
is the same everywhere.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Inexact
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum, total_transmission
from ptychoflow.physics.joint_steps import FLOOR
from ptychoflow.physics.patches import add_patches, shift_factors, split_positions
from ptychoflow.physics.position_steps import cut, spectral_slopes
from ptychoflow.physics.steps import object_change, probe_change

DAMPING = 0.01
"""Share of the largest light that damps the preconditioner where little of it falls."""


@dataclass
class Change:
    """A change of all that is solved for, a gradient by it, or what a change is multiplied by.

    Parameters
    ----------
    object : Tensor
        (H, W) complex, or float where it is a factor.
    probe : Tensor
        (modes, N, N) complex, or float where it is a factor.
    geometry : Tensor
        (parameters,) float.
    """

    object: Inexact[Tensor, "H W"]
    probe: Inexact[Tensor, "modes N N"]
    geometry: Float[Tensor, "parameters"]

    def dot(self, other: "Change") -> Float[Tensor, ""]:
        """Real inner product."""
        return (
            _real_dot(self.object, other.object)
            + _real_dot(self.probe, other.probe)
            + (self.geometry * other.geometry).sum()
        )

    def plus(self, other: "Change", factor: Float[Tensor, ""] | float) -> "Change":
        return Change(*(a + factor * b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def times(self, other: "Change") -> "Change":
        return Change(*(a * b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class LinearisedScan:
    """Amplitudes of the frames of a scan, and their derivatives, at an object, a probe and positions.

    Parameters
    ----------
    canvas : Tensor
        (H, W) complex object.
    probe : Tensor
        (modes, N, N) complex.
    positions : Tensor
        (frames, 2) float pixels.
    mask : Tensor
        (N, N) bool.
    propagator : Propagator
        Of exit waves.
    least : float or Tensor
        Added to the modelled intensities, whose roots the amplitudes are; (frames, 1, 1) float for each its own.
    """

    def __init__(
        self,
        canvas: Complex[Tensor, "H W"],
        probe: Complex[Tensor, "modes N N"],
        positions: Float[Tensor, "frames 2"],
        mask: Bool[Tensor, "N N"],
        propagator: Propagator,
        least: float | Float[Tensor, "frames 1 1"] = FLOOR,
    ) -> None:
        self.shape, self.size, self.mask = canvas.shape, probe.shape[-1], mask
        self.corner, self.fraction = split_positions(positions, self.size)
        self.propagator = propagator.moved(self.fraction)
        self.factors = shift_factors((self.size, self.size), self.fraction)[:, None]
        self.spectrum = torch.fft.fft2(probe)
        self.canvas = canvas
        self.patches = self._cut(canvas)
        self.moved = torch.fft.ifft2(self.spectrum * self.factors)
        self.waves = self.propagator(exit_waves(self.patches, self.moved))
        self.amplitudes = (incoherent_sum(self.waves) + least).sqrt()
        self.directions = self.waves.conj() / self.amplitudes[:, None] * mask
        self.columns: Tensor = self.amplitudes.new_zeros(0, *self.amplitudes.shape)

    def derivative(self, waves: Complex[Tensor, "frames modes N N"]) -> Float[Tensor, "frames N N"]:
        """Change (frames, N, N) of the amplitudes by that of the exit waves (frames, modes, N, N)."""
        return (self.directions * self.propagator(waves)).real.sum(dim=1)

    def prepare_geometry(self) -> None:
        """Prepare the derivatives by what deforms the scan, and by what focuses the beam.

        The first are scale (logarithm), rotation (radians), by how much rows are wider than columns (logarithm) and by
        how much their angle differs from a right one (radians); then defocus and two astigmatisms (pixels²), the
        curvature that rows have more than columns, and what both have together. A scan that is deformed carries its
        object with it: a frame still sees the same place, but sees it deformed, so that its patch changes by minus the
        slope times the distance from the patch's centre.
        """
        axis = torch.arange(self.size, device=self.fraction.device) - self.size // 2
        lever = (self.fraction[..., None] - axis)[..., None]
        rows, columns = lever[:, 0], lever[:, 1].mT
        by_row, by_column = (self._cut(slope) for slope in spectral_slopes(self.canvas))
        deformed = (
            by_row * rows + by_column * columns,
            by_column * rows - by_row * columns,
            (by_row * rows - by_column * columns) / 2,
            (by_row * columns + by_column * rows) / 2,
        )
        beams = self.spectrum * self.factors
        focused = (
            torch.fft.ifft2(-1j * torch.pi * square * beams)
            for square in curvatures(self.size, axis.device).to(self.fraction.dtype)
        )
        self.columns = torch.stack(
            [self.derivative(exit_waves(patches, self.moved)) for patches in deformed]
            + [self.derivative(exit_waves(self.patches, beam)) for beam in focused]
        )

    def forward(self, change: Change) -> Float[Tensor, "frames N N"]:
        """Change (frames, N, N) of the amplitudes, to first order."""
        moved = torch.fft.ifft2(torch.fft.fft2(change.probe) * self.factors)
        waves = exit_waves(self.patches, moved) + exit_waves(self._cut(change.object), self.moved)
        return self.derivative(waves) + torch.einsum("g,gfij->fij", change.geometry, self.columns)

    def adjoint(self, residual: Float[Tensor, "frames N N"]) -> Change:
        """Gradient by all that is solved for of the inner product of a residual (frames, N, N) with the amplitudes."""
        waves = self.propagator.adjoint(self.directions.conj() * residual[:, None])
        (objects,) = add_patches(object_change(waves, self.moved)[None], self.corner[None], self.shape)
        probes = torch.fft.fft2(probe_change(waves, self.patches)) * self.factors.conj()
        return Change(
            objects,
            torch.fft.ifft2(probes.sum(dim=0)),
            torch.einsum("gfij,fij->g", self.columns, residual),
        )

    def preconditioner(self) -> Change:
        """What a gradient is multiplied by to become a step: one over the light that each part came with."""
        (light,) = add_patches(incoherent_sum(self.moved)[None], self.corner[None], self.shape)
        transmission = total_transmission(self.patches)
        return Change(
            1 / (light + DAMPING * light.max()),
            1 / (transmission + DAMPING * transmission.max()).expand_as(self.spectrum),
            1 / self.columns.square().sum(dim=(-3, -2, -1)).clamp_min(1e-12),
        )

    def _cut(self, canvas: Tensor) -> Tensor:
        return cut(canvas, self.corner, self.size)


def least_squares(scan: LinearisedScan, residual: Float[Tensor, "frames N N"], iterations: int) -> Change:
    """Change that makes up for a residual (frames, N, N), by conjugate gradients.

    Too few iterations leave out what hardly shows; nothing else holds it down.
    """
    weight = scan.preconditioner()
    gradient = scan.adjoint(residual)
    step = weight.times(gradient)
    found, power = Change(*(torch.zeros_like(part) for part in vars(step).values())), gradient.dot(step)
    direction = step
    for _ in range(iterations):
        image = scan.forward(direction)
        length = power / image.square().sum().clamp_min(1e-30)
        found, residual = found.plus(direction, length), residual - length * image
        gradient = scan.adjoint(residual)
        step = weight.times(gradient)
        before, power = power, gradient.dot(step)
        direction = step.plus(direction, power / before)
    return found


def curvatures(size: int, device: torch.device | None = None) -> Float[Tensor, "3 N N"]:
    """Squares of frequencies (cycles per pixel)², float64, zero in the corner: of both axes, by difference, crossed."""
    frequency = torch.fft.fftfreq(size, dtype=torch.float64, device=device)
    rows, columns = frequency[:, None], frequency[None, :]
    return torch.stack([rows**2 + columns**2, rows**2 - columns**2, 2 * rows * columns])


def _real_dot(one: Tensor, other: Tensor) -> Tensor:
    return (one.real * other.real).sum() + (one.imag * other.imag).sum()
