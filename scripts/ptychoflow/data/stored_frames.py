"""Frames that stay in their file until they are wanted, so that a scan may be larger than memory."""

from pathlib import Path

import h5py
import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.hdf5 import read_rows


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
    ndim = 3

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        # Kept open: opening takes longer than reading a few frames.
        self.data = h5py.File(path, "r")[key]
        self.shape: tuple[int, ...] = self.data.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        numbers = np.arange(len(self))[index]
        wanted, place = np.unique(numbers, return_inverse=True)
        try:
            frames = read_rows(self.data, wanted, self.dtype)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{self.path}: key {self.key} cannot be read: {error}") from None
        if not np.isfinite(frames).all():
            raise InputError(f"{self.path}: frames hold NaN or infinite values: expected none")
        if frames.size and frames.min() < 0:
            raise InputError(f"{self.path}: frames hold counts down to {frames.min():g}: expected none below 0")
        return frames if len(wanted) == len(numbers) and np.all(np.diff(numbers) > 0) else frames[place]
