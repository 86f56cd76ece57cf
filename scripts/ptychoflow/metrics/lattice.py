"""How much of an image is the lattice of its own scan: what a wrong centre, defocus or position prints into it.

Errors that all frames share repeat from one scan position to the next. On a regular raster they add up to an image with
the period of the raster, which the photons of left-out frames do not tell, since those share them as well.
"""

import numpy as np
from scipy import ndimage, optimize
from scipy.spatial import cKDTree

from ptychoflow.metrics.resolution import inner_square
from ptychoflow.metrics.similarity import unwrapped

HARMONICS = 8
"""Reciprocal vectors that count, the shortest; those of a square lattice are its eight nearest neighbours."""
REGULAR = 0.5
"""Power of the positions' structure factor from which they are a lattice: a raster jittered by up to ± 0.22 steps."""
MOST_FRAMES = 2000
"""Frames nearest to the middle from which the lattice is told first; all of them then refine it."""
MOST_SAMPLES = 200
"""Parts of the extent that a step is at least: positions that coincide tell of no lattice."""
REACH = 2
"""Fourier samples round a harmonic that belong to it: half the main lobe of a Hann window."""
HARDLY = 0.01
"""Variance of phase or amplitude over that of the other, up to which what prints into it is next to nothing."""
AROUND = 5
"""Fourier samples round a harmonic, those of it left out, that tell what would be there without a lattice."""


def lattice_vectors(positions: np.ndarray) -> np.ndarray | None:
    """Find the reciprocal lattice of scan positions.

    It is told from the structure factor |Σ exp(−2πi q · r)|² / n², which is 1 at the reciprocal vectors of an exact
    lattice, whatever its angle and steps, and about 1 / n for positions without any order.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float, pixels.

    Returns
    -------
    ndarray or None
        (2, 2) float, the two shortest reciprocal vectors in (row, column) cycles per pixel; None without a lattice.
    """
    if len(positions) < 16 or np.ptp(positions, axis=0).min() <= 0:
        return None
    offsets = positions - positions.mean(axis=0)
    middle = offsets[np.argsort(np.square(offsets).sum(axis=1), kind="stable")[:MOST_FRAMES]]
    extent = np.ptp(middle, axis=0)
    # Up to what the nearest neighbours tell, every half of what the extent resolves.
    nearest = np.median(cKDTree(middle).query(middle, k=2)[0][:, 1])
    most = 1.5 / max(min(nearest, np.sqrt(extent.prod() / len(middle))), extent.max() / MOST_SAMPLES)
    rows, columns = (np.arange(-np.floor(2 * length * most), 2 * length * most + 1) / (2 * length) for length in extent)
    row_waves, column_waves = (
        np.exp(-2j * np.pi * np.outer(q, r)) for q, r in zip((rows, columns), middle.T, strict=True)
    )
    factor = np.abs(row_waves @ column_waves.T / len(middle)) ** 2
    # A peak between two samples is lower there than it is.
    found = np.argwhere((factor == ndimage.maximum_filter(factor, 3)) & (factor > 0.5 * REGULAR))
    peaks = np.stack([rows[found[:, 0]], columns[found[:, 1]]], axis=1)
    basis: list[np.ndarray] = []
    for start in peaks[np.argsort(np.linalg.norm(peaks, axis=1), kind="stable")]:
        vector = _refined(start, offsets)
        if vector is None or np.linalg.norm(vector) < 1 / extent.max():  # any positions have the peak at zero
            continue
        if basis and abs(np.linalg.det([basis[0], vector])) < 0.3 * np.linalg.norm(basis[0]) * np.linalg.norm(vector):
            continue  # a harmonic of the first
        basis.append(vector)
        if len(basis) == 2:
            return np.stack(basis)
    return None


def _refined(start: np.ndarray, offsets: np.ndarray) -> np.ndarray | None:
    """Move a frequency (2,) to the peak of the structure factor of all positions; None if that is no lattice's."""

    def negative_factor(frequency: np.ndarray) -> float:
        return -(np.abs(np.exp(-2j * np.pi * offsets @ frequency).mean()) ** 2)

    reach = 0.25 / np.ptp(offsets, axis=0)
    simplex = start + np.array([[0, 0], [reach[0], 0], [0, reach[1]]])
    found = optimize.minimize(negative_factor, start, method="Nelder-Mead", options={"initial_simplex": simplex})
    return found.x if -found.fun >= REGULAR else None


def harmonics(basis: np.ndarray) -> np.ndarray:
    """Shortest reciprocal vectors (8, 2) that a basis (2, 2) spans, each beside its opposite."""
    steps = np.mgrid[-3:4, -3:4].reshape(2, -1).T
    vectors = steps[np.any(steps != 0, axis=1)] @ basis
    return vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[:HARMONICS]]


def lattice_shares(image: np.ndarray, area: np.ndarray, positions: np.ndarray) -> dict[str, float | None]:
    """Share of an image's variance in the lowest harmonics of the scan's lattice, less what their surroundings have.

    Parameters
    ----------
    image : ndarray
        (H, W) complex, an object.
    area : ndarray
        (H, W) bool; the largest square inside counts, under a Hann window, once a plane has been taken from the phase.
    positions : ndarray
        (frames, 2) float, pixels.

    Returns
    -------
    dict
        ``lattice_share`` of the phase and ``amplitude_lattice_share``, between 0 and 1; None where the scan has no
        lattice, the square no room for its harmonics, or a part hardly varies beside the other, as the amplitude of a
        pure phase.
    """
    shares: dict[str, float | None] = {"lattice_share": None, "amplitude_lattice_share": None}
    box, basis = inner_square(area), lattice_vectors(positions)
    if box is None or basis is None:
        return shares
    vectors = harmonics(basis)
    cut = image[box] * np.exp(-1j * np.angle(image[box].mean()))
    parts = {
        "lattice_share": windowed(unwrapped(np.angle(cut), np.ones(cut.shape, bool))),
        "amplitude_lattice_share": windowed(np.abs(cut)),
    }
    spread = {name: float(np.square(part).sum()) for name, part in parts.items()}
    return {
        name: variance_share(part, vectors) if spread[name] > HARDLY * max(spread.values()) else None
        for name, part in parts.items()
    }


def variance_share(image: np.ndarray, vectors: np.ndarray) -> float | None:
    """Share of a square image's variance at some frequencies, less what those beside them have.

    Parameters
    ----------
    image : ndarray
        (M, M) float, as `windowed` gives it.
    vectors : ndarray
        (n, 2) float, cycles per pixel; those beyond what pixels resolve do not count.

    Returns
    -------
    float or None
        Between 0 and 1; None where they lie too near to zero for the image's extent, or it does not vary.
    """
    size = len(image)
    resolved = vectors[(np.abs(vectors) < 0.5 - AROUND / size).all(axis=1)]
    if not len(resolved) or np.abs(resolved * size).max(axis=1).min() < AROUND + 1:
        return None
    power = np.abs(np.fft.fft2(image)) ** 2
    if power.sum() < 1e-12 * size**2:
        return None
    index = np.fft.fftfreq(size, 1 / size)
    own, beside = np.zeros(power.shape, bool), np.zeros(power.shape, bool)
    for vector in resolved:
        distance = np.maximum(np.abs(index[:, None] - vector[0] * size), np.abs(index - vector[1] * size))
        own |= distance <= REACH
        beside |= distance <= AROUND
    low = np.maximum(np.abs(index[:, None]), np.abs(index)) <= 1  # what the plane and the window leave of the mean
    beside &= ~own & ~low
    expected = power[beside].mean() * own.sum() if beside.any() else 0.0
    return float(np.clip((power[own].sum() - expected) / power.sum(), 0, 1))


def windowed(image: np.ndarray) -> np.ndarray:
    """A square image (M, M) less the plane that is nearest to it, under a Hann window, by which both are weighted."""
    window = np.hanning(len(image) + 2)[1:-1]
    window = window[:, None] * window
    axis = np.linspace(-1, 1, len(image))
    columns = np.stack([np.ones(image.shape), *np.meshgrid(axis, axis)], axis=-1).reshape(-1, 3)
    factors = np.linalg.lstsq(columns * window.ravel()[:, None], (image * window).ravel(), rcond=None)[0]
    return (image - (columns @ factors).reshape(image.shape)) * window
