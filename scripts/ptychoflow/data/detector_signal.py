"""From the numbers that a detector wrote to photons, and what these say over all frames of a scan."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychoflow.data.frame_blocks import frame_blocks
from ptychoflow.data.raw_scan import Frames
from ptychoflow.errors import InputError


@dataclass
class Signal:
    """What a number in a frame means.

    Parameters
    ----------
    quantity : {"amplitude", "intensity"}
        What the frames hold; amplitudes are squared.
    corner : bool
        Whether the zero frequency stands in the corner; it is brought to pixel (H // 2, W // 2).
    dark : ndarray, optional
        (H, W) float, mean counts without light, with the zero frequency in the middle.
    threshold : float
        Counts below it, after the dark ones are subtracted, are zero.
    photons_per_count : float
        Gain.
    """

    quantity: Literal["amplitude", "intensity"] = "intensity"
    corner: bool = False
    dark: np.ndarray | None = None
    threshold: float = 0.0
    photons_per_count: float = 1.0

    def oriented(self, images: np.ndarray) -> np.ndarray:
        """Bring the zero frequency of images (..., H, W) into the middle."""
        return np.fft.fftshift(images, axes=(-2, -1)) if self.corner else images

    def photons(self, block: np.ndarray, good: np.ndarray) -> np.ndarray:
        """Turn oriented frames (n, H, W) into photons, float32, 0 where `good` (H, W) is False.

        Raises
        ------
        InputError
            Where there is a number below 0 on a good pixel and no dark frame to explain it.
        """
        counts = block.astype(np.float32)
        if not good.all():
            counts = np.where(good, counts, np.float32(0))
        if self.dark is not None:
            counts = np.where(good, np.maximum(counts - self.dark, 0), np.float32(0))
        elif counts.min() < 0:
            raise InputError(f"frames hold values down to {counts.min():g}: expected none below 0")
        if self.threshold:
            counts = np.where(counts < self.threshold, np.float32(0), counts)
        if self.quantity == "amplitude":
            counts = counts**2
        return counts if self.photons_per_count == 1 else counts * np.float32(self.photons_per_count)


@dataclass
class Statistics:
    """What was seen over all frames, each (H, W) and oriented with the zero frequency in the middle.

    Parameters
    ----------
    gap : ndarray
        bool, True where any frame has a mark instead of a count.
    saturated : ndarray
        bool, True where any frame is saturated.
    constant : ndarray
        bool, True where all frames hold one number.
    sums : ndarray
        float64, photons over all frames.
    """

    gap: np.ndarray
    saturated: np.ndarray
    constant: np.ndarray
    sums: np.ndarray


def look(
    frames: Frames,
    signal: Signal,
    good: np.ndarray,
    gaps: list[float] | None,
    saturation: float | None,
    sums_wanted: bool,
) -> Statistics:
    """Go through all frames once, block by block, or not at all where nothing is asked for.

    Parameters
    ----------
    frames : Frames
        (frames, H, W) numbers as they stand in the file.
    signal : Signal
        What they mean.
    good : ndarray
        (H, W) bool, oriented; pixels known as bad are not looked at.
    gaps : list of float, optional
        Numbers that mark a pixel without a count; of integers, negative ones and the largest if not given.
    saturation : float, optional
        Number from which on a pixel is saturated.
    sums_wanted : bool
        Whether sums and constant pixels are asked for.
    """
    shape = good.shape
    seen = Statistics(np.zeros(shape, bool), np.zeros(shape, bool), np.ones(shape, bool), np.zeros(shape))
    whole_numbers = np.issubdtype(frames[:1].dtype, np.integer)
    if not (sums_wanted or gaps or saturation is not None or (gaps is None and whole_numbers)):
        return seen
    first = signal.oriented(np.asarray(frames[:1]))[0]
    for some in frame_blocks(frames, np.float64):
        block = signal.oriented(np.asarray(frames[some]))
        marked = marks(block, gaps)
        seen.gap |= good & marked.any(axis=0)
        if saturation is not None:
            seen.saturated |= good & ((block >= saturation) & ~marked).any(axis=0)
        if sums_wanted:
            seen.constant &= (block == first).all(axis=0)
            seen.sums += signal.photons(block, good & ~seen.gap).sum(axis=0, dtype=np.float64)
    return seen


def marks(block: np.ndarray, gaps: list[float] | None) -> np.ndarray:
    """Tell marks from counts, bool of the block's shape; Eiger writes the largest integer, Pilatus -1 or -2."""
    if gaps is None:
        if not np.issubdtype(block.dtype, np.integer):
            return np.zeros(block.shape, bool)
        return (block < 0) | (block == np.iinfo(block.dtype).max)
    # In the file's own type: 4294967295 is another number in float32.
    if np.issubdtype(block.dtype, np.floating):
        values = np.array(gaps, block.dtype)
        return np.isin(block, values) | (np.isnan(block) if np.isnan(values).any() else False)
    return np.isin(block, gaps)
