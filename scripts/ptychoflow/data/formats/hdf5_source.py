"""Foreign HDF5 files: what is read from them, how much of it at a time, and what they may not do.

Frames are never read whole. Importing hdf5plugin lets HDF5 unpack what detectors write (bitshuffle, LZ4, Blosc, …).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  Its import registers the filters.
import numpy as np

from ptychoflow.data.formats.probes import first_coherent
from ptychoflow.errors import InputError

MOST_BYTES = 2**31
"""Largest array, other than frames, that is read at once."""
MOST_PACKED = 4000
"""No filter packs data more tightly; a dataset that says so has nothing behind its shape."""

UNITS = {
    "m": 1.0,
    "mm": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
    "angstrom": 1e-10,
    "pm": 1e-12,
    "ev": 1.0,
    "kev": 1e3,
    "mev": 1e6,
    "gev": 1e9,
    "j": 1 / 1.602176634e-19,
}
"""Metres, and electronvolts, by the names of units in lower case."""
LONG_NAMES = {
    "meter": "m",
    "metre": "m",
    "millimeter": "mm",
    "millimetre": "mm",
    "micrometer": "um",
    "micrometre": "um",
    "nanometer": "nm",
    "nanometre": "nm",
    "å": "angstrom",
    "electronvolt": "ev",
    "joule": "j",
}


class HDF5Frames:
    """Frames of one dataset of a file that is opened for each block and closed again.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        The dataset, (…, H, W); axes before the last two are counted through as frames.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        with opened(path) as file:
            dataset = _dataset(file, key)
            if dataset.ndim < 3 or 0 in dataset.shape:
                raise InputError(f"key {key} has shape {dataset.shape}: expected (frames, H, W)")
            _require_numbers(key, dataset.dtype)
            if dataset.dtype.kind == "c" or dataset.dtype.names:
                raise InputError(f"key {key} has dtype {dataset.dtype}: expected real numbers")
            _require_content(file, dataset, key)
            self.raster = dataset.shape[:-2]
            self.shape = (int(np.prod(self.raster, dtype=object)), *dataset.shape[-2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        with opened(self.path) as file:
            dataset = _dataset(file, self.key)
            if dataset.shape != (*self.raster, *self.shape[1:]):
                raise InputError(f"key {self.key} has another shape than before: expected a file at rest")
            try:
                if len(self.raster) == 1:
                    # One run of frames is read far faster than the same frames by number.
                    run = len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
                    return dataset[rows[0] : rows[-1] + 1] if run else dataset[rows]
                return np.stack([dataset[place] for place in zip(*np.unravel_index(rows, self.raster), strict=True)])
            except Exception as error:
                raise InputError(f"key {self.key} cannot be read: {error}") from None


class HDF5Source:
    """A foreign HDF5 file that is open.

    Parameters
    ----------
    path : Path
        The file.
    file : h5py.File
        The same, open for reading.
    """

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

    def frames(self, *keys: str) -> HDF5Frames:
        """Frames of the first key that is there, to be read block by block."""
        return HDF5Frames(self.path, self._found(*keys))

    def array(self, *keys: str) -> np.ndarray:
        """Numbers of the first key that is there, without NaN; complex where MATLAB keeps two parts.

        Raises
        ------
        InputError
            Where no key is there, or it holds something else, or more than an array beside frames may.
        """
        key = self._found(*keys)
        dataset = _dataset(self.file, key)
        _require_numbers(key, dataset.dtype)
        if dataset.size * dataset.dtype.itemsize > MOST_BYTES:
            raise InputError(f"key {key} has shape {dataset.shape}: expected at most {MOST_BYTES >> 20} MiB")
        _require_content(self.file, dataset, key)
        try:
            value = np.asarray(dataset[()])
        except Exception as error:
            raise InputError(f"key {key} cannot be read: {error}") from None
        if value.dtype.names:
            value = value["real"] + 1j * value["imag"]
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
        value = self.real(key)
        if value.size != 1:
            raise InputError(f"key {key} has shape {value.shape}: expected one number")
        return float(value.reshape(())) * self.scale(key, unit)

    def scale(self, key: str, unit: str) -> float:
        """Metres or electronvolts in the unit of a dataset, which is `unit` where it says none."""
        named = self.attribute(key, "units", "unit")
        if named is None:
            return UNITS[unit]
        name = (named.decode(errors="replace") if isinstance(named, bytes) else str(named)).strip().lower()
        name = LONG_NAMES.get(name.rstrip("s") if len(name) > 2 else name, name)
        if (UNITS.get(name) is None) or (name in ("ev", "kev", "mev", "gev", "j")) != (unit in ("ev", "kev", "j")):
            raise InputError(f"key {key} has the unit {named}: expected one such as {unit}")
        return UNITS[name]

    def lengths(self, key: str, unit: str) -> np.ndarray:
        """Lengths in metres by the dataset's own attribute `units`, or as they stand where the settings name a unit."""
        return self.real(key) * (self.scale(key, "m") if unit == "default" else 1.0)

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
        """Good pixels (H, W) of a mask (H, W), or of one for each frame, where a pixel counts if it is always good."""
        item = self.item(key)
        if not isinstance(item, h5py.Dataset):
            return None
        if item.ndim == 2:
            return (self.real(key) > 0) == good_is
        masks = self.frames(key)
        marks = [(masks[n : n + 16] > 0) == good_is for n in range(0, len(masks), 16)]
        return np.logical_and.reduce([mark.all(axis=0) for mark in marks])

    def _found(self, *keys: str) -> str:
        key = self.first(*keys)
        if key is None:
            raise InputError(f"key {' or '.join(keys)} is missing: the file has {sorted(self.names('/'))[:12]}")
        return key


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    InputError
        Where it is no whole HDF5 file, or the library meets damage inside the block.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None


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
    second = path.parent / (named or usual)
    if not second.is_file():
        raise InputError(
            f"{second} is not there: expected the file that belongs to {path.name}, or its name as companion"
        )
    return second


def _dataset(file: h5py.File, key: str) -> h5py.Dataset:
    try:
        item = file.get(key)
    except Exception as error:
        raise InputError(f"key {key} cannot be read: {error}") from None
    if not isinstance(item, h5py.Dataset):
        raise InputError(f"key {key} is {'missing' if item is None else 'a group'}: expected a dataset")
    if item.shape is None:
        raise InputError(f"key {key} is empty: expected numbers")
    return item


def _require_numbers(key: str, dtype: np.dtype) -> None:
    if not (dtype.kind in "biufc" or dtype.names == ("real", "imag")):
        raise InputError(f"key {key} has dtype {dtype}: expected numbers")


def _require_content(file: h5py.File, dataset: h5py.Dataset, key: str) -> None:
    """Refuse a shape with nothing behind it, over which a reader would sit for ever."""
    if dataset.is_virtual:
        parts = dataset.virtual_sources()
        mapped = sum(int(part.vspace.get_select_npoints()) for part in parts)
        if mapped < dataset.size:
            raise InputError(f"key {key} has shape {dataset.shape}, {mapped} values mapped: expected {dataset.size}")
        for part in parts:
            source = Path(file.filename).parent / part.file_name
            if part.file_name != "." and not source.is_file():
                raise InputError(f"key {key} is kept in {part.file_name}, which is not there: expected it beside")
        return
    size, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if size > MOST_PACKED * max(stored, 1):
        raise InputError(f"key {key} has shape {dataset.shape}, but {stored} bytes are stored: expected its content")
