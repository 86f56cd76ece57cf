"""What a foreign file does not say about itself, or says wrongly; neither torch nor HDF5 here."""

import math
from dataclasses import dataclass, field
from typing import Literal

from ptychoflow.data.detector import DetectorSettings
from ptychoflow.data.frame_orientation import Orientation
from ptychoflow.errors import InputError


@dataclass
class PositionSettings:
    """How positions differ from what the format says of them.

    Parameters
    ----------
    swap : bool
        Exchange rows and columns, before the signs.
    row_sign : {1, -1}
        −1 turns the rows round.
    column_sign : {1, -1}
        −1 turns the columns round.
    unit : {"default", "pixels", "metres", "millimetres", "micrometres", "nanometres"}
        Unit of the stored numbers; pixels are those of the sample, λ z / (N p).
    """

    swap: bool = False
    row_sign: Literal[1, -1] = 1
    column_sign: Literal[1, -1] = 1
    unit: Literal["default", "pixels", "metres", "millimetres", "micrometres", "nanometres"] = "default"


@dataclass
class PathSettings:
    """Where the datasets of a plain HDF5 file are, for the format `hdf5` alone.

    Parameters
    ----------
    frames : str, optional
        (frames, H, W), or with a raster before the last two axes.
    positions : list of str
        One dataset (frames, 2) of rows and columns, or two, the rows' and the columns'.
    probe : str, optional
        (N, N) or (modes, N, N) complex.
    mask : str, optional
        (H, W), not zero where pixels are bad.
    good : str, optional
        (H, W), not zero where pixels are good.
    dark : str, optional
        (H, W) or (dark frames, H, W).
    energy : str, optional
        Photon energy; electronvolts where it has no attribute `units`.
    wavelength : str, optional
        In place of the energy; metres where it has no attribute `units`.
    detector_distance : str, optional
        Metres where it has no attribute `units`.
    detector_pixel_size : str, optional
        Metres where it has no attribute `units`.
    """

    frames: str | None = None
    positions: list[str] = field(default_factory=list)
    probe: str | None = None
    mask: str | None = None
    good: str | None = None
    dark: str | None = None
    energy: str | None = None
    wavelength: str | None = None
    detector_distance: str | None = None
    detector_pixel_size: str | None = None

    def __post_init__(self) -> None:
        if len(self.positions) > 2:
            raise InputError(f"paths.positions names {len(self.positions)} datasets: expected one, or rows and columns")


@dataclass
class IngestSettings:
    """What a foreign file does not say about itself, or says wrongly.

    Parameters
    ----------
    format : {"auto", "cxi", "ptychoshelves", "ptypy", "ptychodus", "ptylab", "ptychopinn", "tike", "hdf5"}
        Format of the file, or found by content.
    companion : str, optional
        Second file of a format of two, relative to the first; if not given, found by its usual name.
    paths : PathSettings
        Where the datasets of the format `hdf5` are.
    quantity : {"default", "amplitude", "intensity"}
        What the frames hold; by default amplitudes in PtychoPINN files and photon counts in all others.
    zero_frequency : {"default", "centre", "corner"}
        Where the direct beam falls; by default the corner in tike files and the centre in all others.
    orientation : Orientation
        How frames are turned to the rows and columns of the positions: transposed first, then flipped about the zero
        frequency.
    positions : PositionSettings
        How positions differ from what the format says of them.
    probe_diameter : float, optional
        Metres; a soft disk of this diameter stands for the probe, such as where the file has none.
    flux : float, optional
        Photons in the empty beam, to which the probe is scaled; if not given, the brightest frame's, which is right
        for a sample with a clear spot in the field.
    energy : float, optional
        Photon energy in electronvolts, in place of the file's; 8000 where neither is known nor needed.
    detector_distance : float, optional
        Metres, in place of the file's; 1 where neither is known nor needed.
    detector_pixel_size : float, optional
        Metres, in place of the file's; 75e-6 where neither is known nor needed.
    propagation : {"far", "near"}
        Whether frames are far fields or, behind a short distance, near ones (Fresnel's).
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample; the beam of a near field is parallel if not given.
    detector : DetectorSettings
        Bad pixels, background, gain, crop and binning, in the pixels of the frames as they are stored.
    """

    format: Literal["auto", "cxi", "ptychoshelves", "ptypy", "ptychodus", "ptylab", "ptychopinn", "tike", "hdf5"] = (
        "auto"
    )
    companion: str | None = None
    paths: PathSettings = field(default_factory=PathSettings)
    quantity: Literal["default", "amplitude", "intensity"] = "default"
    zero_frequency: Literal["default", "centre", "corner"] = "default"
    orientation: Orientation = "as_stored"
    positions: PositionSettings = field(default_factory=PositionSettings)
    probe_diameter: float | None = None
    flux: float | None = None
    energy: float | None = None
    detector_distance: float | None = None
    detector_pixel_size: float | None = None
    propagation: Literal["far", "near"] = "far"
    source_distance: float | None = None
    detector: DetectorSettings = field(default_factory=DetectorSettings)

    def __post_init__(self) -> None:
        if self.flux is not None and not 0 < self.flux < math.inf:
            raise InputError(f"flux is {self.flux}: expected a positive number of photons")
        for key in ("probe_diameter", "energy", "detector_distance", "detector_pixel_size", "source_distance"):
            value = getattr(self, key)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{key} is {value}: expected a positive number")
