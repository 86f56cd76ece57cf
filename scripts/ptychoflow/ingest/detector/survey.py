"""One look at all frames of a detector: which pixels hold marks, and how many photons each frame has."""

import io
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from ptychoflow.dataset.frame_blocks import SAMPLE_BYTES, frame_blocks
from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.marks import Mark, Range, in_type, lasting_values, marked_pixels, notes_on_marks
from ptychoflow.ingest.detector.signal import Signal

SAMPLE = 24
"""Frames that tell beforehand what is usual in a scan."""
LOST_SHARE = 0.25
"""Of the pixels, that a frame holds marks on beyond what is usual in its scan, from which on it is lost."""
FAR = 5.0
"""How many times brighter than a frame that few exceed one is that says nothing of the detector."""


@dataclass
class Survey:
    """What was seen over all frames, in their order and in the pixels of the file.

    Parameters
    ----------
    marks : ndarray
        (H, W) uint8 of `Mark`, why a pixel holds no counts.
    largest, least : ndarray
        (H, W) of the frames' dtype, the largest and the least finite number of each pixel.
    sums : ndarray
        (H, W) float64, photons over the frames that count; (0, 0) where nobody asked for them.
    counted : ndarray
        (frames,) bool, the frames that all of these are of: not lost ones, nor ones far brighter than the others.
    photons : ndarray
        (frames,) float64, on pixels that are known as good and hold no mark in that frame.
    lost : ndarray
        (frames,) bool, True where there are marks, or one number, nearly everywhere.
    notes : ndarray
        (notes,) str, what about the marks is worth a warning.
    """

    marks: np.ndarray
    largest: np.ndarray
    least: np.ndarray
    sums: np.ndarray
    counted: np.ndarray
    photons: np.ndarray
    lost: np.ndarray
    notes: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """(H, W) bool, True where there is a mark."""
        return self.marks != Mark.NONE

    @property
    def constant(self) -> np.ndarray:
        """(H, W) bool, True where all frames hold one number."""
        return self.least == self.largest

    def packed(self) -> bytes:
        """All of it as bytes, to be sent to another process."""
        stream = io.BytesIO()
        np.savez(stream, **{field.name: getattr(self, field.name) for field in fields(self)})
        return stream.getvalue()

    @classmethod
    def unpacked(cls, content: bytes) -> "Survey":
        """Read what `packed` gave."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def survey(
    frames: Frames,
    signal: Signal,
    known: np.ndarray,
    gaps: list[float] | None,
    sums_wanted: bool,
    pulse: Callable[[], None] = lambda: None,
) -> Survey:
    """Go through all frames once, block by block, after a look at a few of them.

    Parameters
    ----------
    frames : Frames
        (frames, H, W) numbers as they stand in the file.
    signal : Signal
        What they mean, in the pixels of the file.
    known : ndarray
        (H, W) bool, False for pixels that are known as bad.
    gaps : list of float, optional
        Numbers that mark a pixel without a count; found by what they do if not given.
    sums_wanted : bool
        Whether sums over the frames are asked for.
    pulse : callable
        Called after each block.

    Raises
    ------
    InputError
        Where the frames are no real numbers, or are NaN or infinite where the settings do not call that a mark.
    """
    kind = np.asarray(frames[:1]).dtype
    if kind.kind not in "buif":
        raise InputError(f"frames have dtype {kind}: expected real numbers")
    kind = np.dtype(np.uint8) if kind.kind == "b" else kind
    fitting = SAMPLE_BYTES // max(1, int(np.prod(frames.shape[1:])) * kind.itemsize)
    few = np.linspace(0, len(frames) - 1, min(len(frames), int(np.clip(fitting, 4, SAMPLE)))).astype(int)
    pixels = np.flatnonzero(known)
    sample = _Look(pixels, kind, signal, gaps)
    sample.see(np.asarray(frames[np.unique(few)]))
    marks = marked_pixels(sample.range, gaps is None)
    # What a few frames settle need not be looked at in all: each of them holds the same mark there.
    settled = (marks != Mark.NONE) & (sample.range.least >= sample.range.largest)
    look = _Look(pixels[~settled], kind, signal, gaps, lasting_values(sample.range, marks), sample, sums_wanted)
    for some in frame_blocks(frames, kind):
        look.see(np.asarray(frames[some]))
        pulse()
    seen = look.range
    own = marked_pixels(seen, gaps is None, look.recurring)
    if gaps is not None and (strange := seen.strange & (own == Mark.NONE)).any():
        raise InputError(
            f"frames hold NaN or infinite values on {strange.sum()} pixels: expected none, or .nan in detector.gaps"
        )

    def whole(values: np.ndarray, known_before: np.ndarray | None = None) -> np.ndarray:
        image = np.zeros(known.size, values.dtype)
        if known_before is not None:
            image[pixels] = known_before
        image[pixels[~settled]] = values
        return image.reshape(known.shape)

    marks, largest, least = (
        whole(after, before)
        for after, before in ((own, marks), (seen.largest, sample.range.largest), (seen.least, sample.range.least))
    )
    notes = notes_on_marks(marks.ravel(), largest.ravel())
    below = (least < 0) & (marks == Mark.NONE)
    if below.any() and not signal.expects_noise:
        notes.append(
            f"numbers scatter below zero, down to {least[below].min():g}, on {below.mean():.1%} of the pixels: taken "
            "for noise and set to zero (detector.threshold says from where counts are light, detector.pedestal what no "
            "light counts, detector.gaps which numbers are marks)"
        )
    sums = whole(look.sums) if sums_wanted else np.zeros((0, 0))
    return Survey(marks, largest, least, sums, *look.frames(), np.array(notes, dtype=str))


class _Look:
    """What some pixels hold over the frames that it is shown.

    Parameters
    ----------
    pixels : ndarray
        (pixels,) int, places of those that are looked at in a frame that is laid out flat.
    kind : dtype
        Of the frames.
    signal : Signal
        What numbers mean.
    gaps : list of float, optional
        Marks by the settings.
    recurring : tuple of float
        Positive numbers that are known as marks.
    usual : _Look, optional
        A look at a sample of the same frames, which tells what is usual.
    sums_wanted : bool
        Whether photons are summed over frames.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        kind: np.dtype,
        signal: Signal,
        gaps: list[float] | None,
        recurring: tuple[float, ...] = (),
        usual: "_Look | None" = None,
        sums_wanted: bool = False,
    ) -> None:
        self.pixels, self.kind, self.recurring = pixels, kind, recurring
        self.signal = signal.on(pixels)
        self.gaps = None if gaps is None else in_type(gaps, kind)
        self.usual = None if usual is None else usual.typical()
        number = len(pixels)
        self.least, self.largest = np.full(number, _limit(kind, 1)), np.full(number, _limit(kind, -1))
        self.strange, self.named = np.zeros(number, bool), np.zeros(number, bool)
        self.sums = np.zeros(number if sums_wanted else 0)
        self.seen: list[np.ndarray] = []

    @property
    def range(self) -> Range:
        """What marks are told by."""
        return Range(self.least, self.largest, self.strange, self.named, int(self.frames()[0].sum()))

    def frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which frames counted, (frames,) bool; their photons, float64; and which are lost, bool."""
        photons, lost, counted, _ = np.concatenate(self.seen, axis=1)
        return counted.astype(bool), photons, lost.astype(bool)

    def typical(self) -> tuple[float, float]:
        """Share of marks in a frame that is usual, and photons that few frames exceed."""
        photons, lost, _, share = np.concatenate(self.seen, axis=1)
        return _usual(share, photons[lost == 0])

    def see(self, block: np.ndarray) -> None:
        """Take in frames (n, H, W)."""
        numbers = block.reshape(len(block), -1).astype(self.kind, copy=False)
        if len(self.pixels) < numbers.shape[1]:
            numbers = numbers[:, self.pixels]
        marked, strange, named = self._marked(numbers)
        counts = numbers if marked is None else np.where(marked, self.kind.type(0), numbers)
        if not self.signal.is_plain or (self.kind.kind != "u" and counts.size and counts.min() < 0):
            counts = self.signal.photons(counts)
        photons = counts.sum(axis=1, dtype=np.float64)
        share = np.zeros(len(block)) if marked is None or not marked.size else marked.mean(axis=1)
        share = np.maximum(share, self._flat(numbers, photons))
        usual_share, usual_photons = self.usual or _usual(share, photons)
        lost = share > min(usual_share + LOST_SHARE, 0.999)
        counted = ~lost & (photons <= FAR * usual_photons)
        self.seen.append(np.stack([photons, lost, counted, share]))
        if not (counted.any() and numbers.size):
            return
        rows = slice(None) if counted.all() else counted
        low = high = numbers[rows]
        if strange is not None:
            low, high = (np.where(strange[rows], _limit(self.kind, sign), low) for sign in (1, -1))
            self.strange |= strange[rows].any(axis=0)
        np.minimum(self.least, low.min(axis=0), out=self.least)
        np.maximum(self.largest, high.max(axis=0), out=self.largest)
        if named is not None:
            self.named |= named[rows].any(axis=0)
        if self.sums.size:
            self.sums += counts[rows].sum(axis=0, dtype=np.float64)

    def _marked(self, numbers: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Which numbers (n, pixels) hold no count, are NaN or infinite, and are named; None where none is."""
        strange = named = None
        if self.kind.kind == "f":
            with np.errstate(over="ignore"):
                # What float32 cannot hold is no count either.
                finite = np.isfinite(numbers.astype(np.float32, copy=False))
            strange = None if finite.all() else ~finite
        if self.gaps is not None:
            named = _equal(numbers, self.gaps)
            if strange is not None and np.isnan(self.gaps.astype(np.float64)).any():
                # Infinity is no more of a count than NaN is.
                named = strange if named is None else named | strange
            found = named
        else:
            found = _equal(numbers, self._conventions())
        return found if strange is None else (strange if found is None else strange | found), strange, named

    def _conventions(self) -> np.ndarray:
        """Numbers that are marks wherever they stand, if they are no noise."""
        known = list(self.recurring)
        if self.kind.kind in "ui":
            known.append(np.iinfo(self.kind).max)
        return in_type(known + [-1, -2] * (self.kind.kind != "u"), self.kind)

    def _flat(self, numbers: np.ndarray, photons: np.ndarray) -> np.ndarray:
        """Share of frames at their own largest number, looked for where a frame is brighter than the others."""
        share = np.zeros(len(numbers))
        usual = self.usual[1] if self.usual else np.median(photons)
        for row in np.flatnonzero(photons > 3 * usual) if numbers.shape[1] else ():
            share[row] = np.mean(numbers[row] == np.max(numbers[row]))
        return share


def _usual(share: np.ndarray, photons: np.ndarray) -> tuple[float, float]:
    """Share of marks in a frame that is usual, and photons that few frames exceed."""
    bright = float(np.percentile(photons, 75)) if len(photons) else 0.0
    return float(np.median(share)), bright if bright > 0 else np.inf


def _equal(numbers: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Where numbers are one of a few values; None where none is."""
    found = None
    for value in values:
        equal = numbers == value
        if equal.any():
            found = equal if found is None else found | equal
    return found


def _limit(kind: np.dtype, sign: int) -> np.generic:
    """Largest (1) or least (−1) number of a type."""
    if kind.kind == "f":
        return kind.type(sign * np.inf)
    return kind.type(np.iinfo(kind).max if sign > 0 else np.iinfo(kind).min)
