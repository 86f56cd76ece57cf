"""One step on object, probe and background together, from some of the frames of a batch of scans."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.asked_waves import ask_of_waves
from ptychoflow.physics.diffraction import (
    Propagator,
    exit_waves,
    incoherent_sum,
    product_over_modes,
    total_transmission,
)
from ptychoflow.physics.patches import (
    add_at,
    crop_rows,
    pixel_index,
    row_index,
    shift_factors,
    split_positions,
)
from ptychoflow.physics.pieces import pieces

FLOOR = 1e-6
"""Least modelled intensity where the mean count is 1: amplitudes are divided by its root."""


@dataclass
class JointChange:
    """Changes that measured amplitudes ask of objects and probes, added up over frames, with the light they came with.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex, Σ conj(P) Δψ.
    light : Tensor
        (batch, H, W) float, Σ |P|².
    probes : Tensor
        (batch, modes, N, N) complex, Σ conj(O) Δψ.
    transmission : Tensor
        (batch, N, N) float, Σ |O|².
    slope, curvature, misfit, noise : Tensor
        (batch,) float, as in `AskedWaves`.
    """

    objects: Complex[Tensor, "batch H W"]
    light: Float[Tensor, "batch H W"]
    probes: Complex[Tensor, "batch modes N N"]
    transmission: Float[Tensor, "batch N N"]
    slope: Float[Tensor, "batch"]
    curvature: Float[Tensor, "batch"]
    misfit: Float[Tensor, "batch"]
    noise: Float[Tensor, "batch"]

    def __add__(self, other: "JointChange") -> "JointChange":
        return JointChange(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def stepped_objects(
        self, objects: Complex[Tensor, "batch H W"], size: Float[Tensor, "batch"], damping: Float[Tensor, "batch"]
    ) -> Complex[Tensor, "batch H W"]:
        """Objects after a step of this size; the damping is a share of the largest light."""
        return torch.addcmul(objects, self.objects, _share(self.light, size, damping))

    def stepped_probes(
        self, probes: Complex[Tensor, "batch modes N N"], size: Float[Tensor, "batch"], damping: Float[Tensor, "batch"]
    ) -> Complex[Tensor, "batch modes N N"]:
        """Probes after a step of this size; the damping is a share of the largest transmission."""
        return torch.addcmul(probes, self.probes, _share(self.transmission, size, damping).unsqueeze(-3))

    @property
    def background_step(self) -> Float[Tensor, "batch"]:
        """(batch,) float, Newton's."""
        return self.slope / self.curvature.clamp_min(1e-12)


@torch.no_grad()
def joint_change(
    objects: Complex[Tensor, "batch H W"],
    probes: Complex[Tensor, "batch modes N N"],
    amplitudes: Float[Tensor, "#batch frames N N"],
    positions: Float[Tensor, "batch frames 2"],
    mask: Bool[Tensor, "#batch 1 N N"],
    propagator: Propagator,
    background: Float[Tensor, "batch"],
    scale: Float[Tensor, "#batch"],
    brightness: Float[Tensor, "#batch frames"] | None = None,
    unbiased: bool = False,
    with_background: bool = True,
) -> JointChange:
    """Add up the changes that frames ask of objects and probes, without gradient.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex.
    probes : Tensor
        (batch, modes, N, N) complex.
    amplitudes : Tensor
        (batch or 1, frames, N, N) float, zero frequency or middle in the corner.
    positions : Tensor
        (batch, frames, 2) float, (row, column) pixels of the patch centres.
    mask : Tensor
        (batch or 1, 1, N, N) bool.
    propagator : Propagator
        Of exit waves.
    background : Tensor
        (batch,) float, intensity in every pixel that is no diffraction.
    scale : Tensor
        (batch or 1,) float, whose square is the photons of a unit of intensity.
    brightness : Tensor, optional
        (batch or 1, frames) float, the light of each frame over that of the probes; 1 if not given.
    unbiased : bool
        Whether few photons ask for no change on average where the model is right, see `unbiased_ratio`; by amplitudes
        they ask for less light, which keeps their noise out as well.
    with_background : bool
        Whether slope and curvature are asked for; they are 0 otherwise.
    """
    spectra = _spectra(probes, propagator)
    canvas = objects.new_zeros(objects.shape)
    sums, total = (canvas, canvas.real.new_zeros(objects.shape)), None
    for some in pieces(amplitudes.shape[1], probes):
        light = None if brightness is None else brightness[:, some]
        part = _piece(
            sums,
            objects,
            spectra,
            amplitudes[:, some],
            positions[:, some],
            mask,
            propagator,
            background,
            scale,
            light,
            unbiased,
            with_background,
        )
        total = part if total is None else [before + more for before, more in zip(total, part, strict=True)]
    (objects, light), (probes, *others) = sums, total
    # The sum of the frames' changes is moved back to the probe's own place at once.
    probes = _spectra(probes, propagator).conj_physical_()
    return JointChange(objects.conj_physical_(), light.mul_(propagator.gain**2), probes, *others)


def modelled_frames(
    objects: Complex[Tensor, "batch H W"],
    probes: Complex[Tensor, "batch modes N N"],
    positions: Float[Tensor, "batch frames 2"],
    propagator: Propagator,
    background: Float[Tensor, "batch"],
    brightness: Float[Tensor, "#batch frames"] | None = None,
) -> Float[Tensor, "batch frames N N"]:
    """Intensities (batch, frames, N, N) float that objects and probes diffract; parameters as in `joint_change`."""
    parts = []
    for some in pieces(positions.shape[1], probes):
        light = None if brightness is None else brightness[:, some]
        parts.append(incoherent_sum(detector_waves(objects, probes, positions[:, some], propagator, light)))
    return torch.cat(parts, dim=1) + background[:, None, None, None]


def detector_waves(
    objects: Complex[Tensor, "batch H W"],
    probes: Complex[Tensor, "batch modes N N"],
    positions: Float[Tensor, "batch frames 2"],
    propagator: Propagator,
    brightness: Float[Tensor, "#batch frames"] | None = None,
) -> Complex[Tensor, "batch frames modes N N"]:
    """Waves (batch, frames, modes, N, N) complex at the detector; parameters as in `joint_change`."""
    spectra = _spectra(probes, propagator)
    patches, moved, _, _, propagator = _placed(objects, spectra, positions, propagator, brightness)
    return propagator.amplified(exit_waves(patches, moved))


def _spectra(probes: Tensor, propagator: Propagator) -> Tensor:
    """Fourier transforms that are scaled, so that neither those of many frames back need be nor their propagation."""
    return torch.fft.fft2(probes, norm="forward") * (1 / propagator.gain)


def _placed(
    objects: Tensor, spectra: Tensor, positions: Tensor, propagator: Propagator, brightness: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Propagator]:
    """Whole-pixel patches and the probes moved by the fractions that remain, which loses no resolution.

    Gives patches (batch, frames, N, N), probes (batch, frames, modes, N, N) as strong as the spectra and as bright as
    each frame's light, the index of the patches' rows, the factors (batch, frames, 1, N, N) of spectra, and the
    propagator of waves moved so.
    """
    size = spectra.shape[-1]
    corner, fraction = split_positions(positions, size)
    factors = shift_factors((size, size), fraction)[:, :, None]
    if brightness is not None:
        factors = factors * brightness.sqrt()[:, :, None, None, None]
    moved = torch.fft.ifft2(spectra[:, None] * factors, norm="forward")
    rows = row_index(corner, size, objects.shape)
    return crop_rows(objects, rows), moved, rows, factors, propagator.moved(fraction)


def _piece(
    sums: tuple[Tensor, Tensor],
    objects: Tensor,
    spectra: Tensor,
    amplitudes: Tensor,
    positions: Tensor,
    mask: Tensor,
    propagator: Propagator,
    background: Tensor,
    scale: Tensor,
    brightness: Tensor | None,
    unbiased: bool,
    with_background: bool,
) -> list[Tensor]:
    """Changes of a few frames from `_spectra` of the probes: those of objects and light are added to their sums.

    Gives what a `JointChange` has beside those two. The change of the probes is a spectrum, and amplified as waves are;
    probes that are weaker by that make light weaker by its square. Changes of objects and probes are the conjugates of
    what they will be.
    """
    patches, moved, rows, factors, propagator = _placed(objects, spectra, positions, propagator, brightness)
    waves = propagator.amplified(exit_waves(patches, moved))
    change, *told = ask_of_waves(waves, amplitudes, mask, background + FLOOR, scale, unbiased, with_background)
    # Of conj(P) Δψ and conj(O) Δψ torch would work out the conjugates apart: so Δψ is conjugated, and what comes of it.
    change = propagator.amplified_adjoint(change).conj_physical_()
    index = pixel_index(rows)
    for into, values in zip(sums, (product_over_modes(moved, change), incoherent_sum(moved)), strict=True):
        add_at(into, index, values)
    probes = torch.fft.ifft2(change.mul_(patches.unsqueeze(-3)), norm="forward").mul_(factors).sum(dim=1)
    bright = patches if brightness is None else patches * brightness.sqrt()[:, :, None, None]
    return [probes, total_transmission(bright), *told]


def _share(light: Tensor, size: Tensor, damping: Tensor) -> Tensor:
    """What a change is multiplied by to become a step: its size over the light, damped where little of it fell."""
    return size[:, None, None] / (light + damping[:, None, None] * light.amax(dim=(-2, -1), keepdim=True))
