"""Datasets of foreign HDF5 files: frames that are never read whole, and what untrusted files may not do.

Importing hdf5plugin lets HDF5 unpack what detectors write (bitshuffle, LZ4, Blosc, …).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.hdf5 import read_rows
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.virtual_sources import require_sources

MOST_PACKED = 4000
"""No filter packs data more tightly; a dataset that says so has nothing behind its shape."""


COMPLEX_PARTS = (("real", "imag"), ("re", "im"), ("Re", "Im"))
"""Names of the parts of complex numbers, beside those that h5py knows itself."""
MOST_NESTED = 4
"""Virtual datasets of virtual datasets."""


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
            dataset = dataset_of(file, key)
            if dataset.ndim < 3 or 0 in dataset.shape:
                raise InputError(f"key {key} has shape {dataset.shape}: expected (frames, H, W)")
            require_numbers(key, dataset.dtype)
            if dataset.dtype.kind == "c" or dataset.dtype.names:
                raise InputError(f"key {key} has dtype {dataset.dtype}: expected real numbers")
            require_content(dataset, key)
            self.dtype, self.raster = dataset.dtype, dataset.shape[:-2]
            self.shape = (int(np.prod(self.raster, dtype=object)), *dataset.shape[-2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        with opened(self.path) as file:
            dataset = dataset_of(file, self.key)
            if dataset.shape != (*self.raster, *self.shape[1:]):
                raise InputError(f"key {self.key} has another shape than before: expected a file at rest")
            try:
                if len(self.raster) == 1:
                    return read_rows(dataset, rows, dataset.dtype)
                return np.stack([dataset[place] for place in zip(*np.unravel_index(rows, self.raster), strict=True)])
            except Exception as error:
                raise InputError(f"key {self.key} cannot be read: {error}") from None


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    InputError
        Where it is no whole HDF5 file, or the library meets damage inside the block.
    """
    # Only foreign files need the package: programs that read our own do without.
    import hdf5plugin  # noqa: F401  Its import registers the filters.

    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None


def dataset_of(file: h5py.File, key: str) -> h5py.Dataset:
    """Dataset under a key, with a shape.

    Raises
    ------
    InputError
        Where there is none, or something else.
    """
    try:
        item = file.get(key)
    except Exception as error:
        raise InputError(f"key {key} cannot be read: {error}") from None
    if not isinstance(item, h5py.Dataset):
        link = file.get(key, getlink=True) if item is None else None
        if isinstance(link, h5py.ExternalLink):
            raise InputError(f"key {key} is kept in {link.filename} as {link.path}, which is not there: expected it")
        raise InputError(f"key {key} is {'missing' if item is None else 'a group'}: expected a dataset")
    if item.shape is None:
        raise InputError(f"key {key} is empty: expected numbers")
    return item


def require_numbers(key: str, dtype: np.dtype) -> None:
    """Refuse texts, references and records; two parts named as MATLAB and others name them are complex numbers."""
    if not (dtype.kind in "biufc" or dtype.names in COMPLEX_PARTS):
        raise InputError(f"key {key} has dtype {dtype}: expected numbers")


def require_content(dataset: h5py.Dataset, key: str, depth: int = 0) -> None:
    """Refuse a shape with nothing behind it, over which a reader would sit for ever, or take zeros for counts."""
    if dataset.is_virtual:
        if depth > MOST_NESTED:
            raise InputError(f"key {key} is virtual over more than {MOST_NESTED} files: expected fewer")
        for source in require_sources(dataset, key):
            require_content(source, key, depth + 1)
        return
    size, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if size > MOST_PACKED * max(stored, 1):
        raise InputError(f"key {key} has shape {dataset.shape}, but {stored} bytes are stored: expected its content")
