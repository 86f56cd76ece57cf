"""Numbers that a detector writes where it has no count, told by what they do: they stay in the same pixels."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

NOISE_SHARE = 0.01
"""Of the pixels that are below zero now and then, from which on that is noise; marks are in fewer."""
LARGE_SHARE = 0.05
"""Of the pixels that are masked by guess, which is worth a warning."""
SURELY = 16
"""Frames in which a count that varies does not stay the same by chance, and the count from which on a few will do."""
CONVENTIONS = (-1, -2)
"""Of integers, what Pilatus writes into gaps and onto bad pixels."""


class Mark(IntEnum):
    """Why a pixel is taken for one without counts."""

    NONE = 0
    STRANGE = 1
    NAMED = 2
    LARGEST = 3
    NEGATIVE = 4
    RECURRING = 5


@dataclass
class Range:
    """What pixels held over some frames.

    Parameters
    ----------
    least, largest : ndarray
        (pixels,) of the frames' dtype, the least and the largest finite number.
    strange : ndarray
        (pixels,) bool, True where any frame is NaN or infinite.
    named : ndarray
        (pixels,) bool, True where any frame holds a number that the settings call a mark.
    frames : int
        How many frames these are of.
    """

    least: np.ndarray
    largest: np.ndarray
    strange: np.ndarray
    named: np.ndarray
    frames: int


def marked_pixels(seen: Range, guess: bool, recurring: tuple[float, ...] = ()) -> np.ndarray:
    """Tell marked pixels from those that count, (pixels,) uint8 of `Mark`.

    Parameters
    ----------
    seen : Range
        What the pixels held.
    guess : bool
        Whether marks are found by what they do, since the settings name none.
    recurring : tuple of float
        Positive numbers that are known as marks wherever they stand.
    """
    marks = np.where(seen.named, Mark.NAMED, Mark.NONE).astype(np.uint8)
    if not guess or seen.frames == 0:
        return marks
    marks[seen.strange] = Mark.STRANGE
    if seen.least.dtype.kind in "ui":
        marks[seen.largest == np.iinfo(seen.least.dtype).max] = Mark.LARGEST
    constant = seen.least == seen.largest
    marks[_negative(seen, constant & (marks == 0)) & (marks == 0)] = Mark.NEGATIVE
    for value in recurring:
        marks[(seen.largest == value) & (marks == 0)] = Mark.RECURRING
    marks[_recurring(seen, constant, marks == 0)] = Mark.RECURRING
    return marks


def lasting_values(seen: Range, marks: np.ndarray) -> tuple[float, ...]:
    """Positive numbers that recur and that no count exceeds: wherever they stand, they are marks or no whole counts."""
    held = np.unique(seen.largest[marks == Mark.RECURRING])
    counts = seen.largest[marks == Mark.NONE]
    return tuple(value for value in held[_full(held)].tolist() if not len(counts) or value >= counts.max())


def _negative(seen: Range, constant: np.ndarray) -> np.ndarray:
    """Which pixels hold a mark below zero: one that stays, or that few pixels have; what many scatter to is noise."""
    below = seen.least < 0
    if not below.any():
        return below
    scattered = below & ~constant
    values = np.unique(seen.least[below & constant])
    # Of noise, a few frames hold many numbers, each for the time being.
    lasting = below & constant if seen.frames >= SURELY or len(values) <= 3 else np.zeros_like(below)
    if scattered.mean() > NOISE_SHARE:
        return lasting
    known = values.tolist() if lasting.any() else []
    known += CONVENTIONS if seen.least.dtype.kind == "i" else ()
    return lasting | (scattered & np.isin(seen.least, known))


def _recurring(seen: Range, constant: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Which pixels hold one positive number in every frame that no light does: the largest of all, or 2^k − 1."""
    same = left & constant & (seen.least > 0)
    varied = left & ~constant
    if not same.any():
        return same
    values = seen.largest
    if seen.frames == 1:
        # In a single frame, one number far above all others that many pixels share.
        top = values[same].max()
        others = values[left & (values < top)]
        lonely = same & (values == top)
        alone = lonely.sum() >= 4 and len(others) and top > 2 * others.max() and bool(_full(np.array([top]))[0])
        return lonely if alone else np.zeros_like(same)
    if same.sum() > varied.sum():
        return np.zeros_like(same)
    top = values[varied].max()
    held, place, count = np.unique(values, return_inverse=True, return_counts=True)
    full, shared = _full(held)[place], count[place] > 1
    sure = (values >= SURELY) | (values != np.round(values))
    enough = (seen.frames >= 4) & sure & (values >= top)
    either = full & (((seen.frames >= 8) | (values >= top)) & ((seen.frames >= 4) | shared))
    return same & (enough | either)


def _full(values: np.ndarray) -> np.ndarray:
    """Which numbers are the largest of so and so many bits, 2^k − 1 for k from 8 on, as float32 rounds them too."""
    places = [2**bits - 1 for bits in range(8, 65)]
    return np.isin(values.astype(np.float64), np.array([*places, *np.float32(places)], np.float64))


def notes_on_marks(marks: np.ndarray, largest: np.ndarray) -> list[str]:
    """Say what was masked by guess, a sentence for each kind that is worth one.

    Parameters
    ----------
    marks : ndarray
        (pixels,) uint8 of `Mark`, of the whole detector.
    largest : ndarray
        (pixels,) of the frames' dtype, the largest finite number that each pixel held.
    """
    notes = []
    recurring = marks == Mark.RECURRING
    if recurring.any():
        values = np.unique(largest[recurring])
        named = ", ".join(f"{value:.10g}" for value in values[:4]) + (", …" if len(values) > 4 else "")
        notes.append(
            f"{recurring.sum()} pixels hold {named} in every frame, which no light does: taken for marks and masked "
            f"(detector.gaps: [{named}] says so, [] counts them)"
        )
    kind = largest.dtype
    words = {
        Mark.STRANGE: "NaN or an infinite number",
        Mark.LARGEST: f"the largest number of {kind}",
        Mark.NEGATIVE: "a mark below zero",
    }
    for mark, word in words.items():
        share = float(np.mean(marks == mark))
        if share > LARGE_SHARE:
            notes.append(
                f"{share:.1%} of the pixels are masked since they hold {word} in some frame: expected a few per cent "
                "(detector.gaps names marks, frames.leave_out leaves frames out)"
            )
    return notes


def in_type(values: list[float], kind: np.dtype) -> np.ndarray:
    """Numbers in the file's own type, for 4294967295 is another one in float32; what it cannot hold is left out."""
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(kind)
    limits = np.iinfo(kind)
    whole = [int(value) for value in values if np.isfinite(value) and value == int(value)]
    return np.array([value for value in whole if limits.min <= value <= limits.max], kind)
