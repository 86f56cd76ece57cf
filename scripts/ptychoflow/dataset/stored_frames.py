"""Frames that stay in their file until they are wanted, so that a scan may be larger than memory."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.frame_blocks import blocks
from ptychoflow.dataset.hdf5 import read_rows
from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError


class StoredFrames:
    """Frames of an HDF5 file, (frames, N, N) float32; indexing by a slice or by frame numbers reads those.

    Values are checked as they are read.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Its dataset of frames.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        # Kept open: opening takes longer than reading a few frames.
        self.data = h5py.File(path, "r")[key]
        self.shape: tuple[int, ...] = self.data.shape
        self.counts_dtype = self.data.dtype if self.data.dtype.kind == "u" else self.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return _in_any_order(np.arange(len(self))[index], self._read)

    def _read(self, rising: np.ndarray) -> np.ndarray:
        try:
            frames = read_rows(self.data, rising, self.dtype)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{self.path}: key {self.key} cannot be read: {error}") from None
        if not np.isfinite(frames).all():
            raise InputError(f"{self.path}: frames hold NaN or infinite values: expected none")
        if frames.size and frames.min() < 0:
            raise InputError(f"{self.path}: frames hold counts down to {frames.min():g}: expected none below 0")
        return frames


class ConvertedFrames:
    """Photon counts of a foreign file's frames, which are converted as they are asked for.

    However many are asked for, as many raw frames are in memory at once as make a block.

    Parameters
    ----------
    raw : Frames
        (frames, H, W) as they stand in their file.
    convert : callable
        Turns a block (n, H, W) of them into (n, N, N) float32.
    shape : tuple of int
        (N, N) of a converted frame.
    counts_dtype : dtype
        What a file may keep them as: unsigned integers where they are whole numbers of photons.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        raw: Frames,
        convert: Callable[[np.ndarray], np.ndarray],
        shape: tuple[int, int],
        counts_dtype: np.dtype = dtype,
    ) -> None:
        self.raw, self.convert, self.counts_dtype = raw, convert, counts_dtype
        self.shape = (len(raw), *shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return _in_any_order(np.arange(len(self))[index], self._read)

    def _read(self, rising: np.ndarray) -> np.ndarray:
        parts = list(blocks(len(rising), self.raw.shape[1:]))
        if len(parts) == 1:
            return self.convert(self.raw[rising])
        frames = np.empty((len(rising), *self.shape[1:]), self.dtype)
        for block in parts:
            frames[block] = self.convert(self.raw[rising[block]])
        return frames


def _in_any_order(numbers: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Frames of these numbers, by what reads them rising and each once, as files give them fastest."""
    rising, place = np.unique(numbers, return_inverse=True)
    frames = read(rising)
    return frames if np.array_equal(rising, numbers) else frames[place.reshape(numbers.shape)]
