"""What the frames of a dataset say by themselves: counts and their scatter, dead pixels, where the light falls."""

from typing import Any, Literal

import numpy as np
from scipy.special import chdtri

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.scan_shape import empty_beam
from ptychoflow.ingest.inspected_pixels import OUTSHINES, dark_lines, dead_pixels, hot_pixels, measured_part

LEAST_BEAM = 200.0
"""Photons over all frames that an empty beam would throw on a pixel, from which on a sample leaves some of them."""
MANY_NUMBERS = 8
"""Different numbers that are not all squares by chance."""
MANY_FRAMES, LEAST_FLOOR = 16, 3.0
"""Frames in which no count stays the same by chance, and counts that no darkness has in all of them."""
LEAST_GROUPS, PARTS = 40, 24
"""Groups of pixels in each of so many parts, from the dimmest to the brightest."""
LEAST_SUM = 60.0
"""Photons in a group of pixels over all pairs."""
QUARTER = 0.25
"""Of the groups of a part, those that change least, which tell its scatter."""
LEVEL, LEAST_SPAN = 1.1, 2.0
"""By what factor the scatter may differ over what factor of brightness, where it is that of photons."""
USUAL_GAIN = (0.6, 1.8)
"""Counts per photon that scatter as photons do; an estimate misses by a tenth or so, measured on simulated scans."""
MANY, MOST_ROOT = 2**20, 32.0
"""Counts that are looked at for fractions, roots and squares, and the largest root whose square is surely whole."""
SURE_GAIN = 0.25
"""How far from 1 counts per photon may be where they may as well be fractional."""


def inspected_frames(sample: Dataset, pairs: np.ndarray) -> tuple[dict[str, Any], list[str]]:
    """Counts and photons of frames; `pairs` (pairs, 2) int are the numbers of neighbouring frames."""
    frames, good = sample.frames, sample.mask
    counts = frames.reshape(len(frames), -1) if good.all() else frames[:, good]
    photons = counts.sum(axis=1, dtype=np.float64)
    largest = float(counts.max())
    some = counts.reshape(-1)[:: max(1, counts.size // MANY)]
    # A squared root of a whole number is not whole to the last digit.
    fractional = float(np.mean(np.abs(some - some.round()) > 1e-4 * np.maximum(some, 1)))
    at_limit = np.count_nonzero(counts == largest)
    near_limit = np.count_nonzero((counts >= 0.9 * largest) & (counts < largest))
    saturated = at_limit if largest >= 100 and at_limit >= 10 and at_limit > near_limit else 0
    flux = float(np.sum(np.abs(sample.probe.astype(np.complex128)) ** 2))
    gain = counts_per_photon(counts[pairs[:, 0]], counts[pairs[:, 1]]) if len(pairs) else None
    facts = {
        "counts_least": float(counts.min()),
        "counts_largest": largest,
        "counts_fractional_share": fractional,
        "counts_at_limit": saturated,
        "counts_per_photon": gain,
        "photons_per_frame_median": float(np.median(photons)),
        "photons_per_frame_least": float(photons.min()),
        "photons_per_frame_largest": float(photons.max()),
        "photons_in_probe": flux,
    }
    warnings = _quantity_warnings(power_of_counts(some), gain, fractional)
    if saturated:
        warnings.append(
            f"{saturated} counts stand at the largest value, {largest:g}, and fewer just below: the detector seems to "
            "be saturated (detector.saturation)"
        )
    if sample.probe_known and not 0.8 * photons.max() < flux < 50 * photons.max():
        warnings.append(
            f"the probe holds {flux:.3g} photons and the brightest frame {photons.max():.3g}: expected about as many "
            "(flux, quantity)"
        )
    if photons.min() < 0.1 * np.median(photons):
        warnings.append(
            f"a frame holds {photons.min():.3g} photons, the median {np.median(photons):.3g}: expected no frame "
            "without beam, unless the sample is opaque there (frames.photons, frames.leave_out)"
        )
    return facts, warnings


def _quantity_warnings(power: Literal["roots", "squares"] | None, gain: float | None, fractional: float) -> list[str]:
    """Say where numbers seem to be no counts of photons, by their power, counts per photon and share of fractions."""
    if power == "roots":
        return [
            "the squares of all numbers in the frames are whole: they seem to be amplitudes, roots of counts "
            "(quantity: amplitude)"
        ]
    if power == "squares":
        return [
            "all numbers in the frames are squares of whole numbers: they seem to be counts that were squared, as "
            "amplitudes are (quantity: intensity, or a file that holds the counts)"
        ]
    if gain is not None and not USUAL_GAIN[0] < gain < USUAL_GAIN[1]:
        return [
            f"counts of neighbouring frames scatter as if a photon counted {gain:.2g}: expected about 1, unless the "
            f"frames are amplitudes (detector.photons_per_count: {1 / gain:.2g} times what it is, quantity)"
        ]
    if fractional > 0.01 and not (gain and abs(gain - 1) < SURE_GAIN):
        return [
            f"{fractional:.0%} of the counts are fractional: expected whole photons, unless the frames are amplitudes "
            "(quantity), scaled, or without noise"
        ]
    return []


def power_of_counts(counts: np.ndarray) -> Literal["roots", "squares"] | None:
    """Tell counts (any shape, float) from their roots and their squares, by which of them are whole; None for counts.

    Also None where so few numbers are above 1 that it may be chance.
    """
    some = np.unique(counts[counts > 1.01]).astype(np.float64)
    low = some[some < MOST_ROOT]

    def whole(numbers: np.ndarray) -> np.ndarray:
        return np.abs(numbers - numbers.round()) < 1e-3

    if len(low) >= MANY_NUMBERS and whole(low**2).all() and not whole(low).all():
        return "roots"
    roots = np.sqrt(some[some < 2**22])
    return "squares" if len(roots) >= MANY_NUMBERS and whole(roots).all() else None


def counts_per_photon(first: np.ndarray, second: np.ndarray) -> float | None:
    """Gain of a detector by how counts of neighbouring frames scatter.

    The squared difference of two counts of as many expected photons is their sum on average; with g counts per photon,
    g times their sum. A sample adds to it most where there is much light, noise of the detector where there is little:
    between, the quotient is level, and least. The pixels in which the sample changes most are passed over.

    Parameters
    ----------
    first, second : ndarray
        (pairs, pixels) float, counts of frames that are nearly alike.

    Returns
    -------
    float or None
        Counts for each photon; None where no level part shows it.
    """
    sums = (first + second).sum(axis=0, dtype=np.float64)
    squares = ((first - second).astype(np.float64) ** 2).sum(axis=0)
    order = np.argsort(sums)
    sums, squares = (values[order][sums[order] > 0] for values in (sums, squares))
    if len(sums) < LEAST_GROUPS:
        return None
    # Dim pixels are joined until there is enough in each group to scatter like a number of independent ones.
    groups = np.unique(
        np.floor(np.cumsum(sums) / max(LEAST_SUM * _grain(sums, squares), sums.min())), return_index=True
    )[1]
    size = np.diff(groups, append=len(sums))
    level = np.add.reduceat(sums, groups) / size
    quotient = np.add.reduceat(squares, groups) / np.add.reduceat(sums, groups)
    parts = np.array_split(np.arange(len(level)), max(1, min(PARTS, len(level) // LEAST_GROUPS)))
    degrees = [len(first) * float(np.median(size[part])) for part in parts]
    lower = [
        float(np.quantile(quotient[part], QUARTER) * number / chdtri(number, 1 - QUARTER))
        for part, number in zip(parts, degrees, strict=True)
    ]
    if not (least := min(lower)) > 0:
        return None
    first = last = lower.index(least)
    while first > 0 and lower[first - 1] < LEVEL * least:
        first -= 1
    while last + 1 < len(lower) and lower[last + 1] < LEVEL * least:
        last += 1
    span = level[parts[last]].mean() / level[parts[first]].mean()
    return least if last > first and span > LEAST_SPAN else None


def _grain(sums: np.ndarray, squares: np.ndarray) -> float:
    """Counts that come together, about, in the dimmest quarter of the pixels."""
    dim = slice(0, max(1, len(sums) // 4))
    return float(squares[dim].sum() / sums[dim].sum())


def inspected_detector(sample: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Dead pixels, the share of masked ones, and whether the direct beam falls in the middle."""
    light = np.where(sample.mask, sample.frames.sum(axis=0, dtype=np.float64), 0)
    dead, masked = dead_pixels(light, sample.mask), 1 - float(sample.mask.mean())
    facts: dict[str, Any] = {"masked_share": masked, "dead_pixels": dead}
    warnings = []
    if sample.propagation == "far" and light.any():
        corner = in_corner(light, sample.mask, sample.probe)
        facts["zero_frequency"] = "corner" if corner else "centre"
        if corner:
            warnings.append(
                "there is more light along the edges of the frames than through their middle: the zero frequency seems "
                "to lie in the corner (zero_frequency)"
            )
    lines = dark_lines(light, sample.mask)
    if sum(lines):
        warnings.append(
            f"{lines[0]} rows and {lines[1]} columns never count between others that do: expected gaps of modules in "
            "the mask (detector.find_dead: true where they are up to three wide, or detector.mask_file)"
        )
    hot = hot_pixels(light, sample.mask) if len(sample.frames) >= MANY_FRAMES and sample.propagation == "far" else 0
    if hot:
        warnings.append(
            f"{hot} pixels count more than {OUTSHINES:g} times what any round them does: expected hot ones in the mask "
            "(detector.hot_factor: 1.7)"
        )
    if dead:
        warnings.append(
            f"pixels never count where their neighbours do ({dead} of them): expected them in the mask "
            "(detector.find_dead)"
        )
    warnings += _without_counts(sample, light)
    own = 1 - float(measured_part(sample.mask).mean())
    if own > 0.2:
        warnings.append(f"the mask leaves out {own:.0%} of the detector: expected a few per cent of bad pixels")
    return facts, warnings


def _without_counts(sample: Dataset, light: np.ndarray) -> list[str]:
    """Say where good pixels are dark under the beam, or hold one number always, or all count without light."""
    warnings, good, count = [], sample.mask, len(sample.frames)
    if sample.probe_known and sample.propagation == "far":
        dark = int(np.count_nonzero(good & (light == 0) & (count * empty_beam(sample.probe) > LEAST_BEAM)))
        if dark:
            warnings.append(
                f"{dark} pixels never count where the probe's own light falls: expected gaps of modules "
                "and beam stops in the mask (detector.mask_file, detector.gaps)"
            )
    if count >= MANY_FRAMES:
        still = int(np.count_nonzero(good & (light > 0) & (np.ptp(sample.frames, axis=0) == 0)))
        if still:
            warnings.append(
                f"{still} pixels hold the same number in each of {count} frames: expected them in the mask "
                "(detector.gaps, detector.mask_file, detector.hot_factor)"
            )
        floor = float(sample.frames[:, good].min())
        if sample.propagation == "far" and floor >= LEAST_FLOOR:
            warnings.append(
                f"no pixel ever counts less than {floor:g}: expected none where no light falls (detector.dark_file, "
                "detector.pedestal, detector.background)"
            )
    return warnings


def in_corner(light: np.ndarray, good: np.ndarray, probe: np.ndarray) -> bool:
    """Whether the zero frequency lies in the corner of a mean far field, unless the probe's has its light there too.

    A ring about the middle, as a zone plate with a central stop throws it, leaves the edges dark.
    """
    rim = max(1, len(light) // 16)
    edge, cross = (np.zeros(light.shape, bool) for _ in range(2))
    edge[:rim] = edge[-rim:] = edge[:, :rim] = edge[:, -rim:] = True
    middle = slice(len(light) // 2 - rim, len(light) // 2 + rim)
    cross[middle] = cross[:, middle] = True
    # Where the two meet, each has the other's light.
    edge, cross = edge & ~cross & good, cross & ~edge & good
    if not (edge.any() and cross.any()) or light[edge].mean() <= light[cross].mean():
        return False
    field = np.sqrt(empty_beam(probe))
    as_it_is, turned = (
        np.corrcoef(np.sqrt(image)[mask], field[mask])[0, 1] if np.ptp(image[mask]) and np.ptp(field[mask]) else 0.0
        for image, mask in ((light, good), (np.fft.fftshift(light), np.fft.fftshift(good)))
    )
    return bool(turned > as_it_is or as_it_is < 0.5)
