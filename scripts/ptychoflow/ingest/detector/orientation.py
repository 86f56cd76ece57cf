"""How frames are turned to the rows and columns of the positions, and their beam with them."""

import numpy as np

from ptychoflow.settings.ingest import Orientation

FLIPS = ((-2, ("flip_rows", "flip_both")), (-1, ("flip_columns", "flip_both")))
"""Axes, and the last words of the orientations that flip them."""


def oriented(images: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Turn images (…, H, W) whose zero frequency is at pixel (H // 2, W // 2), and stays at the middle.

    Parameters
    ----------
    images : ndarray
        (…, H, W) of any dtype.
    orientation : Orientation
        How they are turned.
    """
    if orientation.startswith("transpose"):
        images = np.swapaxes(images, -1, -2)
    for axis, words in FLIPS:
        if orientation.endswith(words):
            # Of an even number of pixels, the first has no partner on the other side of the zero frequency.
            even = images.shape[axis] % 2 == 0
            images = np.roll(np.flip(images, axis), 1 if even else 0, axis)
    return images


def oriented_offset(offset: tuple[float, float], orientation: Orientation) -> tuple[float, float]:
    """Turn a distance (row, column) from the middle of pixel (H // 2, W // 2) as `oriented` turns the pixels."""
    if orientation.startswith("transpose"):
        offset = offset[::-1]
    row, column = (
        -part if orientation.endswith(words) else part for part, (_, words) in zip(offset, FLIPS, strict=True)
    )
    return row, column
