"""Zarr stores, of which frames are read block by block: a folder, or one packed as .zip."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.dataset.storage import ZARR_SIGNS
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.arrays import MOST_BYTES, MOST_PACKED, ArraySource
from ptychoflow.ingest.formats.chained import ChainedFrames
from ptychoflow.ingest.formats.numbers import only_number
from ptychoflow.ingest.formats.units import scale_of

T = TypeVar("T")


def is_store(path: Path) -> bool:
    """Whether a folder or a .zip file is a store."""
    if path.is_dir():
        return any((path / sign).is_file() for sign in ZARR_SIGNS)
    try:
        with open(path, "rb") as stream:
            if not stream.read(4).startswith(b"PK"):
                return False
        with zipfile.ZipFile(path) as archive:
            return not set(archive.namelist()).isdisjoint(ZARR_SIGNS)
    # Readers of damaged files raise anything.
    except Exception:
        return False


class ZarrSource(ArraySource):
    """Arrays of a store by their paths in it, with the attributes ``units`` of those that have one.

    Parameters
    ----------
    path : Path
        Folder or .zip.
    key : str
        What the array of a store is called that is nothing else.

    Raises
    ------
    InputError
        Where it is damaged, or holds what only code can unpack.
    """

    def __init__(self, path: Path, key: str) -> None:
        try:
            import zarr
        except ImportError:
            raise InputError("a Zarr store: expected the package zarr, by pip install zarr") from None
        _refuse_pickles(path)
        where = path if path.is_dir() else _attempted("the store", lambda: zarr.storage.ZipStore(path, mode="r"))
        root = _attempted("the store", lambda: zarr.open(where, mode="r"))
        self.lone = isinstance(root, zarr.Array)
        found = [(key, root)] if self.lone else _attempted("the store", lambda: list(root.members(max_depth=None)))
        self.arrays: dict[str, Any] = {name: item for name, item in found if isinstance(item, zarr.Array)}
        super().__init__(path, set(self.arrays))

    def _read(self, name: str) -> np.ndarray:
        array = self.arrays[name]
        if array.size * array.dtype.itemsize > MOST_BYTES:
            raise InputError(f"key {name} has shape {array.shape}: expected at most {MOST_BYTES >> 20} MiB")
        _require_content(name, array)
        return np.asarray(array[...])

    def chained(self, names: list[str], counts: set[int]) -> tuple[Frames, tuple[int, ...]]:
        """Frames of arrays one after another, along their first axes, and the axes that they have themselves."""
        for name in names:
            if name not in self:
                raise InputError(f"key {name} is missing among {sorted(self.keys)}")
        parts = [ZarrFrames(name, self.arrays[name]) for name in names]
        frames = parts[0] if len(parts) == 1 else ChainedFrames(parts)
        return frames, frames.raster

    def lengths(self, name: str, unit: str) -> np.ndarray:
        """Lengths in metres by the attribute ``units``, or as they stand where the settings name a unit."""
        value = super().lengths(name, unit)
        return value * (self._scale(name, "m") if unit == "default" else 1.0)

    def number(self, name: str, unit: str = "m") -> float:
        """One number, in metres or electronvolts."""
        return only_number(self.real(name), name) * self._scale(name, unit)

    def _scale(self, name: str, unit: str) -> float:
        attributes = _attempted(f"attributes of {name}", lambda: dict(self.arrays[name].attrs))
        return scale_of(attributes.get("units", attributes.get("unit")), name, unit)


class ZarrFrames:
    """Frames of one array, read as they are asked for.

    Parameters
    ----------
    key : str
        Its path in the store, for the message.
    array : zarr.Array
        (…, H, W); axes before the last two are counted through as frames.
    """

    def __init__(self, key: str, array: Any) -> None:
        if array.ndim < 3 or 0 in array.shape or array.dtype.kind not in "buif":
            raise InputError(f"key {key} has shape {array.shape}, {array.dtype}: expected real frames (frames, H, W)")
        _require_content(key, array)
        self.key, self.array, self.dtype, self.raster = key, array, array.dtype, array.shape[:-2]
        self.shape = (int(np.prod(self.raster, dtype=object)), *array.shape[-2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[index]
        return _attempted(f"key {self.key}", lambda: self._read(rows))

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if len(self.raster) > 1:
            places = zip(*np.unravel_index(rows, self.raster), strict=True)
            return np.stack([self.array[tuple(map(int, place))] for place in places])
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
            return np.asarray(self.array[int(rows[0]) : int(rows[-1]) + 1])
        return np.asarray(self.array.oindex[rows])


def _attempted(what: str, read: Callable[[], T]) -> T:
    """What reading gives, or a sentence: readers of damaged stores raise anything."""
    try:
        return read()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} cannot be read: {type(error).__name__}: {error}") from None


def _require_content(key: str, array: Any) -> None:
    """Refuse a shape with next to nothing stored behind it: what is missing would be read as one number."""
    size, stored = array.size * array.dtype.itemsize, _attempted(f"key {key}", array.nbytes_stored)
    if size > MOST_PACKED * max(stored, 1):
        raise InputError(f"key {key} has shape {array.shape}, but {stored} bytes are stored: expected its content")


def _refuse_pickles(path: Path) -> None:
    """Refuse a store that names Python's pickles, which unpack whatever code they hold, before it is opened."""

    def named(content: bytes) -> bool:
        return "pickle" in json.dumps(json.loads(content)).lower()

    def found() -> bool:
        if path.is_dir():
            return any(named(file.read_bytes()) for sign in ZARR_SIGNS for file in path.rglob(sign))
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] in ZARR_SIGNS]
            return any(named(archive.read(name)) for name in names)

    if _attempted("the store", found):
        raise InputError("the store holds pickled objects: expected numbers, as nothing is unpickled")
