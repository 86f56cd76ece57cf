"""A scan cut into tiles of neighbouring frames, so that a large one is reconstructed piece by piece."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MARGIN = 1 / 8
"""Share of a frame's width, round frames that are reconstructed together, within which others help."""


@dataclass
class Tile:
    """Frames that are reconstructed together.

    Parameters
    ----------
    frames : ndarray
        (frames,) int64, rising; each frame of a scan is in one tile.
    context : ndarray
        (others,) int64, frames of other tiles that overlap with these and help to reconstruct them.
    """

    frames: np.ndarray
    context: np.ndarray


def make_tiles(positions: np.ndarray, most: int, margin: float) -> list[Tile]:
    """Cut a scan into tiles by halving it along its longer side until each is small enough.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float, pixels.
    most : int
        Frames of a tile, its context not counted.
    margin : float
        Pixels round a tile from which its context is taken.
    """
    pieces = halve(positions, lambda piece: len(piece) <= most)
    return [Tile(piece, _around(positions, piece, margin)) for piece in pieces]


def halve(positions: np.ndarray, fits: Callable[[np.ndarray], bool]) -> list[np.ndarray]:
    """Cut places into compact pieces by halving along the longer side until each fits, or is a single place.

    Parameters
    ----------
    positions : ndarray
        (places, 2) float, pixels.
    fits : callable
        Whether a piece, (places of it,) int64, is small enough.

    Returns
    -------
    list of ndarray
        (places of the piece,) int64, rising.
    """
    pieces, small = [np.arange(len(positions))], []
    while pieces:
        piece = pieces.pop()
        if len(piece) == 1 or fits(piece):
            small.append(np.sort(piece))
            continue
        axis = np.argmax(np.ptp(positions[piece], axis=0))
        order = piece[np.argsort(positions[piece, axis], kind="stable")]
        pieces += [order[len(order) // 2 :], order[: len(order) // 2]]
    return small


def _around(positions: np.ndarray, piece: np.ndarray, margin: float) -> np.ndarray:
    low, high = positions[piece].min(axis=0) - margin, positions[piece].max(axis=0) + margin
    near = ((positions >= low) & (positions <= high)).all(axis=1)
    near[piece] = False
    return np.flatnonzero(near)
