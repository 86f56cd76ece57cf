"""To which spatial frequency two images agree: Fourier ring correlation.

Thresholds are those of van Heel and Schatz, J. Struct. Biol. 151, 250 (2005).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.files import replacing

SMALLEST_EDGE = 16
"""Edge in pixels of the smallest square whose rings mean something."""


@dataclass
class RingCorrelation:
    """Correlation by ring of spatial frequency.

    Parameters
    ----------
    frequency : ndarray
        (rings,) float, fractions of the Nyquist frequency.
    correlation : ndarray
        (rings,) float, real part of the normalised cross-spectrum.
    samples : ndarray
        (rings,) int, Fourier samples in each ring.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    samples: np.ndarray

    def threshold(self, name: str) -> np.ndarray:
        """Threshold curve (rings,): ``half``, ``half_bit`` or ``one_seventh``."""
        if name == "half_bit":
            root = np.sqrt(self.samples)
            return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
        return np.full(len(self.frequency), {"half": 1 / 2, "one_seventh": 1 / 7}[name])

    def crossing(self, name: str) -> float:
        """First frequency, as a fraction of Nyquist, where the correlation falls below a threshold; 1 if nowhere."""
        margin = self.correlation - self.threshold(name)
        below = np.flatnonzero(margin[1:] < 0)
        if not below.size:
            return 1.0
        ring = below[0] + 1
        before, after = margin[ring - 1], margin[ring]
        step = self.frequency[ring] - self.frequency[ring - 1]
        share = before / (before - after) if before > 0 else 0.0
        return float(self.frequency[ring - 1] + share * step)


def ring_correlation(first: np.ndarray, second: np.ndarray, area: np.ndarray) -> RingCorrelation:
    """Correlate two complex images ring by ring.

    Parameters
    ----------
    first, second : ndarray
        (H, W) complex, aligned.
    area : ndarray
        (H, W) bool; the largest square inside is compared, under a Hann window.

    Returns
    -------
    RingCorrelation
        Of no rings where the area has no square of 16 pixels.
    """
    box = inner_square(area)
    if box is None:
        return RingCorrelation(*np.empty((3, 0)))
    images = [image[box] - image[box].mean() for image in (first, second)]
    size = images[0].shape[0]
    window = np.hanning(size + 2)[1:-1]
    spectra = [np.fft.fft2(image * window[:, None] * window) for image in images]
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency[None, :]) * size
    ring = np.rint(radius).astype(int).ravel()
    rings = size // 2

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, values.ravel())[1 : rings + 1]

    cross = sums((spectra[0] * spectra[1].conj()).real)
    power = sums(np.abs(spectra[0]) ** 2) * sums(np.abs(spectra[1]) ** 2)
    correlation = cross / np.sqrt(np.maximum(power, np.finfo(float).tiny))
    samples = np.bincount(ring)[1 : rings + 1]
    return RingCorrelation(np.arange(1, rings + 1) / (size / 2), correlation, samples)


def write_correlations(path: Path, correlations: dict[str, RingCorrelation]) -> None:
    """Write correlations as CSV, one ring in a row; ``with`` names what an image was correlated with."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["frequency", "correlation", "samples", "with"])
        for name, correlation in correlations.items():
            columns = (correlation.frequency, correlation.correlation, correlation.samples)
            writer.writerows((*ring, name) for ring in zip(*(column.tolist() for column in columns), strict=True))


def read_correlations(path: Path) -> dict[str, RingCorrelation]:
    """Read the CSV that `write_correlations` wrote.

    Raises
    ------
    InputError
        Where it is none.
    """
    rings: dict[str, list[tuple[float, float, float]]] = {}
    with open(path, newline="", encoding="utf-8") as stream:
        try:
            for row in csv.DictReader(stream):
                values = float(row["frequency"]), float(row["correlation"]), float(row["samples"])
                rings.setdefault(row["with"], []).append(values)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is no table of correlations ({error}): expected what evaluate.py wrote") from None
    return {name: RingCorrelation(*np.array(rows).T) for name, rows in rings.items()}


def inner_square(area: np.ndarray) -> tuple[slice, slice] | None:
    """Find the largest square of an even number of pixels inside an area.

    Parameters
    ----------
    area : ndarray
        (H, W) bool.

    Returns
    -------
    tuple of slice or None
        Rows and columns; of several, the one nearest to the middle of the area. None where none has 16 pixels.
    """
    integral = np.pad(np.cumsum(np.cumsum(area, axis=0), axis=1), ((1, 0), (1, 0)))

    def corners(edge: int) -> np.ndarray:
        if edge > min(area.shape):
            return np.empty((0, 2), int)
        inside = integral[edge:, edge:] - integral[:-edge, edge:] - integral[edge:, :-edge] + integral[:-edge, :-edge]
        return np.argwhere(inside == edge**2)

    # A square holds all smaller ones, so their edges can be bisected.
    fits, too_large = 0, min(area.shape) // 2 + 1
    while too_large - fits > 1:
        half = (fits + too_large) // 2
        fits, too_large = (half, too_large) if len(corners(2 * half)) else (fits, half)
    if 2 * fits < SMALLEST_EDGE:
        return None
    found, middle = corners(2 * fits), np.argwhere(area).mean(axis=0)
    distance = np.square(found + fits - 0.5 - middle).sum(axis=1)
    top, left = (int(index) for index in found[np.argmin(distance)])
    return slice(top, top + 2 * fits), slice(left, left + 2 * fits)
