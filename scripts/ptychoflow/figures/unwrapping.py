"""Phases without jumps of a turn, and the points round which no such phase can be."""

import numpy as np
from skimage.restoration import unwrap_phase


def unwrapped(phase: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Take the jumps of a turn out of a phase, beginning where it is most reliable.

    The method is that of Herráez et al., Appl. Opt. 41, 7437 (2002), as scikit-image has it.

    Parameters
    ----------
    phase : ndarray
        (H, W) float radians.
    area : ndarray
        (H, W) bool, where it means something.

    Returns
    -------
    ndarray
        (H, W) float64 radians, whose mean over the area lies within half a turn of zero; NaN outside.
    """
    smooth = unwrap_phase(np.ma.array(phase.astype(np.float64), mask=~area), rng=0).filled(np.nan)
    return smooth - 2 * np.pi * np.round(smooth[area].mean() / (2 * np.pi))


def residues(phase: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Turns by which a phase grows on the way round each four neighbouring pixels.

    Where it is not zero, the wave has a zero between them, or noise enough for one, and what is unwrapped has a cut
    that begins or ends there (Goldstein, Zebker and Werner, Radio Sci. 23, 713, 1988).

    Parameters
    ----------
    phase : ndarray
        (H, W) float radians.
    area : ndarray
        (H, W) bool, where it means something.

    Returns
    -------
    ndarray
        (H − 1, W − 1) int, −1, 0 or 1 of the pixels (r, c) to (r + 1, c + 1), clockwise on the screen; 0 where one of
        them is outside.
    """
    corners = phase[:-1, :-1], phase[:-1, 1:], phase[1:, 1:], phase[1:, :-1]
    steps = [_wrapped(after - before) for before, after in zip(corners, (*corners[1:], corners[0]), strict=True)]
    turns = np.rint(sum(steps) / (2 * np.pi)).astype(int)
    inside = area[:-1, :-1] & area[:-1, 1:] & area[1:, 1:] & area[1:, :-1]
    return np.where(inside, turns, 0)


def _wrapped(difference: np.ndarray) -> np.ndarray:
    return (difference + np.pi) % (2 * np.pi) - np.pi
