"""Which way the axes of scan positions run against the frames: eight ways."""

import numpy as np

ORIENTATIONS = {
    "as they are": (1, 1, False),
    "their columns negated": (1, -1, False),
    "their rows negated": (-1, 1, False),
    "rows and columns both negated": (-1, -1, False),
    "rows and columns exchanged": (1, 1, True),
    "exchanged, then columns negated": (1, -1, True),
    "exchanged, then rows negated": (-1, 1, True),
    "exchanged, then both negated": (-1, -1, True),
}
"""Signs of rows and columns, and whether the two change places first; counted from 0."""


def orientations() -> list[tuple[int, int, bool]]:
    """Give the `ORIENTATIONS` by number."""
    return list(ORIENTATIONS.values())


def turned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) about their middle under one of the `orientations`."""
    rows, columns, swap = orientations()[orientation]
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    offsets = positions - middle
    return middle[:: -1 if swap else 1] + (offsets[:, ::-1] if swap else offsets) * [rows, columns]
