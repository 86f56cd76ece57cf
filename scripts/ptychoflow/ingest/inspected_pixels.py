"""Pixels of a detector that cannot be right by their photons over all frames: dead, dark in lines, or hot."""

import numpy as np
from scipy import ndimage

from ptychoflow.ingest.detector.pixels import waves_cancel, windows_round

LEAST_LIGHT = 20.0
"""Photons over all frames in the middle of those round a pixel, from which on none in it means that it is dead."""
LEAST_LINE = 200.0
"""Photons over all frames in the lines on both sides of one that never counts, from which on it is a gap."""
OUTSHINES, LEAST_HOT = 10.0, 100.0
"""By what factor a lonely pixel surely outshines all round it, and its photons over all frames, to be called hot: no
speckle that is sampled well enough for ptychography does."""
FADING = 0.5
"""Light next to a pixel over that further off, below which it is the dark middle of a fringe, which has a quarter."""


def dark_lines(light: np.ndarray, good: np.ndarray) -> tuple[int, int]:
    """Rows and columns that never count though the nearest on either side that do are bright.

    Parameters
    ----------
    light : ndarray
        (N, N) float, photons over all frames, 0 where bad.
    good : ndarray
        (N, N) bool.
    """
    found = []
    for axis in (1, 0):
        sums, known = light.sum(axis=axis), good.any(axis=axis)
        counting = np.flatnonzero(sums > 0)
        dark = np.flatnonzero((sums == 0) & known)
        after = np.searchsorted(counting, dark)
        inside = (after > 0) & (after < len(counting))
        sides = sums[counting[after[inside] - 1]], sums[counting[after[inside]]]
        found.append(int(np.count_nonzero(np.minimum(*sides) >= LEAST_LINE)))
    return found[0], found[1]


def hot_pixels(light: np.ndarray, good: np.ndarray) -> int:
    """How many good pixels, not the middle of the beam, outshine all round them; parameters as of `dark_lines`."""
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    brightest = ndimage.maximum_filter(light, footprint=around, mode="nearest")
    # Both as they would be at five standard deviations less and more.
    surely = light - 5 * np.sqrt(light) > OUTSHINES * (brightest + 5 * np.sqrt(brightest) + 5)
    # A diffuser, or no sample, leaves a beam that goes straight on.
    middle = slice(len(light) // 2 - 2, len(light) // 2 + 3)
    surely[middle, middle] = False
    return int(np.count_nonzero(surely & good & (light > LEAST_HOT)))


def measured_part(mask: np.ndarray) -> np.ndarray:
    """The part of a mask (N, N) bool that a detector has, where frames larger than it have bad pixels all round."""
    edge = np.concatenate([mask[[0, -1]].ravel(), mask[:, [0, -1]].ravel()])
    if edge.any() or not mask.any():
        return mask
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def dead_pixels(light: np.ndarray, good: np.ndarray) -> int:
    """How many good pixels never count though those round them do, and do not fade towards them.

    Nor are those dead where waves cancel, see `waves_cancel`. Parameters are those of `dark_lines`.
    """
    around = ndimage.uniform_filter(light, size=5, mode="nearest")
    dark = (light == 0) & good & (around > LEAST_LIGHT / 2)
    if not dark.any():
        return 0
    windows = windows_round(light, *np.nonzero(dark))
    beside = windows[1:-1, 1:-1].sum(axis=(0, 1)), (windows[1:-1, 1:-1] > 0).sum(axis=(0, 1))
    off = windows.sum(axis=(0, 1)) - beside[0], (windows > 0).sum(axis=(0, 1)) - beside[1]
    # Next to a pixel in the middle of a dead line there may be none that counts.
    fades = beside[0] * off[1] < FADING * off[0] * beside[1]
    middle = len(light) // 2
    cancels = waves_cancel(light, good, dark, (middle, middle))
    return int(np.count_nonzero((np.median(windows, axis=(0, 1)) > LEAST_LIGHT) & ~fades & ~cancels))
