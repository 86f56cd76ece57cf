"""Alignment before scoring: what diffraction cannot tell is taken out, and nothing else.

A reconstruction is free in a global shift, a complex factor and a phase ramp. All are fitted to the reference over the
well-illuminated area.
"""

import numpy as np
from scipy import ndimage, optimize
from skimage.registration import phase_cross_correlation


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

    The shift comes from upsampled cross-correlation (Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156, 2008),
    the ramp and scale from a least-squares fit; both are refined together once.

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
    aligned = fit_scale_and_ramp(estimate, reference, area)
    filled = [np.where(area, image - reference[area].mean(), 0) for image in (aligned, reference)]
    shift, _, _ = phase_cross_correlation(filled[1], filled[0], upsample_factor=100, normalization=None)
    # Cross-correlation of two images that agree may wander far off on a periodic object: a scan knows its place to
    # a few pixels.
    if np.abs(shift).max() > 0 and np.abs(shift).max() <= 4:
        moved = ndimage.shift(estimate.real, shift, order=5, mode="nearest") + 1j * ndimage.shift(
            estimate.imag, shift, order=5, mode="nearest"
        )
        moved = fit_scale_and_ramp(moved, reference, area)
        if _error(moved, reference, area) < _error(aligned, reference, area):
            return moved
    return aligned


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
    found = optimize.minimize(lambda s: negative_overlap(s * scale), np.array(start) / scale, method="Nelder-Mead")
    slope = found.x * scale
    ramp = np.exp(1j * (slope[0] * rows[:, None] + slope[1] * columns[None, :]))
    turned = estimate * ramp
    factor = np.vdot(turned[area], reference[area]) / np.vdot(turned[area], turned[area])
    return factor * turned


def _error(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> float:
    return float(np.sum(np.abs(estimate[area] - reference[area]) ** 2))
