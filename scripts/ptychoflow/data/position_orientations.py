"""The eight ways that the axes of scan positions may run beside those of the frames."""

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


def turned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) about their middle under the orientation of a number."""
    *signs, exchanged = list(ORIENTATIONS.values())[orientation]
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    offsets = positions - middle
    return middle[:: -1 if exchanged else 1] + (offsets[:, ::-1] if exchanged else offsets) * signs
