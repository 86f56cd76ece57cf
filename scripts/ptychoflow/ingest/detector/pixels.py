"""What the frames themselves tell of a detector: pixels without use, and where the direct beam falls."""

from dataclasses import dataclass

import numpy as np

from ptychoflow.ingest.detector.signal import Signal
from ptychoflow.ingest.detector.survey import Survey
from ptychoflow.settings.detector import DetectorSettings

LEAST_FRAMES = 16
"""Frames from which on a count that never changes is no chance."""
LEAST_SUM = 50.0
"""Photons over all frames on both sides of a pixel, from which on none at all in it means that it is dead."""
LIKE_ITS_INVERSE, MOST_ACROSS = 0.25, 10.0
"""Photons of the pixel across the beam from a lonely dark one, over those round either, and as a number: below both,
waves cancel at both. A pixel whose like counts more does not stay without any."""
PAIRED = 0.5
"""Share of lonely dark pixels whose inverse is dark, below which that is chance."""
LARGEST_CONTRAST = 8.0
"""How many times brighter than its third brightest neighbour no pixel of a beam is: the peak of a disk of 0.7 of the
frame has 4.5."""
ROUNDS = 3
"""Hot pixels hide each other; those that are found are left out when the others are sought."""
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""Each direction stands four places before its opposite."""


@dataclass
class JudgedPixels:
    """Which raw pixels are bad for what reason, (H, W) bool each.

    Parameters
    ----------
    known : ndarray
        True where neither file nor settings mask them.
    gap, saturated, dead, hot : ndarray
        True where they are bad for that reason.
    """

    known: np.ndarray
    gap: np.ndarray
    saturated: np.ndarray
    dead: np.ndarray
    hot: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """(H, W) bool, True for pixels that are bad for no reason."""
        return self.known & ~(self.gap | self.saturated | self.dead | self.hot)

    @property
    def numbers(self) -> dict[str, int]:
        """For the provenance: how many are bad for what reason."""
        return {
            "masked_pixels": int((~self.known).sum()),
            "gap_pixels": int(self.gap.sum()),
            "saturated_pixels": int(self.saturated.sum()),
            "dead_pixels": int(self.dead.sum()),
            "hot_pixels": int(self.hot.sum()),
        }


def judged_pixels(
    seen: Survey, signal: Signal, known: np.ndarray, sums: np.ndarray, count: int, settings: DetectorSettings
) -> JudgedPixels:
    """Find bad pixels by what the settings ask for.

    Parameters
    ----------
    seen : Survey
        What a look at the frames found.
    signal : Signal
        Turns what was seen to where the beam falls in the middle.
    known : ndarray
        (H, W) bool, True where neither file nor settings mask them, turned so.
    sums : ndarray
        (H, W) float, photons over the frames that count, turned so.
    count : int
        How many frames those are.
    settings : DetectorSettings
        What to look for.
    """
    gap = signal.oriented(seen.gap)
    saturated = dead = hot = np.zeros(known.shape, bool)
    if settings.saturation is not None:
        saturated = known & ~gap & signal.oriented(seen.largest >= settings.saturation)
    usable = known & ~gap & ~saturated
    if settings.find_dead:
        dead = dead_pixels(sums, usable)
    if settings.hot_factor is not None:
        # The mean of n speckled frames scatters by 1 / √n of itself.
        factor = settings.hot_factor * (1 + 3 / np.sqrt(count))
        constant = signal.oriented(seen.constant) & (count >= LEAST_FRAMES)
        hot = hot_pixels(sums, usable & ~dead, constant, factor)
    return JudgedPixels(known, gap, saturated, dead, hot)


def dead_pixels(sums: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Find pixels that never count although there is light on either side of them.

    Light on both sides along three of the four axes through a pixel tells it from one outside a sharply edged beam.
    On each side the nearest of two pixels that ever counts speaks, so that lines of up to three dead pixels are found.
    Points where the waves of the beam cancel are left out, see `waves_cancel`.

    Parameters
    ----------
    sums : ndarray
        (H, W) float, photons over all frames, ≥ 0.
    good : ndarray
        (H, W) bool, False for pixels that are known as bad.

    Returns
    -------
    ndarray
        (H, W) bool, True for dead pixels.
    """
    near, far = (_neighbours(np.where(good, sums, np.nan), distance) for distance in (1, 2))
    side = np.where(near > 0, near, np.where(np.isnan(far), near, far))
    either = np.minimum(side[:4], side[4:])
    bright, known = (either >= LEAST_SUM).sum(axis=0), np.isfinite(either).sum(axis=0)
    dead = good & (sums == 0) & ((bright >= 3) | ((bright == 2) & (known == 2)))
    if dead.any():
        centre, _ = beam_centre(sums, good & ~dead)
        dead[dead] = ~waves_cancel(np.where(good, sums, 0), good, dead, centre)
    return dead


def waves_cancel(light: np.ndarray, good: np.ndarray, dark: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Tell points where the waves of a beam cancel from dead pixels.

    A beam of sharp edges has such points. They stand alone, and their inverses through the middle are dark as well: of
    a far field little but the sample differs there.

    Parameters
    ----------
    light : ndarray
        (H, W) float, photons over all frames, 0 where bad.
    good : ndarray
        (H, W) bool.
    dark : ndarray
        (H, W) bool, pixels without photons of which it is asked.
    centre : tuple of int
        (row, column) of the middle.

    Returns
    -------
    ndarray
        (dark,) bool, in the order of `numpy.nonzero`.
    """
    here = np.array(np.nonzero(dark))
    # Far fields repeat beyond their edges.
    across = (2 * np.array(centre)[:, None] - here) % np.array(light.shape)[:, None]
    windows, beyond = windows_round(light, *here), windows_round(light, *across)
    # The middle is its own inverse, which tells nothing.
    alone = ((windows[1:-1, 1:-1] > 0).sum(axis=(0, 1)) == 8) & (here != across).any(axis=0)
    around = np.minimum(np.median(windows, axis=(0, 1)), np.median(beyond, axis=(0, 1)))
    paired = alone & good[*across] & (light[*across] < np.minimum(LIKE_ITS_INVERSE * around, MOST_ACROSS))
    # Where many pixels are dead, some have a dead inverse by chance.
    return paired & (paired.sum() >= PAIRED * alone.sum())


def windows_round(light: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What lies round some pixels (chosen,) of an image (H, W), (5, 5, chosen); it is mirrored at its edges."""
    padded = np.pad(light, 2, mode="reflect")
    return np.array([[padded[rows + i, columns + j] for j in range(5)] for i in range(5)])


def hot_pixels(sums: np.ndarray, good: np.ndarray, constant: np.ndarray, factor: float) -> np.ndarray:
    """Find pixels that count more than those round them and their like across the beam, or the same in every frame.

    A beam that is sampled well enough for ptychography is smooth, but for the peak and rings of a focused one. These
    stand out on both sides of the centre: a hot pixel must outshine its neighbours more than any pixel does round its
    inversion.

    Parameters
    ----------
    sums : ndarray
        (H, W) float, photons over all frames, ≥ 0.
    good : ndarray
        (H, W) bool, False for pixels that are known as bad.
    constant : ndarray
        (H, W) bool, True where all frames hold one number.
    factor : float
        How many times more.

    Returns
    -------
    ndarray
        (H, W) bool, True for hot pixels.
    """
    from scipy import ndimage

    hot = good & constant & (sums > 0) & (_neighbours(good & ~constant, 1).sum(axis=0) >= 4)
    for _ in range(ROUNDS):
        left = good & ~hot
        contrast = _contrast(sums, left)
        hot |= left & (contrast > max(LARGEST_CONTRAST, factor))
        centre, _ = beam_centre(sums, good & ~hot)
        contrast = np.where(hot, 0, contrast)
        like = _inverted(ndimage.maximum_filter(contrast, 3, mode="nearest"), centre, LARGEST_CONTRAST / factor)
        hot |= left & (contrast > factor * np.maximum(like, 1))
    return hot


def _contrast(sums: np.ndarray, good: np.ndarray) -> np.ndarray:
    """How many times brighter pixels surely are than their third brightest neighbour, (H, W) float; 0 if not good."""
    neighbours = np.sort(_neighbours(np.where(good, sums, -1.0), 1), axis=0)
    # The third of eight: two hot neighbours, as in a line, must not hide a third. Of fewer, a higher one.
    count = (neighbours >= 0).sum(axis=0)
    rank = np.maximum(np.rint(3 / 8 * count).astype(int), 1)
    typical = np.take_along_axis(neighbours, -rank[None], axis=0)[0]
    return np.where(good & (count > 0), np.maximum(sums - LEAST_SUM, 0) / np.maximum(typical, 1), 0)


def _inverted(image: np.ndarray, centre: tuple[int, int], outside: float) -> np.ndarray:
    """Invert an image (H, W) about a pixel; another number where the inversion lies outside."""
    (rows, row_inside), (columns, column_inside) = (
        (np.clip(places, 0, length - 1), (places >= 0) & (places < length))
        for places, length in ((2 * c - np.arange(n), n) for c, n in zip(centre, image.shape, strict=True))
    )
    return np.where(row_inside[:, None] & column_inside, image[np.ix_(rows, columns)], outside)


def beam_centre(pattern: np.ndarray, good: np.ndarray) -> tuple[tuple[int, int], float]:
    """Find the whole pixel about which a mean pattern is most symmetric under inversion.

    The score is the cosine between the amplitudes and their inversion, over the pixels that are good in both. Only
    centres are compared for which these hold half of the light.

    Parameters
    ----------
    pattern : ndarray
        (H, W) float, mean photons per pixel, ≥ 0.
    good : ndarray
        (H, W) bool.

    Returns
    -------
    centre : tuple of int
        (row, column).
    score : float
        1 for a pattern that equals its inversion.
    """
    # It takes longer to import than many a scan to read.
    from scipy import signal

    weight = good.astype(float)
    amplitude = np.sqrt(pattern) * weight
    # Convolved with itself, a pattern meets its inversion about c at the shift 2 c.
    overlap = signal.fftconvolve(amplitude, amplitude)[::2, ::2]
    power = signal.fftconvolve(amplitude**2, weight)[::2, ::2]
    enough = power > amplitude.ravel() @ amplitude.ravel() / 2
    score = np.where(enough, overlap / np.where(enough, power, 1), 0)
    row, column = np.unravel_index(np.argmax(score), score.shape)
    return (int(row), int(column)), float(score[row, column])


def _neighbours(image: np.ndarray, distance: int) -> np.ndarray:
    """Neighbours of every pixel in the eight `DIRECTIONS`, (8, H, W); the image is mirrored at its edges."""
    padded = np.pad(image, distance, mode="reflect")
    height, width = image.shape
    return np.stack(
        [padded[(1 + row) * distance :, (1 + column) * distance :][:height, :width] for row, column in DIRECTIONS]
    )
