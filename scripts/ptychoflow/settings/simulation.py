"""A simulated dataset: its object, its probe, its scan, and what is wrong with the probe that it names."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from ptychoflow.physics.geometry import Geometry
from ptychoflow.settings.values import (
    Count,
    FrameSize,
    Natural,
    NotNegative,
    Pair,
    Positive,
    Range,
    Real,
    Settings,
    Share,
    ShareBelowOne,
)

ObjectKind = Literal["lines", "image", "siemens_star", "grains", "cells", "wedge", "smooth", "texture"]
ProbeKind = Literal["zone_plate", "mirror", "disk", "diffuser"]
Picture = Literal["camera", "astronaut", "brick", "grass", "gravel", "coins", "moon", "page", "text"]
WITH_OUTLINES = ("grains", "cells", "texture")
"""Kinds made of bodies that may each have an absorption and a phase of their own."""


@dataclass
class ObjectSettings(Settings):
    """The simulated object.

    Parameters
    ----------
    kind : {"lines", "image", "siemens_star", "grains", "cells", "wedge", "smooth", "texture"}
        Random lines as in the PtychoPINN papers, natural images of scikit-image (`image`), a `siemens_star`, a
        polycrystal (`grains`), round biological `cells`, ramps and bumps (`wedge`), a random field with a power law for
        its spectrum (`smooth`), or the dead leaves that have the statistics of natural images (`texture`).
    absorption : float
        Amplitude contrast: the amplitude runs from 1 down to 1 − absorption.
    phase_shift : float
        Phase contrast in radians, of either sign: the phase runs from 0 to phase_shift.
    coupling : {"default", "material", "shapes", "independent"}
        What phase and absorption share: all, as one `material` has it; the outlines alone, of `grains`, `cells` and
        `texture` (`shapes`); or nothing (`independent`). By default nothing in `image`, which has two pictures, and all
        in the others.
    independent_phase : bool
        The same as the coupling `independent` for `lines`: other ones for the phase than for the amplitude.
    transmission : float
        Factor of the amplitude everywhere; above 1 for an object that is normalised to less than its full beam.
    offset_phase : float
        Radians by which all phases are shifted.
    feature_size : float
        Mean diameter in pixels of `grains` and `cells`, least width of bumps of `wedge`, and middle of the sizes of
        `texture`.
    spectral_slope : float
        By which power of the frequency the power of `smooth` falls.
    lines_per_kilopixel : float
        Density of `lines`, lines for every 1,000 pixels of area.
    line_width : float
        Full width of `lines` in pixels, about which widths vary by half.
    amplitude_image : str
        Name in skimage.data whose grey values become the absorption of `image`.
    phase_image : str
        Name in skimage.data whose grey values become the phase of `image`.
    spokes : int
        Spoke pairs of `siemens_star`.
    """

    section: ClassVar[str] = "object"
    kind: ObjectKind = "lines"
    absorption: Share = 0.6
    phase_shift: Real = 1.2
    coupling: Literal["default", "material", "shapes", "independent"] = "default"
    independent_phase: bool = False
    transmission: Positive = 1.0
    offset_phase: Real = 0.0
    feature_size: Annotated[float, Range(at_least=3)] = 16.0
    spectral_slope: Annotated[float, Range(at_least=0, at_most=10)] = 3.0
    lines_per_kilopixel: NotNegative = 2.5
    line_width: Positive = 3.0
    amplitude_image: Picture = "camera"
    phase_image: Picture = "coins"
    spokes: Count = 24

    def settle(self) -> None:
        if self.coupling == "shapes" and self.kind not in WITH_OUTLINES:
            raise self.wrong("coupling", f"expected another one for {self.kind}, or one of {', '.join(WITH_OUTLINES)}")
        if self.independent_phase and self.coupling not in ("default", "independent"):
            raise self.wrong("coupling", "expected independent beside independent_phase")

    @property
    def shared(self) -> str:
        """What phase and absorption share once the default of the kind is put in."""
        if self.coupling != "default":
            return self.coupling
        return (
            "independent" if self.kind == "image" or (self.kind == "lines" and self.independent_phase) else "material"
        )


@dataclass
class ProbeSettings(Settings):
    """The simulated probe.

    Parameters
    ----------
    kind : {"zone_plate", "mirror", "disk", "diffuser"}
        The defocused, curved probe of a zone plate or of a pair of crossed mirrors (`mirror`), a smoothed `disk`, or
        the full field behind a `diffuser`.
    flux : float
        Photons in the empty beam for each frame.
    modes : int
        Mutually incoherent modes: Hermite-Gauss derivatives of the first, each with half the power of the one before.
    disk_diameter : float
        Diameter of `disk` as a fraction of the frame.
    disk_curvature : float
        Phase of `disk` at its edge in radians, growing as the square of the radius; 0 is the ideal, flat disk.
    zone_plate_diameter : float
        Metres.
    mirror_aperture : tuple of float
        Metres (along the rows, along the columns) of the rectangle of light that `mirror` focuses.
    focal_length : float
        Metres, of `zone_plate` and `mirror`.
    defocus : float
        Distance from their focus to the sample in metres; the beam is divergent where it is positive.
    central_stop : float
        Diameter of the central stop as a fraction of the zone plate's.
    diffuser_phase : float
        Root mean square phase of `diffuser` in radians.
    diffuser_grain : float
        Standard deviation in pixels of the blur that makes it smooth.
    diffuser_seed : int
        Which diffuser it is; the dataset's seed does not change it.
    phase_error : float
        Root mean square in radians of smooth aberrations, drawn by the dataset's seed: in the pupil of `zone_plate` and
        `mirror`, at the sample in the others.
    """

    section: ClassVar[str] = "probe"
    kind: ProbeKind = "zone_plate"
    # Poisson counts are drawn as 64-bit integers.
    flux: Annotated[float, Range(above=0, at_most=1e18)] = 1e6
    modes: Count = 1
    disk_diameter: Annotated[float, Range(above=0, at_most=1)] = 0.4
    disk_curvature: Real = 0.0
    zone_plate_diameter: Positive = 160e-6
    mirror_aperture: tuple[Positive, Positive] = (160e-6, 120e-6)
    focal_length: Positive = 20e-3
    defocus: Real = 40e-6
    central_stop: ShareBelowOne = 0.3
    diffuser_phase: NotNegative = 1.5
    diffuser_grain: Positive = 3.0
    diffuser_seed: Natural = 0
    phase_error: NotNegative = 0.0


@dataclass
class ScanSettings(Settings):
    """The simulated scan.

    Parameters
    ----------
    kind : {"raster", "fermat", "spiral", "random"}
        Jittered raster, Fermat spiral, `spiral` of even turns, or uniformly random positions over the raster's area.
    frames : int
        Number of scan positions.
    step : float
        Mean distance of neighbouring positions in pixels.
    jitter : float
        Largest random displacement of the raster along each axis, as a fraction of the step.
    position_error : float
        By how many pixels, root mean square along each axis, the positions that are written down are wrong at random.
    position_drift : tuple of float
        By how many (row, column) pixels more they are wrong at the end of the scan than at its beginning.
    """

    section: ClassVar[str] = "scan"
    kind: Literal["raster", "fermat", "spiral", "random"] = "raster"
    frames: Annotated[int, Range(at_least=2)] = 1024
    step: Positive = 6.0
    jitter: NotNegative = 0.3
    position_error: NotNegative = 0.0
    position_drift: Pair = (0.0, 0.0)


@dataclass
class GuessSettings(Settings):
    """What is wrong with the probe that is written down; by default nothing is.

    Parameters
    ----------
    kind : {"probe", "disk", "none"}
        The probe with the errors below; a flat `disk` as wide, with them; or that disk, marked as no knowledge at all
        (`none`).
    defocus_factor : float
        Factor of the defocus of a zone plate or mirror, or of the curvature of a disk; 1 is right.
    shift : tuple of float
        (row, column) pixels by which it is displaced.
    tilt : tuple of float
        (row, column) pixels by which its far field is displaced.
    amplitude : float
        Factor of its amplitude.
    phase_error : float
        Root mean square in radians of a smooth phase, drawn by the dataset's seed, that it has too much.
    modes : int, optional
        Modes that are written; as many as there are if not given.
    """

    section: ClassVar[str] = "guess"
    kind: Literal["probe", "disk", "none"] = "probe"
    defocus_factor: Real = 1.0
    shift: Pair = (0.0, 0.0)
    tilt: Pair = (0.0, 0.0)
    amplitude: Positive = 1.0
    phase_error: NotNegative = 0.0
    modes: Count | None = None


@dataclass
class SimulationSettings(Settings, Geometry):
    """A simulated dataset.

    Parameters
    ----------
    object : ObjectSettings
        The object.
    probe : ProbeSettings
        The probe.
    scan : ScanSettings
        The scan.
    guess : GuessSettings
        What is wrong with the probe that is written down.
    size : int
        Edge length N of a frame in pixels, even.
    energy : float
        Photon energy in electronvolts.
    detector_distance : float
        Metres from sample to detector.
    detector_pixel_size : float
        Metres.
    propagation : {"far", "near"}
        Whether frames are far fields or, behind a short distance, `near` ones (Fresnel's).
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample; the beam of a near field is parallel if not given.
    background : float
        Counts on every pixel of a frame that did not come through the sample, on average.
    dead_pixels : float
        Share of the pixels that count nothing, at places drawn by the seed.
    beam_stop : float
        Diameter of a stop in the middle of a far field as a fraction of the frame.
    flicker : float
        Relative root mean square by which the light differs from frame to frame.
    noise : bool
        Draw Poisson counts; otherwise the frames are the expected photons.
    seed : int
        Fixes object, scan, counts and whatever else is drawn, each from a stream of its own.
    """

    object: ObjectSettings = field(default_factory=ObjectSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    scan: ScanSettings = field(default_factory=ScanSettings)
    guess: GuessSettings = field(default_factory=GuessSettings)
    size: FrameSize = 64
    energy: Positive = 8850.0
    detector_distance: Positive = 0.343
    detector_pixel_size: Positive = 75e-6
    propagation: Literal["far", "near"] = "far"
    source_distance: Positive | None = None
    background: Annotated[float, Range(at_least=0, at_most=1e18)] = 0.0
    dead_pixels: ShareBelowOne = 0.0
    beam_stop: ShareBelowOne = 0.0
    flicker: Annotated[float, Range(at_least=0, at_most=10)] = 0.0
    noise: bool = True
    seed: Natural = 0

    def settle(self) -> None:
        if self.beam_stop and self.propagation == "near":
            raise self.wrong("beam_stop", "expected 0 in a near field")
