"""Alignment before scoring: what diffraction cannot tell is taken out, and nothing else.

A reconstruction is free in a global shift, a complex factor and a phase ramp. All are fitted to the reference over the
well-illuminated area.
"""

import numpy as np
from scipy import ndimage, optimize
from skimage.registration import phase_cross_correlation

LARGEST_SHIFT = 4
"""Pixels that a reconstruction may lie off its reference."""

REFINEMENTS = 4
"""Gauss-Newton steps of the sub-pixel registration."""


def scored_area(coverage: np.ndarray, probe: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Well-illuminated scan area eroded by half a probe, (H, W) bool.

    Parameters
    ----------
    coverage : ndarray
        (H, W) float, accumulated probe intensity.
    probe : ndarray
        (modes, N, N) complex.
    positions : ndarray
        (frames, 2) float, pixels of the patch centres.

    Returns
    -------
    ndarray
        (H, W) bool: covered by at least a tenth of the median light inside the scanned field, and at least half a probe
        from where that ends; the half probe is the radius that holds half of the probe's power.
    """
    low, high = np.floor(positions.min(axis=0)).astype(int), np.ceil(positions.max(axis=0)).astype(int)
    inside = coverage[low[0] : high[0] + 1, low[1] : high[1] + 1]
    lit = coverage > 0.1 * np.median(inside)
    # The frame's edge is the end of the light.
    distance = ndimage.distance_transform_edt(np.pad(lit, 1))[1:-1, 1:-1]
    area = distance > probe_radius(probe)
    return area if area.any() else lit


def probe_radius(probe: np.ndarray) -> float:
    """Radius in pixels round the centre of the light that holds half of the probe's power."""
    intensity = (np.abs(probe) ** 2).sum(axis=0)
    rows, columns = np.indices(intensity.shape)
    centre = ndimage.center_of_mass(intensity)
    distance = np.hypot(rows - centre[0], columns - centre[1]).ravel()
    order = np.argsort(distance)
    held = np.cumsum(intensity.ravel()[order]) / intensity.sum()
    return float(distance[order][np.searchsorted(held, 0.5)])


def align(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Bring an estimate to the reference's place, complex scale and phase ramp.

    The shift starts from cross-correlation and is refined by Gauss-Newton steps on the squared error; factor and ramp
    are fitted anew after each. A shift that does not lower the error is not made.

    Parameters
    ----------
    estimate, reference : ndarray
        (H, W) complex.
    area : ndarray
        (H, W) bool, where they are compared.

    Returns
    -------
    ndarray
        (H, W) complex128, the aligned estimate.
    """
    best = fit_scale_and_ramp(estimate, reference, area)
    filled = [np.where(area, image - reference[area].mean(), 0) for image in (best, reference)]
    shift, _, _ = phase_cross_correlation(filled[1], filled[0], normalization=None)
    # A scan knows its place to a few pixels: a farther peak is a likeness of the object with itself.
    total = shift if np.abs(shift).max() <= LARGEST_SHIFT else np.zeros(2)
    for _ in range(REFINEMENTS):
        moved = fit_scale_and_ramp(_shifted(estimate, total), reference, area)
        if _error(moved, reference, area) < _error(best, reference, area):
            best = moved
        total = total + _shift_step(moved, reference, area)
    return best


def _shifted(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move a complex image by (row, column) pixels with quintic splines."""
    real, imaginary = (ndimage.shift(part, shift, order=5, mode="nearest") for part in (image.real, image.imag))
    return real + 1j * imaginary


def _shift_step(image: np.ndarray, reference: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Small (row, column) shift that brings an image nearest to the reference, to first order."""
    slopes = np.stack([-slope[area] for slope in np.gradient(image)], axis=1)
    residual = (reference - image)[area]
    step = np.linalg.lstsq(
        np.concatenate([slopes.real, slopes.imag]), np.concatenate([residual.real, residual.imag]), rcond=None
    )[0]
    return np.clip(step, -1, 1)


def fit_scale_and_ramp(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Multiply an estimate by the complex factor and phase ramp that bring it nearest to the reference.

    The ramp maximises |Σ reference · conj(estimate · ramp)|, the least-squares optimum for a free complex factor.
    """
    product = np.where(area, reference * np.conj(estimate), 0).astype(np.complex128)
    rows, columns = (np.arange(length) - length / 2 for length in product.shape)

    def negative_overlap(slope: np.ndarray) -> float:
        return -abs(np.exp(-1j * slope[0] * rows) @ product @ np.exp(-1j * slope[1] * columns))

    # The coarse optimum is the peak of the product's spectrum; the fine one lies within a sample of it.
    padded = [2 * length for length in product.shape]
    peak = np.unravel_index(np.argmax(np.abs(np.fft.fft2(product, padded))), padded)
    start = [2 * np.pi * np.fft.fftfreq(n)[p] for n, p in zip(padded, peak, strict=True)]
    scale = np.pi / np.array(product.shape)
    # The default simplex is degenerate where one slope starts at 0, and gets stuck.
    simplex = np.array(start) / scale + 0.5 * np.array([[0, 0], [1, 0], [0, 1]])
    found = optimize.minimize(
        lambda s: negative_overlap(s * scale), simplex[0], method="Nelder-Mead", options={"initial_simplex": simplex}
    )
    slope = found.x * scale
    ramp = np.exp(1j * (slope[0] * rows[:, None] + slope[1] * columns[None, :]))
    turned = estimate * ramp
    factor = np.vdot(turned[area], reference[area]) / np.vdot(turned[area], turned[area])
    return factor * turned


def _error(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> float:
    return float(np.sum(np.abs(estimate[area] - reference[area]) ** 2))
