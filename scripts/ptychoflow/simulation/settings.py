"""Settings of a simulated dataset; no torch here, so that a program can answer ``--help`` at once."""

from dataclasses import dataclass, field
from typing import Literal

from ptychoflow.data.geometry import Geometry
from ptychoflow.errors import InputError
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
    noise : bool
        Draw Poisson counts; otherwise the frames are the expected photons.
    seed : int
        Fixes object, scan and counts, each from a stream of its own.
    """

    object: ObjectSettings = field(default_factory=ObjectSettings)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    scan: ScanSettings = field(default_factory=ScanSettings)
    size: int = 64
    energy: float = 8850.0
    detector_distance: float = 0.343
    detector_pixel_size: float = 75e-6
    propagation: Literal["far", "near"] = "far"
    source_distance: float | None = None
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
