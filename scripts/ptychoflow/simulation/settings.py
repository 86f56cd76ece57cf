"""Settings of a simulated dataset; no torch here, so that a program can answer ``--help`` at once."""

from dataclasses import dataclass, field
from typing import Literal

from ptychoflow.data.geometry import Geometry
from ptychoflow.errors import InputError
from ptychoflow.simulation.guess import GuessSettings
from ptychoflow.simulation.objects import ObjectSettings
from ptychoflow.simulation.probes import ProbeSettings
from ptychoflow.simulation.scans import ScanSettings


@dataclass
class SimulationSettings(Geometry):
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
        Whether frames are far fields or, behind a short distance, near ones (Fresnel's).
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
    size: int = 64
    energy: float = 8850.0
    detector_distance: float = 0.343
    detector_pixel_size: float = 75e-6
    propagation: Literal["far", "near"] = "far"
    source_distance: float | None = None
    background: float = 0.0
    dead_pixels: float = 0.0
    beam_stop: float = 0.0
    flicker: float = 0.0
    noise: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 8 or self.size % 2:
            raise InputError(f"size is {self.size}: expected an even number of at least 8 pixels")
        for key in ("energy", "detector_distance", "detector_pixel_size"):
            if not getattr(self, key) > 0:
                raise InputError(f"{key} is {getattr(self, key)}: expected a positive number")
        if self.source_distance is not None and not self.source_distance > 0:
            raise InputError(f"source_distance is {self.source_distance}: expected a positive number")
        if not 0 <= self.background <= 1e18:
            raise InputError(f"background is {self.background}: expected at least 0 and at most 1e18 counts")
        for key in ("dead_pixels", "beam_stop"):
            if not 0 <= getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}: expected a fraction of at least 0 and below 1")
        if self.beam_stop and self.propagation == "near":
            raise InputError(f"beam_stop is {self.beam_stop}: expected 0 in a near field")
        if not 0 <= self.flicker <= 10:
            raise InputError(f"flicker is {self.flicker}: expected a relative rms between 0 and 10")
