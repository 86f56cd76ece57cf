"""A reconstruction on disk: the form that network and iterative solvers share, and that scores and figures read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.hdf5 import new_hdf5, write_packed
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.errors import InputError
from ptychoflow.provenance.embedded import from_hdf5_attributes, hdf5_attributes

ARRAYS = ("object", "coverage", "halves", "probe", "positions", "held_out")
WHERE_KNOWN = ("trained", "brightness", "amplitude_deviation", "phase_deviation")
"""Arrays that not every reconstruction has."""
BITS_OF_HALVES = 12
"""Of the mantissa: halves tell the resolution by where their noise begins, far above an eight-thousandth."""


@dataclass
class Reconstruction:
    """An object, the light that fell on it, and where it came from.

    Parameters
    ----------
    object : ndarray
        (H, W) complex64, dimensionless transmission.
    coverage : ndarray
        (H, W) float32, accumulated probe intensity; one frame's peak counts as 1.
    halves : ndarray
        (2, H, W) complex64, objects of the even and of the odd frames alone; NaN where none were made apart. In a file
        they have `BITS_OF_HALVES`.
    probe : ndarray
        (modes, N, N) complex64, Σ|P|² = photons in the empty beam.
    positions : ndarray
        (frames, 2) float64, (row, column) pixels of the patch centres in the object frame.
    held_out : ndarray
        (frames,) bool, frames that were left out of all that made it, and judge it.
    pixel_size : float
        Metres at the sample.
    provenance : dict
        What made it, as `ptychoflow.provenance.record` describes it, with ``inference_seconds`` and
        ``stitching_seconds``.
    background : float
        Counts in each pixel that are no diffraction.
    trained : ndarray, optional
        (frames,) bool, frames that its network was trained on; none if not given.
    brightness : ndarray, optional
        (frames,) float32, the light of each frame over the probe's, where it was solved for.
    amplitude_deviation, phase_deviation : ndarray, optional
        (H, W) float32, standard deviations, radians for the phase, where asked for: the truth lies within 1.645 of them
        in 90 % of the scored pixels. NaN elsewhere.
    """

    object: np.ndarray
    coverage: np.ndarray
    halves: np.ndarray
    probe: np.ndarray
    positions: np.ndarray
    held_out: np.ndarray
    pixel_size: float
    provenance: dict[str, Any] = field(default_factory=dict)
    background: float = 0.0
    trained: np.ndarray | None = None
    brightness: np.ndarray | None = None
    amplitude_deviation: np.ndarray | None = None
    phase_deviation: np.ndarray | None = None

    @property
    def orientation(self) -> int:
        """Which of the eight orientations of its dataset's positions it was made with, as `turned_dataset` takes it."""
        return self.provenance.get("orientation", 0)


def as_reconstructed(dataset: Dataset, reconstruction: Reconstruction) -> Dataset:
    """Give a dataset with its positions as a reconstruction of it took them to run.

    Raises
    ------
    InputError
        Where the two do not belong together.
    """
    dataset, count = turned_dataset(dataset, reconstruction.orientation), len(reconstruction.positions)
    if reconstruction.object.shape != tuple(dataset.object_shape) or count > len(dataset.frames):
        raise InputError(
            f"the reconstruction has {count} frames and an object of {reconstruction.object.shape} pixels: "
            f"expected those of the dataset, {len(dataset.frames)} and {tuple(dataset.object_shape)}"
        )
    return dataset


def write_reconstruction(path: Path, reconstruction: Reconstruction) -> None:
    """Write a reconstruction as HDF5, whole or not at all."""
    known = [name for name in WHERE_KNOWN if getattr(reconstruction, name) is not None]
    with image_file(path, reconstruction, (*ARRAYS, *known)) as file:
        file["background"] = reconstruction.background
        file["background"].attrs["units"] = "photons"


def read_reconstruction(path: Path) -> Reconstruction:
    """Read what `write_reconstruction` wrote.

    Raises
    ------
    InputError
        Where the file is no HDF5 file or a key is missing.
    """
    parts = read_image(path, ARRAYS, "a reconstruction written by stitch.py", (*WHERE_KNOWN, "background"))
    return Reconstruction(**parts | {"background": float(parts.get("background", 0.0))})


@contextmanager
def image_file(path: Path, image: Any, arrays: Iterable[str]) -> Iterator[h5py.File]:
    """Write arrays, pixel size and provenance of an image as HDF5, whole or not at all; more may be added meanwhile.

    Parameters
    ----------
    path : Path
        File to write.
    image : object
        With ``pixel_size`` in metres, ``provenance``, and an attribute for each array.
    arrays : iterable of str
        Names of the arrays.
    """
    with new_hdf5(path) as file:
        for name in arrays:
            values = getattr(image, name)
            if values.dtype.kind in "fc" and np.isnan(values).all():
                # What is not known takes no room: a part that was never written reads as NaN.
                file.create_dataset(name, values.shape, values.dtype, chunks=True, fillvalue=values.dtype.type(np.nan))
            elif values.ndim > 1 and values.dtype in (np.float32, np.complex64):
                write_packed(file, name, values, *((BITS_OF_HALVES,) if name == "halves" else ()))
            else:
                file[name] = values
        file["pixel_size"] = image.pixel_size
        file["pixel_size"].attrs["units"] = "m"
        yield file
        file.attrs.update(hdf5_attributes(image.provenance))


def read_image(path: Path, arrays: Iterable[str], kind: str, known: Iterable[str] = ()) -> dict[str, Any]:
    """Read what `image_file` wrote, by name.

    Parameters
    ----------
    path : Path
        File to read.
    arrays : iterable of str
        Names of the arrays that it must have.
    kind : str
        What the file should be, for the message.
    known : iterable of str
        Names of arrays that are read where they are there.

    Raises
    ------
    InputError
        Where the file is no HDF5 file or a key is missing.
    """
    needed = (*arrays, "pixel_size")
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in needed if name not in file]
            if missing:
                raise InputError(f"{path} has no {missing[0]}: expected {kind}")
            parts = {name: file[name][()] for name in (*needed, *known) if name in file}
            provenance = from_hdf5_attributes(file.attrs)
            return parts | {"pixel_size": float(parts["pixel_size"]), "provenance": provenance}
    except OSError as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None


def seconds_of(provenance: dict[str, Any]) -> float | None:
    """Wall time that a reconstruction took from dataset to image, that of the one it started from included."""
    parts = ("starting_seconds", "solving_seconds", "inference_seconds", "stitching_seconds")
    known = [provenance[part] for part in parts if provenance.get(part) is not None]
    return sum(known) if known else None


def without_mean_phase(image: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Turn an object (H, W) complex so that its mean over an area (H, W) bool has no phase, which is free."""
    return image * np.exp(-1j * np.angle(image[area].mean()))
