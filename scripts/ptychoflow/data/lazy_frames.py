"""Frames that are converted block by block when they are asked for."""

from collections.abc import Callable

import numpy as np

from ptychoflow.data.raw_scan import Frames


class ConvertedFrames:
    """Photon counts of frames that are read when they are asked for.

    It serves where an array of frames does; as one, ``numpy.asarray``, it comes into memory whole.

    Parameters
    ----------
    raw : Frames
        Frames as they stand in their file.
    convert : callable
        Turns a block (frames, H, W) of them into (frames, N, N) float32.
    shape : tuple of int
        (N, N) of a converted frame.
    """

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(self, raw: Frames, convert: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int]) -> None:
        self.raw, self.convert = raw, convert
        self.shape = (len(raw), *shape)

    @property
    def size(self) -> int:
        """Numbers in all frames."""
        return int(np.prod(self.shape, dtype=object))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(index, slice) and index.step in (None, 1):
            rows = range(*index.indices(len(self)))
            return self.convert(self.raw[index]) if len(rows) else np.empty((0, *self.shape[1:]), self.dtype)
        rows = np.arange(len(self))[index]
        # Files give frames in rising order and each once.
        rising, place = np.unique(rows, return_inverse=True)
        if not len(rising):
            return np.empty((0, *self.shape[1:]), self.dtype)
        return self.convert(self.raw[rising])[place.reshape(rows.shape)]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)
