"""What a foreign file does not say about itself, or says wrongly."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from ptychoflow.errors import InputError
from ptychoflow.physics.geometry import electron_wavelength, energy_of
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.settings.optics import OpticsSettings
from ptychoflow.settings.values import NotNegative, Positive, Real, Settings

if TYPE_CHECKING:
    import numpy as np

Format = Literal["auto", "cxi", "ptychoshelves", "ptypy", "ptychodus", "ptylab", "ptychopinn", "tike", "hdf5", "npz"]
Orientation = Literal[
    "as_stored",
    "flip_rows",
    "flip_columns",
    "flip_both",
    "transpose",
    "transpose_flip_rows",
    "transpose_flip_columns",
    "transpose_flip_both",
]
"""Transposed first, then flipped about the zero frequency."""


@dataclass
class PositionSettings(Settings):
    """How positions differ from what the format says of them.

    Parameters
    ----------
    swap : bool
        Exchange rows and columns, before the signs.
    row_sign : {1, -1}
        −1 turns the rows round.
    column_sign : {1, -1}
        −1 turns the columns round.
    scale : float
        Factor by which the scan was wider than it says, after the signs.
    stretch : float
        Factor by which its rows are stretched more than its columns, beside the scale: by its root, and they by one
        over it.
    shear : float
        Columns that a step of one along the rows adds, after the scale and the stretch.
    rotation : float
        Degrees by which the scan is turned at last, from the rows' axis towards that of the columns.
    unit : {"default", "pixels", "metres", "millimetres", "micrometres", "nanometres"}
        Unit of the stored numbers: `pixels` (at the sample, λ z / (N p)), `metres`, `millimetres`, `micrometres` or
        `nanometres`.
    """

    section: ClassVar[str] = "positions"
    swap: bool = False
    row_sign: Literal[1, -1] = 1
    column_sign: Literal[1, -1] = 1
    scale: Positive = 1.0
    stretch: Positive = 1.0
    shear: Real = 0.0
    rotation: Real = 0.0
    unit: Literal["default", "pixels", "metres", "millimetres", "micrometres", "nanometres"] = "default"

    @property
    def deforms(self) -> bool:
        """Whether the scan is another one than turns by a quarter and mirrors make of it."""
        return (self.scale, self.stretch, self.shear, self.rotation) != (1.0, 1.0, 0.0, 0.0)

    def turned(self, offsets: "np.ndarray") -> "np.ndarray":
        """Positions (n, 2) of rows and columns, exchanged, signed, scaled, stretched, sheared and turned."""
        import numpy as np

        if self.swap:
            offsets = offsets[:, ::-1]
        offsets = offsets * (self.row_sign, self.column_sign)
        if not self.deforms:
            return offsets
        root = math.sqrt(self.stretch)
        rows, columns = self.scale * root * offsets[:, 0], self.scale / root * offsets[:, 1]
        columns = columns + self.shear * rows
        cosine, sine = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        return np.stack([cosine * rows - sine * columns, sine * rows + cosine * columns], axis=1)


@dataclass
class FrameSettings(Settings):
    """Which frames of a file are left out.

    Parameters
    ----------
    leave_out : list of int or str
        List of numbers from 0 on, as the file counts, and of slices such as `"100:"`, `"::2"` and `"-3:"`.
    photons : tuple of float
        Least and most photons of a frame that counts; `null` where there is no limit.
    outliers : {"leave_out", "keep"}
        What becomes of frames that are more than 4 times as bright as those about them, or have less than a twentieth
        of their photons: `leave_out` or `keep`.
    surplus : {"refused", "at_end", "at_start"}
        Where there are more frames than positions, or fewer: the scan is `refused`, or the surplus left out, `at_end`
        or `at_start`.
    """

    section: ClassVar[str] = "frames"
    leave_out: list[int | str] = field(default_factory=list)
    photons: tuple[NotNegative | None, NotNegative | None] = (None, None)
    outliers: Literal["leave_out", "keep"] = "leave_out"
    surplus: Literal["refused", "at_end", "at_start"] = "refused"

    def settle(self) -> None:
        low, high = self.limits
        if not low <= high:
            raise self.wrong("photons", "expected the least and the most, null for none")
        for entry in self.leave_out:
            self._slice(entry)

    @property
    def limits(self) -> tuple[float, float]:
        """Least and most photons of a frame that counts."""
        low, high = self.photons
        return 0.0 if low is None else low, math.inf if high is None else high

    def numbers(self, count: int) -> list[int]:
        """Which of so many frames are left out by their numbers."""
        found: set[int] = set()
        for entry in self.leave_out:
            part = self._slice(entry)
            if isinstance(part, slice):
                found.update(range(*part.indices(count)))
            elif not -count <= part < count:
                raise InputError(f"frames.leave_out names frame {part}: expected one of {count}, counted from 0")
            else:
                found.add(part % count)
        return sorted(found)

    @staticmethod
    def _slice(entry: int | str) -> int | slice:
        """Number or slice that an entry of `leave_out` stands for."""
        try:
            parts = [int(part) if part.strip() else None for part in str(entry).split(":")]
        except ValueError:
            parts = []
        if len(parts) == 1 and parts[0] is not None:
            return parts[0]
        if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] == 0):
            raise InputError(f"frames.leave_out has {entry}: expected a number, or a slice such as 100:110")
        return slice(*parts)


@dataclass
class PathSettings(Settings):
    """Where the datasets of a plain HDF5, NPZ or MATLAB file are, for the formats `hdf5` and `npz` alone.

    Parameters
    ----------
    frames : str or list of str
        (frames, H, W), or with a raster before the last two axes; a list, or a group of numbered datasets such as those
        of a Dectris master, holds them one after another; so do files whose names or patterns stand here, beside the
        scan's own file, such as `frame_*.tif` or `scan_*.h5::entry/data`, in the order of their numbers.
    positions : str or list of str
        One dataset (frames, 2) of rows and columns, or two, the rows' and the columns', or those of a raster's axes;
        metres where there is no attribute `units`.
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

    section: ClassVar[str] = "paths"
    frames: list[str] | str = field(default_factory=list)
    positions: list[str] | str = field(default_factory=list)
    probe: str | None = None
    mask: str | None = None
    good: str | None = None
    dark: str | None = None
    energy: str | None = None
    wavelength: str | None = None
    detector_distance: str | None = None
    detector_pixel_size: str | None = None

    def settle(self) -> None:
        for key in ("frames", "positions"):
            if isinstance(getattr(self, key), str):
                setattr(self, key, [getattr(self, key)])
        if len(self.positions) > 2:
            raise InputError(f"paths.positions names {len(self.positions)} datasets: expected one, or rows and columns")


@dataclass
class IngestSettings(Settings):
    """What a foreign file does not say about itself, or says wrongly.

    Parameters
    ----------
    format : {"auto", "cxi", "ptychoshelves", "ptypy", "ptychodus", "ptylab", "ptychopinn", "tike", "hdf5", "npz"}
        `cxi`, `ptychoshelves`, `ptypy`, `ptychodus`, `ptylab`, `ptychopinn`, `tike`, `hdf5`, `npz`, or found by
        content; `hdf5` or `npz` where `paths` name datasets.
    companion : str, optional
        Second file of a format of two, relative to the first, which must be a local `path`; if not given, found by its
        usual name.
    paths : PathSettings
        Where the datasets of a plain HDF5 or NPZ file are.
    quantity : {"default", "amplitude", "intensity"}
        What the frames hold, `amplitude` or `intensity`; by default amplitudes in PtychoPINN files and photon counts in
        all others.
    zero_frequency : {"default", "centre", "corner"}
        Where the direct beam falls, `centre` or `corner`; by default the corner in tike files and the centre in all
        others.
    orientation : Orientation
        How frames are turned to the rows and columns of the positions: `flip_rows`, `flip_columns` or `flip_both` about
        the zero frequency, `transpose`, or `transpose_flip_rows`, `transpose_flip_columns`, `transpose_flip_both`,
        transposed first.
    positions : PositionSettings
        How positions differ from what the format says of them.
    frames : FrameSettings
        Which frames are left out.
    probe_diameter : float, optional
        Metres; a soft disk of this diameter stands for the probe, such as where the file has none.
    optics : OpticsSettings
        What the instrument knows of its light, from which the probe is computed in place of the file's.
    flux : float, optional
        Photons in the empty beam, to which the probe is scaled; if not given, the brightest frame's, which is right
        for a sample with a clear spot in the field; frames far brighter than those next to them do not count.
    energy : float, optional
        Photon energy in electronvolts, in place of the file's; 8000 where neither is known nor needed.
    voltage : float, optional
        Volts by which electrons were accelerated, in place of an energy: that of the photons of their wavelength.
    detector_distance : float, optional
        Metres, in place of the file's; 1 where neither is known nor needed.
    detector_pixel_size : float, optional
        Metres, in place of the file's; 75e-6 where neither is known nor needed.
    propagation : {"far", "near"}
        Whether frames are far fields or, behind a short distance, `near` ones (Fresnel's).
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample; the beam of a near field is parallel if not given.
    measure : bool, optional
        Whether the photons are asked for the geometry, to warn of where the file says otherwise: `true` for the whole
        of `inspect_dataset.py --measure`, half a minute or more; `false` for nothing; if not given, a few seconds for
        what is far off, and the whole where these doubt how wide, turned or deformed the scan is.
    detector : DetectorSettings
        Bad pixels, background, gain, crop and binning, in the pixels of the frames as they are stored.
    """

    format: Format = "auto"
    companion: str | None = None
    paths: PathSettings = field(default_factory=PathSettings)
    quantity: Literal["default", "amplitude", "intensity"] = "default"
    zero_frequency: Literal["default", "centre", "corner"] = "default"
    orientation: Orientation = "as_stored"
    positions: PositionSettings = field(default_factory=PositionSettings)
    frames: FrameSettings = field(default_factory=FrameSettings)
    probe_diameter: Positive | None = None
    optics: OpticsSettings = field(default_factory=OpticsSettings)
    flux: Positive | None = None
    energy: Positive | None = None
    voltage: Positive | None = None
    detector_distance: Positive | None = None
    detector_pixel_size: Positive | None = None
    propagation: Literal["far", "near"] = "far"
    source_distance: Positive | None = None
    measure: bool | None = None
    detector: DetectorSettings = field(default_factory=DetectorSettings)

    def settle(self) -> None:
        if self.optics.known and self.probe_diameter is not None:
            raise InputError(f"optics is a {self.optics.kind} beside probe_diameter: expected one of them")
        if self.optics.known and self.propagation == "near":
            raise InputError(
                f"optics is a {self.optics.kind} and propagation near: expected a far field, as the frames of a near "
                "one hold the beam itself"
            )
        if self.voltage is not None and self.energy is not None:
            raise InputError(f"energy is {self.energy} and voltage {self.voltage}: expected one of them")

    @property
    def stated_energy(self) -> float | None:
        """Electronvolts of the photons, or of photons of the wavelength of the electrons."""
        return self.energy if self.voltage is None else energy_of(electron_wavelength(self.voltage))
