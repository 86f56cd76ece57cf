"""A foreign HDF5 file that is open: arrays, numbers with their units, masks and probes by their keys."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.ingest.file_names import in_order
from ptychoflow.ingest.formats.arrays import MOST_BYTES
from ptychoflow.ingest.formats.chained import ChainedFrames
from ptychoflow.ingest.formats.hdf5_access import HDF5Frames, dataset_of, opened, require_content, require_numbers
from ptychoflow.ingest.formats.numbers import only_number
from ptychoflow.ingest.formats.probes import first_coherent
from ptychoflow.ingest.formats.units import scale_of
from ptychoflow.ingest.formats.zarr_store import is_store


class HDF5Source:
    """A foreign HDF5 file that is open.

    Parameters
    ----------
    path : Path
        The file.
    file : h5py.File
        The same, open for reading.
    """

    lone = False

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self.file = path, file

    def __contains__(self, key: str) -> bool:
        return self.item(key) is not None

    def item(self, key: str) -> h5py.Group | h5py.Dataset | None:
        """Group or dataset under a key; none where there is none, or a link that leads nowhere."""
        try:
            return self.file.get(key)
        # HDF5 answers damage and loops of links with anything from OSError and KeyError to RuntimeError.
        except Exception:
            return None

    def names(self, key: str) -> list[str]:
        """Names in a group, none where there is no such group."""
        group = self.item(key)
        try:
            return list(group) if isinstance(group, h5py.Group) else []
        except Exception as error:
            raise InputError(f"key {key} cannot be read: {error}") from None

    def first(self, *keys: str) -> str | None:
        """Give the first of the keys that is there."""
        return next((key for key in keys if key in self), None)

    def frames(self, *keys: str) -> HDF5Frames | ChainedFrames:
        """Frames of the first key that is there, to be read block by block; of a group, all of its numbered datasets.

        Detectors of Dectris write a master file whose group ``entry/data`` links to one such dataset in each file.
        """
        key = self._found(*keys)
        if not isinstance(self.item(key), h5py.Group):
            return HDF5Frames(self.path, key)
        names = self.names(key)
        numbered = [name for name in names if re.search(r"\d$", name)]
        if not numbered:
            raise InputError(
                f"key {key} is a group of {names[:12]}: expected a dataset, or numbered ones such as data_000001"
            )
        return ChainedFrames([HDF5Frames(self.path, f"{key}/{name}") for name in sorted(numbered, key=in_order)])

    def chained(self, keys: list[str], counts: set[int]) -> tuple[Frames, tuple[int, ...]]:
        """Frames of several datasets, or groups of them, one after another, and the axes that they have themselves.

        They stand along the first axis, however many positions there are, one of `counts`.
        """
        parts = [self.frames(key) for key in keys]
        frames = parts[0] if len(parts) == 1 else ChainedFrames(parts)
        return frames, frames.raster

    def numbers(self, *keys: str) -> np.ndarray:
        """Numbers of the first key that is there, complex where MATLAB and others keep two parts.

        Raises
        ------
        InputError
            Where no key is there, or it holds something else, or more than an array beside frames may.
        """
        key = self._found(*keys)
        dataset = dataset_of(self.file, key)
        require_numbers(key, dataset.dtype)
        if dataset.size * dataset.dtype.itemsize > MOST_BYTES:
            raise InputError(f"key {key} has shape {dataset.shape}: expected at most {MOST_BYTES >> 20} MiB")
        require_content(dataset, key)
        try:
            value = np.asarray(dataset[()])
        except Exception as error:
            raise InputError(f"key {key} cannot be read: {error}") from None
        if value.dtype.names:
            value = value[value.dtype.names[0]] + 1j * value[value.dtype.names[1]]
        return value

    def array(self, *keys: str) -> np.ndarray:
        """As `numbers`, without NaN."""
        value, key = self.numbers(*keys), self._found(*keys)
        if not np.isfinite(value).all():
            raise InputError(
                f"key {key} holds {np.count_nonzero(~np.isfinite(value))} NaN or infinite values: expected none"
            )
        return value

    def real(self, *keys: str) -> np.ndarray:
        """As `array`, but float64."""
        value = self.array(*keys)
        if np.iscomplexobj(value):
            raise InputError(f"key {self._found(*keys)} has dtype {value.dtype}: expected real numbers")
        return value.astype(np.float64)

    def number(self, *keys: str, unit: str = "m") -> float | None:
        """One number in metres or electronvolts, none where no key is there; its own attribute `units` wins."""
        key = self.first(*keys)
        if key is None:
            return None
        return only_number(self.real(key), key) * self.scale(key, unit)

    def scale(self, key: str, unit: str) -> float:
        """Metres or electronvolts in the unit of a dataset, which is `unit` where it says none."""
        return scale_of(self.attribute(key, "units", "unit"), key, unit)

    def lengths(self, key: str, unit: str) -> np.ndarray:
        """Lengths in metres by the dataset's own attribute `units`, or as they stand where the settings name a unit.

        NaN may stand among them, for frames that are left out.
        """
        value = self.numbers(key)
        if np.iscomplexobj(value):
            raise InputError(f"key {key} has dtype {value.dtype}: expected real numbers")
        return value.astype(np.float64) * (self.scale(key, "m") if unit == "default" else 1.0)

    def attribute(self, key: str, *names: str) -> Any | None:
        """First attribute that an object has, none where it has none of them."""
        item = self.item(key)
        try:
            found = next((name for name in names if item is not None and name in item.attrs), None)
            value = item.attrs[found] if found else None
        except Exception as error:
            raise InputError(f"attributes of {key} cannot be read: {error}") from None
        return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value

    def attribute_number(self, key: str, *names: str) -> float | None:
        """First attribute that is there as a finite number."""
        value = self.attribute(key, *names)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise InputError(f"attribute {names[0]} of {key} is {value}: expected a number")
        return number

    def probe(self, *keys: str) -> np.ndarray | None:
        """Probe modes (modes, N, N) complex64; of coherent ones before them, the first; none where no key is there."""
        key = self.first(*keys)
        return None if key is None else first_coherent(self.array(key))

    def good(self, key: str, good_is: bool) -> np.ndarray | None:
        """Good pixels (H, W) of a mask (H, W), or of one for each frame, where a pixel counts if it is always good.

        Numbers other than zero mark good pixels, or bad ones where `good_is` is False.
        """
        item = self.item(key)
        if not isinstance(item, h5py.Dataset):
            return None
        if item.ndim == 2:
            return (self.real(key) != 0) == good_is
        masks = self.frames(key)
        marks = [(masks[n : n + 16] != 0) == good_is for n in range(0, len(masks), 16)]
        return np.logical_and.reduce([mark.all(axis=0) for mark in marks])

    def _found(self, *keys: str) -> str:
        key = self.first(*keys)
        if key is None:
            raise InputError(f"key {' or '.join(keys)} is missing: the file has {sorted(self.names('/'))[:12]}")
        return key


def unless_stated(stated: float | None, read: Callable[[], float | None]) -> float | None:
    """Number of the file, whose faults do no harm where the settings state another in its place."""
    try:
        return read()
    except InputError:
        if stated is None:
            raise
        return None


@contextmanager
def hdf5_source(path: Path) -> Iterator[HDF5Source]:
    """Open a foreign file; errors are those of `opened`."""
    with opened(path) as file:
        yield HDF5Source(path, file)


def companion_path(path: Path, named: str | None, usual: str) -> Path:
    """Path of the second file of a format of two.

    Raises
    ------
    InputError
        Where there is no such file.
    """
    if not (named or usual):
        raise InputError(f"the file that belongs to {path.name} has no usual name: expected the setting companion")
    second = path.parent / (named or usual)
    if not (second.is_file() or is_store(second)):
        raise InputError(
            f"{second} is not there: expected the file that belongs to {path.name}, or its name as companion"
        )
    return second
