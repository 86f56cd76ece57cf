"""Modelled amplitudes of a scan to first order in object, probe and geometry at once, and least squares with them.

What photons tell of a scan's geometry is what is left of its derivatives once object and probe have made up for all
that they can. So all three are solved for together, by conjugate gradients on the linearised amplitudes, whose noise
is the same everywhere.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Inexact
from torch import Tensor

from ptychoflow.physics.diffraction import (
    Propagator,
    exit_waves,
    incoherent_sum,
    product_over_modes,
    total_transmission,
)
from ptychoflow.physics.joint_steps import FLOOR
from ptychoflow.physics.patches import add_at, pixel_index, row_index, shift_factors, split_positions, take_rows
from ptychoflow.physics.pieces import pieces
from ptychoflow.physics.position_steps import levers, spectral_slopes

LEAST_PHOTONS = 1.0
"""Added to counts and to their means alike, which leaves their difference as it is and tames dark pixels."""
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


class LinearisedFrames:
    """Amplitudes of some frames of a scan, and their derivatives, in one piece.

    Parameters
    ----------
    scan : LinearisedScan
        At whose object, probe and positions.
    some : slice
        Which of its frames.
    """

    def __init__(self, scan: "LinearisedScan", some: slice) -> None:
        canvas, probe, least = scan.canvas, scan.probe, scan.least
        self.shape, self.size, self.whole_pixels = canvas.shape, probe.shape[-1], scan.whole_pixels
        corner, self.fraction = split_positions(scan.positions[some], self.size)
        self.rows = row_index(corner[None], self.size, (1, *self.shape))
        self.propagator = scan.propagator.moved(self.fraction)
        self.factors = shift_factors((self.size, self.size), self.fraction)[:, None]
        self.spectrum = torch.fft.fft2(probe)
        self.patches = self._cut(canvas)
        self.moved = torch.fft.ifft2(self.spectrum * self.factors)
        waves = self.propagator(exit_waves(self.patches, self.moved))
        self.amplitudes = (incoherent_sum(waves) + (least[some] if isinstance(least, Tensor) else least)).sqrt()
        # Waves on the way there and back are amplified.
        self.directions = waves * (scan.mask / self.amplitudes / self.propagator.gain)[:, None]
        self.columns: Tensor = self.amplitudes.new_zeros(0, *self.amplitudes.shape)

    def derivative(self, waves: Complex[Tensor, "frames modes N N"]) -> Float[Tensor, "frames N N"]:
        """Change (frames, N, N) of the amplitudes by that of the exit waves (frames, modes, N, N)."""
        one, other = self.directions, self.propagator.amplified(waves)
        parts = product_over_modes(*(torch.view_as_real(values).flatten(-2) for values in (one, other)))
        return parts[..., ::2] + parts[..., 1::2]

    def prepare_geometry(self, slopes: Complex[Tensor, "2 H W"]) -> None:
        """Prepare what `LinearisedScan.prepare_geometry` describes, from the object's slopes by row and column."""
        rows, columns = levers(self.fraction, self.size)
        by_row, by_column = (self._cut(slope) for slope in slopes)
        deformed = (
            by_row * rows + by_column * columns,
            by_column * rows - by_row * columns,
            (by_row * rows - by_column * columns) / 2,
            (by_row * columns + by_column * rows) / 2,
        )
        beams = self.spectrum * self.factors
        focused = (
            torch.fft.ifft2(-1j * torch.pi * square * beams)
            for square in curvatures(self.size, rows.device).to(self.fraction.dtype)
        )
        self.columns = torch.stack(
            [self.derivative(exit_waves(patches, self.moved)) for patches in deformed]
            + [self.derivative(exit_waves(self.patches, beam)) for beam in focused]
        )

    def forward(self, change: Change) -> Float[Tensor, "frames N N"]:
        """Change (frames, N, N) of the amplitudes, to first order."""
        waves = exit_waves(self.patches, self._moved(change.probe)) + exit_waves(self._cut(change.object), self.moved)
        return self.derivative(waves) + torch.einsum("g,gfij->fij", change.geometry, self.columns)

    def adjoint(self, residual: Float[Tensor, "frames N N"]) -> Change:
        """Gradient by all that is solved for of the inner product of a residual (frames, N, N) with the amplitudes."""
        # Of conj(P) ψ and conj(O) ψ torch would work out the conjugates apart: so ψ is conjugated, and what it makes.
        waves = self.propagator.amplified_adjoint(self.directions * residual[:, None]).conj_physical_()
        objects = self._added(product_over_modes(self.moved, waves))
        probes = self._moved_back(waves.mul_(self.patches[:, None]))
        return Change(objects.conj_physical_(), probes, torch.einsum("gfij,fij->g", self.columns, residual))

    def power(self) -> Change:
        """How much light each part comes with: the diagonal of `adjoint` after `forward`, about."""
        return Change(
            self._added(incoherent_sum(self.moved)),
            total_transmission(self.patches).expand(self.spectrum.shape),
            self.columns.square().sum(dim=(-3, -2, -1)),
        )

    def _moved(self, probe: Tensor) -> Tensor:
        return probe if self.whole_pixels else torch.fft.ifft2(torch.fft.fft2(probe) * self.factors)

    def _moved_back(self, conjugates: Tensor) -> Tensor:
        """The adjoint of `_moved`, of values that are conjugated."""
        if self.whole_pixels:
            return conjugates.sum(dim=0).conj_physical_()
        spectra = torch.fft.ifft2(conjugates, norm="forward").mul_(self.factors).sum(dim=0)
        return torch.fft.ifft2(spectra.conj_physical_())

    def _cut(self, canvas: Tensor) -> Tensor:
        return take_rows(canvas[None], self.rows)[0]

    def _added(self, values: Tensor) -> Tensor:
        canvas = values.new_zeros(1, *self.shape)
        return add_at(canvas, pixel_index(self.rows), values[None])[0]


class LinearisedScan:
    """Amplitudes of the frames of a scan, and their derivatives, in pieces that are worked on at a time.

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
    whole_pixels : bool
        Whether a change of the probe is taken to lie at the nearest whole pixel of each frame, which halves the Fourier
        transforms, and blurs the finest details of such a change and nothing else.
    """

    def __init__(
        self,
        canvas: Complex[Tensor, "H W"],
        probe: Complex[Tensor, "modes N N"],
        positions: Float[Tensor, "frames 2"],
        mask: Bool[Tensor, "N N"],
        propagator: Propagator,
        least: float | Float[Tensor, "frames 1 1"] = FLOOR,
        whole_pixels: bool = False,
    ) -> None:
        self.canvas, self.probe, self.positions, self.mask = canvas, probe, positions, mask
        self.propagator, self.least, self.whole_pixels = propagator, least, whole_pixels
        self.parts = [LinearisedFrames(self, some) for some in pieces(len(positions), probe)]

    @property
    def amplitudes(self) -> Float[Tensor, "frames N N"]:
        """Modelled amplitudes (frames, N, N)."""
        return torch.cat([part.amplitudes for part in self.parts])

    @property
    def columns(self) -> Float[Tensor, "parameters frames N N"]:
        """Derivatives of the amplitudes by the geometry, (parameters, frames, N, N); of none if it is not prepared."""
        return torch.cat([part.columns for part in self.parts], dim=1)

    def residual(self, counts: Float[Tensor, "frames N N"]) -> Float[Tensor, "frames N N"]:
        """What amplitudes lack of counts (frames, N, N) that are as large as intensities: (n − I) / 2 √I, if good.

        Least squares with it weigh counts by Poisson's law (Fisher's scoring).
        """
        amplitudes = self.amplitudes
        return torch.where(self.mask, counts / amplitudes - amplitudes, 0) / 2

    def prepare_geometry(self) -> None:
        """Prepare the derivatives by what deforms the scan, and by what focuses the beam.

        The first are scale (logarithm), rotation (radians), by how much rows are wider than columns (logarithm) and by
        how much their angle differs from a right one (radians); then defocus and two astigmatisms (pixels²), the
        curvature that rows have more than columns, and what both have together. A scan that is deformed carries its
        object with it: a frame still sees the same place, but sees it deformed, so that its patch changes by minus the
        slope times the distance from the patch's centre.
        """
        slopes = spectral_slopes(self.canvas)
        for part in self.parts:
            part.prepare_geometry(slopes)

    def forward(self, change: Change) -> Float[Tensor, "frames N N"]:
        """Change (frames, N, N) of the amplitudes, to first order."""
        return torch.cat([part.forward(change) for part in self.parts])

    def adjoint(self, residual: Float[Tensor, "frames N N"]) -> Change:
        """Gradient by all that is solved for of the inner product of a residual (frames, N, N) with the amplitudes."""
        residuals = residual.split([len(part.amplitudes) for part in self.parts])
        return _sum(part.adjoint(of_part) for part, of_part in zip(self.parts, residuals, strict=True))

    def adjoint_of_forward(self, change: Change) -> Change:
        """`adjoint` of `forward` of a change, the pieces' amplitudes one after the other."""
        return _sum(part.adjoint(part.forward(change)) for part in self.parts)

    def preconditioner(self) -> Change:
        """What a gradient is multiplied by to become a step: one over the light that each part came with."""
        power = _sum(part.power() for part in self.parts)
        return Change(
            1 / (power.object + DAMPING * power.object.max()),
            1 / (power.probe + DAMPING * power.probe.max()),
            1 / power.geometry.clamp_min(1e-12),
        )


def least_squares(scan: LinearisedScan, residual: Float[Tensor, "frames N N"], iterations: int) -> Change:
    """Change that makes up for a residual (frames, N, N), by conjugate gradients on the normal equations.

    Too few iterations leave out what hardly shows; nothing else holds it down.
    """
    weight = scan.preconditioner()
    gradient = scan.adjoint(residual)
    step = weight.times(gradient)
    found, power = Change(*(torch.zeros_like(part) for part in vars(step).values())), gradient.dot(step)
    direction = step
    for _ in range(iterations):
        image = scan.adjoint_of_forward(direction)
        length = power / direction.dot(image).clamp_min(1e-30)
        found, gradient = found.plus(direction, length), gradient.plus(image, -length)
        step = weight.times(gradient)
        before, power = power, gradient.dot(step)
        direction = step.plus(direction, power / before)
    return found


def curvatures(size: int, device: torch.device | None = None) -> Float[Tensor, "3 N N"]:
    """Squares of frequencies (cycles per pixel)², float64, zero in the corner: of both axes, by difference, crossed."""
    frequency = torch.fft.fftfreq(size, dtype=torch.float64, device=device)
    rows, columns = frequency[:, None], frequency[None, :]
    return torch.stack([rows**2 + columns**2, rows**2 - columns**2, 2 * rows * columns])


def _sum(changes: Iterable[Change]) -> Change:
    return functools.reduce(lambda one, other: one.plus(other, 1), changes)


def _real_dot(one: Tensor, other: Tensor) -> Tensor:
    return (one.real * other.real).sum() + (one.imag * other.imag).sum()
