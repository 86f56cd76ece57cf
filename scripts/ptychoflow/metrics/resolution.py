"""To which spatial frequency two images agree: Fourier ring correlation.

Thresholds are those of van Heel and Schatz, J. Struct. Biol. 151, 250 (2005).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptychoflow.files import replacing


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
        (H, W) bool; the largest centred rectangle round its middle that lies inside is compared, under a Hann window.
    """
    box = _inner_square(area)
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


def write_correlation(path: Path, correlation: RingCorrelation) -> None:
    """Write a correlation as CSV, one ring in a row."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["frequency", "correlation", "samples"])
        columns = (correlation.frequency, correlation.correlation, correlation.samples)
        writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


def read_correlation(path: Path) -> RingCorrelation:
    """Read the CSV that `write_correlation` wrote."""
    table = np.genfromtxt(path, delimiter=",", names=True)
    return RingCorrelation(table["frequency"], table["correlation"], table["samples"])


def _inner_square(area: np.ndarray) -> tuple[slice, slice]:
    """Grow a square from the middle of an area until it would leave it; at least 16 pixels."""
    rows, columns = np.nonzero(area)
    centre = round(rows.mean()), round(columns.mean())
    integral = np.pad(np.cumsum(np.cumsum(area, axis=0), axis=1), ((1, 0), (1, 0)))
    best = 8
    for half in range(8, min(*centre, area.shape[0] - centre[0], area.shape[1] - centre[1]) + 1):
        top, left, bottom, right = centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half
        inside = integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]
        if inside < (2 * half) ** 2:
            break
        best = half
    return slice(centre[0] - best, centre[0] + best), slice(centre[1] - best, centre[1] + best)
