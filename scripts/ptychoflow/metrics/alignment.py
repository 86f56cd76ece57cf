"""Alignment before scoring: what diffraction cannot tell is taken out, and nothing else.

A reconstruction is free in a global shift, a complex factor and a phase ramp. All are fitted to the reference over the
well-illuminated area.

Object and probe trade these: if both are moved by s, every exit wave is moved by s, which the far field does not tell.
So an object lies as far off its reference as its probe lies off the reference's, in the same direction; likewise a tilt
of the probe is the opposite tilt of the object.
"""

import numpy as np
from scipy import ndimage

LARGEST_SHIFT = 4
"""Pixels that a reconstruction may lie off its reference, besides what its probe tells."""

PROBE_UPSAMPLING = 10
"""Parts of a pixel to which two probes are registered; the object's own registration goes on from there."""

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


def between_probes(probe: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, float]:
    """Give what `align` needs to know of the probes of an estimate and of its reference.

    Parameters
    ----------
    probe, reference : ndarray
        (modes, N, N) complex; the numbers of modes may differ.

    Returns
    -------
    start : ndarray
        (2,) float, (row, column) pixels by which the estimate is moved to where its reference should be.
    reach : float
        Pixels that it may still be moved without such a clue, where the reference's probe is itself a guess.
    """
    return -probe_displacement(probe, reference), max(LARGEST_SHIFT, probe_radius(probe))


def probe_displacement(probe: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Displacement (2,) in (row, column) pixels of a probe's intensity (modes, N, N) from that of a reference."""
    # Powers of bright beams, multiplied, are beyond single precision.
    intensities = [np.square(np.abs(one), dtype=np.float64).sum(axis=0) for one in (probe, reference)]
    # What scores alone need is not loaded for the area of a picture.
    from skimage.registration import phase_cross_correlation

    # The shift that is found brings the second image to the first.
    shift, _, _ = phase_cross_correlation(*intensities, upsample_factor=PROBE_UPSAMPLING, normalization=None)
    return np.asarray(shift, float)


def align(
    estimate: np.ndarray,
    reference: np.ndarray,
    area: np.ndarray,
    start: np.ndarray | None = None,
    reach: float = LARGEST_SHIFT,
) -> np.ndarray:
    """Bring an estimate to the reference's place, complex scale and phase ramp.

    Parameters and errors are those of `register`.

    Returns
    -------
    ndarray
        (H, W) complex128, the aligned estimate.
    """
    return register(estimate, reference, area, start, reach)[0]


def register(
    estimate: np.ndarray,
    reference: np.ndarray,
    area: np.ndarray,
    start: np.ndarray | None = None,
    reach: float = LARGEST_SHIFT,
) -> tuple[np.ndarray, np.ndarray]:
    """Bring an estimate to the reference's place, complex scale and phase ramp, and tell how far it was moved.

    Shifts are looked for by cross-correlation: within `LARGEST_SHIFT` round where the estimate is, within as much round
    where its probe says that it belongs, and within `reach`. The one that fits best is refined by Gauss-Newton steps on
    the squared error; factor and ramp are fitted anew after each. A shift that does not lower the error is not made.

    Parameters
    ----------
    estimate, reference : ndarray
        (H, W) complex.
    area : ndarray
        (H, W) bool, where they are compared.
    start : ndarray, optional
        (2,) float, (row, column) pixels by which the estimate is first moved, as `between_probes` gives them.
    reach : float
        Pixels that it may be moved from where it is without such a clue.

    Returns
    -------
    aligned : ndarray
        (H, W) complex128.
    shift : ndarray
        (2,) float, (row, column) pixels by which the estimate was moved.
    """
    best, shift = fit_scale_and_ramp(estimate, reference, area), np.zeros(2)
    candidates = _correlated_shifts(best, reference, area, (LARGEST_SHIFT, reach))
    if start is not None and np.abs(start).max() >= 0.5:
        # A ramp can only be told from the object once both lie one on the other.
        near = fit_scale_and_ramp(_shifted(estimate, start), reference, area)
        candidates += [start + more for more in _correlated_shifts(near, reference, area, (LARGEST_SHIFT,))]
    candidates = list({tuple(np.rint(total)): total for total in candidates}.values())
    fits = [fit_scale_and_ramp(_shifted(estimate, total), reference, area) for total in candidates]
    errors = [_error(moved, reference, area) for moved in fits]
    chosen = int(np.argmin(errors))
    total, moved = candidates[chosen], fits[chosen]
    for remaining in reversed(range(REFINEMENTS)):
        if _error(moved, reference, area) < _error(best, reference, area):
            best, shift = moved, total
        if remaining:
            total = total + _shift_step(moved, reference, area)
            moved = fit_scale_and_ramp(_shifted(estimate, total), reference, area)
    return best, shift


def _correlated_shifts(
    estimate: np.ndarray, reference: np.ndarray, area: np.ndarray, reaches: tuple[float, ...]
) -> list[np.ndarray]:
    """Shifts (2,) in whole pixels where the cross-correlation over an area is highest, one within each reach."""
    mean = reference[area].mean()
    spectra = [np.fft.fft2(np.where(area, image - mean, 0)) for image in (reference, estimate)]
    correlation = np.abs(np.fft.ifft2(spectra[0] * spectra[1].conj()))
    shifts = []
    for reach in reaches:
        # The periodic correlation has the shift −s at its index −s.
        rows, columns = (np.arange(-most, most + 1) for most in (min(int(reach), n // 2 - 1) for n in area.shape))
        peak = np.unravel_index(np.argmax(correlation[np.ix_(rows, columns)]), (len(rows), len(columns)))
        shifts.append(np.array([rows[peak[0]], columns[peak[1]]], float))
    return shifts


def moved_area(area: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move an area (H, W) bool by (row, column) pixels, rounded to whole ones; nothing comes in from outside."""
    return ndimage.shift(area.astype(np.uint8), np.rint(shift), order=0, mode="constant").astype(bool)


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
    from scipy import optimize

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
