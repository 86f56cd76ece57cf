"""How many frames are held in memory at once: the one place that decides it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from ptychoflow.dataset.raw_scan import Frames

BLOCK_BYTES = 2**24
"""Bytes of the frames in a block, about; more pass the caches of processors by."""
SAMPLE_BYTES = 2**26
"""Bytes of the frames that are looked at together, once."""


def frame_blocks(frames: np.ndarray | Frames, kind: DTypeLike = np.float32) -> Iterator[slice]:
    """Slices that run through all frames, each of as many as are held in memory at once.

    Parameters
    ----------
    frames : ndarray or Frames
        (frames, H, W) of any dtype; of frames that are prepared as they are read, the prepared ones are counted.
    kind : dtype
        Of the numbers that a block is turned into, by which its bytes are counted.
    """
    return blocks(len(frames), frames.shape[1:], kind)


def blocks(count: int, shape: tuple[int, ...], kind: DTypeLike = np.float32) -> Iterator[slice]:
    """Slices that run through a number of images (H, W), each of as many as are held in memory at once."""
    at_once = max(1, BLOCK_BYTES // max(1, np.dtype(kind).itemsize * int(np.prod(shape, dtype=object))))
    for first in range(0, count, at_once):
        yield slice(first, min(first + at_once, count))


def mean_of(frames: np.ndarray | Frames, numbers: np.ndarray) -> np.ndarray:
    """Mean (H, W) float64 of some frames (chosen,) int64, rising, a block at a time; zeros of none."""
    total = np.zeros(frames.shape[1:])
    for block in frame_blocks(frames):
        some = numbers[(numbers >= block.start) & (numbers < block.stop)]
        if len(some):
            total += frames[some].sum(axis=0, dtype=np.float64)
    return total / max(1, len(numbers))


def narrowest_dtype(largest: float) -> np.dtype:
    """Narrowest unsigned integers that hold whole counts up to a number; float32 beyond what that counts."""
    return np.min_scalar_type(int(max(largest, 0))) if largest < 2**24 else np.dtype(np.float32)
