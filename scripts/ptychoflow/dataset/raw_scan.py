"""A scan as a file of another tool holds it, before it is brought into the one form of `ptychoflow.dataset.dataset`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from ptychoflow.errors import InputError


class Frames(Protocol):
    """Frames that are read piece by piece: an array, or an HDF5 dataset that need not fit into memory.

    Indexing by a slice or by rising frame numbers gives an array of those frames.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray: ...


def shape_of(frames: Frames) -> tuple[int, int]:
    """Shape (H, W) of frames.

    Raises
    ------
    InputError
        Where they are no stack of at least one image.
    """
    if len(frames.shape) != 3 or 0 in frames.shape:
        raise InputError(f"frames have shape {tuple(frames.shape)}: expected at least one, (frames, H, W)")
    return int(frames.shape[1]), int(frames.shape[2])


@dataclass
class RawScan:
    """What a reader of a format gives, in that format's own conventions, which it names.

    Parameters
    ----------
    frames : Frames
        (frames, H, W) numbers as they stand in the file.
    positions : ndarray
        (frames, 2) float64, (row, column) of the array, rising with its indices, about any origin.
    positions_unit : {"metres", "pixels"}
        Unit of the positions; pixels are those of the sample, λ z / (N p), with N the width of the raw frames.
    quantity : {"amplitude", "intensity"}
        What the frames hold.
    zero_frequency : {"centre", "corner"}
        Where the direct beam falls.
    probe : ndarray, optional
        (modes, N, N) complex, of any scale, on the pixels of the sample λ z / (N p); N is the width of the raw frames,
        or that of the dataset, to which such a probe belongs already.
    good : ndarray, optional
        (H, W) bool, True for good pixels, oriented as the frames.
    dark : ndarray, optional
        (H, W) or (dark frames, H, W) float, what the detector counts without light.
    energy : float, optional
        Photon energy in electronvolts.
    detector_distance : float, optional
        Metres from sample to detector.
    detector_pixel_size : float, optional
        Metres.
    pixel_size : float, optional
        Metres at the sample, λ z / (N p), where the file has this in place of the distance or the detector's pixel.
    probe_diameter : float, optional
        Metres, of a disk that stands for the probe in a file that has none.
    companion : Path, optional
        The second file that it was read from.
    files : list of Path
        Those that the frames are in, where the settings list them.
    numbers : ndarray, optional
        (frames,) int, rising, which frames of the file these are; all of them if not given.
    truth : ndarray, optional
        (H, W) complex64, an object that the file calls true or guessed, in whose pixels the positions count.
    """

    frames: Frames
    positions: np.ndarray
    positions_unit: Literal["metres", "pixels"]
    quantity: Literal["amplitude", "intensity"] = "intensity"
    zero_frequency: Literal["centre", "corner"] = "centre"
    probe: np.ndarray | None = None
    good: np.ndarray | None = None
    dark: np.ndarray | None = None
    energy: float | None = None
    detector_distance: float | None = None
    detector_pixel_size: float | None = None
    pixel_size: float | None = None
    probe_diameter: float | None = None
    companion: Path | None = None
    files: list[Path] = field(default_factory=list)
    numbers: np.ndarray | None = None
    truth: np.ndarray | None = None
