"""Scans of every kind, drawn by number from ranges."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, get_args, get_origin

from ptychoflow.errors import InputError
from ptychoflow.settings.simulation import ObjectKind, ProbeKind
from ptychoflow.settings.values import (
    FrameSize,
    Natural,
    NotNegative,
    Pair,
    Positive,
    Range,
    Settings,
    Share,
    kinds_of,
)

WIDEST = 0.78
"""Share of the frame beyond which a defocused beam is refused."""


ProbeWidth = Annotated[float, Range(above=0, at_most=WIDEST)]
PupilWidth = Annotated[float, Range(above=0, at_most=0.95)]


@dataclass
class RecipeSettings(Settings):
    """Ranges from which scans are drawn; a range of two equal numbers fixes a value.

    Parameters
    ----------
    seed : int
        With the number of a scan it fixes everything about it.
    sizes : tuple of int
        Edge lengths of frames in pixels, drawn alike.
    frames : int
        Frames of a scan.
    flux : tuple of float
        Photons of a frame behind the object's transmission, evenly in the logarithm.
    probe_width : tuple of float
        Diameter of the probe as a share of the frame, evenly in the logarithm.
    pupil_width : tuple of float
        Diameter of the pupil of zone plates and mirrors as a share of the frame; with the probe's width it gives the
        defocus, whose sign is drawn.
    step : tuple of float
        Of the scan as a share of the probe's diameter, evenly in the logarithm, but at least a pixel.
    objects : tuple of str
        Kinds of objects, drawn alike.
    probes : tuple of str
        Kinds of probes, drawn alike.
    modes : tuple of float
        Shares of the scans whose light has one, two, three … modes.
    phase : tuple of float
        Phase contrast in radians, evenly in the logarithm, its sign drawn; beyond 5 rad only where there are no edges.
    weak_phase : tuple of float
        Of weak objects, which absorb next to nothing.
    weak : float
        Share of the objects that are weak.
    absorption : float
        Largest amplitude contrast.
    transmission : tuple of float
        Factor of the object's amplitude, evenly in the logarithm.
    right_guess : float
        Share of the scans with the right probe.
    disk_guess : float
        Share of the scans with a disk for the probe.
    no_guess : float
        Share of the scans with no probe.
    guess_errors : float
        Probability of each error in the probes that are none of these; there is always one.
    defocus_factor : tuple of float
        Wrong defocus over the right one, as far as the beam still fits.
    shift : float
        Largest displacement of a guess along each axis, as a share of the frame; of its far field too.
    amplitude : tuple of float
        Factor of the amplitude of a guess, evenly in the logarithm.
    phase_error : tuple of float
        Root mean square of smooth errors of phase in radians.
    background : tuple of float
        Background as a share of the flux, evenly in the logarithm.
    dead_pixels : tuple of float
        Share of dead pixels, evenly in the logarithm.
    flicker : tuple of float
        Relative rms.
    position_error : tuple of float
        Pixels, as a share of the frame.
    impaired : float
        Probability of background, of dead pixels, of a beam stop, of flicker, of wrong positions and of aberrations,
        each for itself.
    """

    section: ClassVar[str] = "recipe"
    seed: Natural = 0
    sizes: tuple[FrameSize, ...] = (64,)
    frames: Annotated[int, Range(at_least=2)] = 64
    flux: tuple[Positive, Positive] = (1e3, 1e9)
    probe_width: tuple[ProbeWidth, ProbeWidth] = (0.15, 0.6)
    pupil_width: tuple[PupilWidth, PupilWidth] = (0.2, 0.65)
    step: tuple[Positive, Positive] = (0.05, 0.6)
    objects: tuple[ObjectKind, ...] = get_args(ObjectKind)
    probes: tuple[ProbeKind, ...] = get_args(ProbeKind)
    modes: tuple[NotNegative, ...] = (0.5, 0.2, 0.2, 0.1)
    phase: tuple[Positive, Positive] = (0.3, 20.0)
    weak_phase: tuple[Positive, Positive] = (0.05, 0.3)
    weak: Share = 0.25
    absorption: Share = 0.8
    transmission: tuple[Positive, Positive] = (0.5, 1.5)
    right_guess: Share = 0.15
    disk_guess: Share = 0.15
    no_guess: Share = 0.15
    guess_errors: Share = 0.4
    defocus_factor: Pair = (0.4, 2.5)
    shift: NotNegative = 0.04
    amplitude: tuple[Positive, Positive] = (0.3, 3.0)
    phase_error: tuple[Positive, Positive] = (0.2, 1.2)
    background: tuple[Positive, Positive] = (1e-3, 0.1)
    dead_pixels: tuple[Positive, Positive] = (1e-3, 0.05)
    flicker: tuple[Positive, Positive] = (0.01, 0.1)
    position_error: tuple[Positive, Positive] = (0.002, 0.016)
    impaired: Share = 0.2

    def settle(self) -> None:
        for key, kind in kinds_of(type(self)).items():
            if (
                get_origin(kind) is tuple
                and Ellipsis not in get_args(kind)
                and getattr(self, key)[0] > getattr(self, key)[1]
            ):
                raise self.wrong(key, "expected two rising numbers")
        if not self.sizes or not self.objects or not self.probes or not sum(self.modes) > 0:
            raise InputError("recipe.sizes, objects, probes or modes name nothing: expected at least one of each")
        total = self.right_guess + self.disk_guess + self.no_guess
        if total > 1:
            raise InputError(f"recipe.right_guess, disk_guess and no_guess add up to {total:g}: expected at most 1")
