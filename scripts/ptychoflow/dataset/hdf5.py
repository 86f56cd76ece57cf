"""HDF5 files that are whole or absent, on a full disk too."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.deflated import read_deflated
from ptychoflow.files import replacing, require_room

LARGEST_IN_MEMORY = 2**28
"""Bytes of a file that is made in memory."""
LARGEST_CHUNK = 2**24
"""Bytes of an image that are packed together."""
MANTISSA = 23
"""Bits of the mantissa of a float32."""


def read_rows(data: h5py.Dataset, rows: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Read rows of a dataset, each run of them at once: HDF5 takes far longer for a list than for ranges.

    Parameters
    ----------
    data : Dataset
        (frames, ...) numbers.
    rows : ndarray
        (rows,) int, rising.
    kind : dtype
        Of the array to give, (rows, ...).
    """
    values = np.empty((len(rows), *data.shape[1:]), kind)
    if read_deflated(data, rows, values):
        return values
    first = 0
    for end in np.flatnonzero(np.diff(rows, append=-1) != 1) + 1:
        data.read_direct(values, np.s_[rows[first] : rows[end - 1] + 1], np.s_[first:end])
        first = end
    return values


def write_packed(group: h5py.Group, name: str, values: np.ndarray, bits: int = MANTISSA) -> None:
    """Write an image, packed by deflate as every HDF5 unpacks it, and its numbers rounded where fewer bits will do.

    Parameters
    ----------
    group : Group
        Where to write.
    name : str
        Of the dataset.
    values : ndarray
        (..., H, W) float32 or complex64.
    bits : int
        Of the mantissa that are kept of float32's 23: a number is off by 2^-(bits + 1) of itself at most.
    """
    if bits < MANTISSA:
        values = rounded(values, bits)
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    if values.size:
        height, width = values.shape[-2:]
        # The small chunks that h5py would choose take a tenth more room.
        rows = min(height, max(1, LARGEST_CHUNK // (width * values.dtype.itemsize)))
        options["chunks"] = (*(1 for _ in values.shape[:-2]), rows, width)
    group.create_dataset(name, data=values, **options)


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 or complex64 numbers of any shape to so many bits of the mantissa; the others pack to nothing."""
    numbers = np.ascontiguousarray(values).view(np.float32)
    whole, last = numbers.view(np.uint32), np.uint32(MANTISSA - bits)
    # In the middle between two, to the even one.
    whole = (whole + ((1 << last) // 2 - 1) + (whole >> last & 1)) >> last << last
    # What is no number has no mantissa to round.
    return np.where(np.isfinite(numbers), whole.view(np.float32), numbers).view(values.dtype)


@contextmanager
def new_hdf5(path: Path, size: int = 0) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill, which is put in place of `path` when the block ends well.

    It is made in memory: on a full disk the HDF5 library itself may crash, and leave no word. A large one is made on
    the disk, once there is room for it.

    Parameters
    ----------
    path : Path
        The file to write.
    size : int
        Bytes that it may come to.

    Raises
    ------
    OSError
        Where the disk is full, with the name of `path`.
    """
    if size > LARGEST_IN_MEMORY:
        require_room(path, size)
        with replacing(path) as temporary, h5py.File(temporary, "w") as file:
            yield file
        return
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        content = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
