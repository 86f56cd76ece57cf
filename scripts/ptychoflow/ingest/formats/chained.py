"""Frames put together from several datasets, or taken from among others."""

from collections.abc import Sequence

import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError


class ChainedFrames:
    """Frames of several datasets one after another.

    Parameters
    ----------
    parts : sequence of Frames
        Each (frames, H, W), of one H and W.
    """

    def __init__(self, parts: Sequence[Frames]) -> None:
        shapes = sorted({tuple(part.shape[1:]) for part in parts})
        if len(shapes) != 1:
            raise InputError(f"frames have the shapes {shapes}: expected one")
        kinds = {str(part.dtype) for part in parts if hasattr(part, "dtype")}
        if len(kinds) > 1:
            raise InputError(f"frames have the dtypes {sorted(kinds)}: expected one")
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (int(self.starts[-1]), *shapes[0])
        self.raster = self.shape[:1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[index]
        places = np.searchsorted(self.starts, rows, side="right") - 1
        found = []
        for place in np.unique(places):
            inside = rows[slice(*np.searchsorted(places, (place, place + 1)))]
            found.append(self.parts[place][inside - self.starts[place]])
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]))


class ChosenFrames:
    """Some frames among others.

    Parameters
    ----------
    frames : Frames
        All of them, (frames, H, W).
    rows : ndarray
        (chosen,) int, rising.
    """

    def __init__(self, frames: Frames, rows: np.ndarray) -> None:
        self.frames, self.rows = frames, rows
        self.shape = (len(rows), *frames.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self.frames[self.rows[index]]
