"""Scores of an aligned complex image against its reference, over the scored area."""

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity
from skimage.restoration import unwrap_phase

CLEAR = np.pi - 0.5
"""Radians about its mean within which a phase is sure not to have wrapped."""
ALIKE = 0.5
"""Complex correlation from which an image is so like its reference that its phase has the same turns."""


def similarity_scores(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> dict[str, float | None]:
    """Score amplitude and phase.

    Parameters
    ----------
    estimate : ndarray
        (H, W) complex, aligned to the reference.
    reference : ndarray
        (H, W) complex.
    area : ndarray
        (H, W) bool, pixels that count.

    Returns
    -------
    dict
        For amplitude and phase: ``_ssim`` (Gaussian window, σ = 1.5; Wang et al., IEEE Trans. Image Process. 13, 600,
        2004) and ``_ssim_uniform`` (7×7), both with the reference's range as data range; ``_psnr`` in dB with data
        range 1; ``_psnr_legacy`` with peak 255 on the same data, as the PtychoPINN papers print it; ``_mae``;
        ``_pearson``. And ``complex_nrmse`` and ``complex_pearson``, of both together.
    """
    likeness = pearson(estimate[area], reference[area])
    pairs = {
        "amplitude": (np.abs(estimate), np.abs(reference)),
        "phase": compared_phases(estimate, reference, area, likeness is not None and likeness >= ALIKE),
    }
    scores: dict[str, float | None] = {}
    for name, (image, truth) in pairs.items():
        scores[f"{name}_ssim"] = mean_ssim(
            image, truth, area, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        scores[f"{name}_ssim_uniform"] = mean_ssim(image, truth, area, win_size=7)
        error = image[area] - truth[area]
        mean_square = max(float(np.mean(error**2)), np.finfo(float).tiny)
        scores[f"{name}_psnr"] = -10 * np.log10(mean_square)
        scores[f"{name}_psnr_legacy"] = 20 * np.log10(255) - 10 * np.log10(mean_square)
        scores[f"{name}_mae"] = float(np.mean(np.abs(error)))
        scores[f"{name}_pearson"] = pearson(image[area], truth[area])
    scores["complex_nrmse"] = complex_nrmse(estimate, reference, area)
    scores["complex_pearson"] = likeness
    return scores


def compared_phases(
    estimate: np.ndarray, reference: np.ndarray, area: np.ndarray, alike: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Phases of two complex images about the reference's mean, without wraps.

    The phase of an image that is like its reference is the reference's and the difference, which never wraps, so that
    no pixel is a turn off. One that is unlike it is unwrapped by itself: any image at all would be given the
    reference's turns by the difference, and correlate with it.

    Parameters
    ----------
    estimate, reference : ndarray
        (H, W) complex, aligned.
    area : ndarray
        (H, W) bool, where they are compared.
    alike : bool
        Whether the two are known to show the same, by a measure that does not wrap.

    Returns
    -------
    image, truth : ndarray
        (H, W) float64, radians.
    """
    turn = np.exp(-1j * np.angle(np.mean(reference[area])))
    image, truth = np.angle(estimate * turn), np.angle(reference * turn)
    if wrapped := np.abs(truth[area]).max() > CLEAR:
        truth = unwrapped(truth, area)
    if alike:
        return truth + np.angle(estimate * np.conj(reference)), truth
    return (unwrapped(image, area) if wrapped else image), truth


def unwrapped(phase: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Take the jumps of 2π out of a phase over an area.

    Pixels are joined in the order of their reliability (Herráez et al., Appl. Opt. 41, 7437, 2002), each connected part
    of the area by itself. A part goes back by whole turns to where most of it was; pixels outside follow the nearest
    one inside.

    Parameters
    ----------
    phase : ndarray
        (H, W) float, radians.
    area : ndarray
        (H, W) bool, at least one pixel.

    Returns
    -------
    ndarray
        (H, W) float64, equal to the phase up to whole turns.
    """
    found = unwrap_phase(np.ma.array(phase, mask=~area), rng=0).filled(0)
    turns = np.where(area, np.rint((found - phase) / (2 * np.pi)), 0)
    parts, count = ndimage.label(area)
    for part in range(1, count + 1):
        turns[parts == part] -= np.rint(np.median(turns[parts == part]))
    inside = phase + 2 * np.pi * turns
    nearest = ndimage.distance_transform_edt(~area, return_distances=False, return_indices=True)
    followed = inside[tuple(nearest)]
    return followed + np.angle(np.exp(1j * (phase - followed)))


def mean_ssim(image: np.ndarray, reference: np.ndarray, area: np.ndarray, **window: object) -> float | None:
    """Mean structural similarity over an area; None where the reference is flat there."""
    span = float(np.ptp(reference[area]))
    if span < 1e-6:
        return None
    _, similarity = structural_similarity(image, reference, data_range=span, full=True, **window)
    return float(similarity[area].mean())


def pearson(values: np.ndarray, reference: np.ndarray) -> float | None:
    """Pearson correlation of two arrays, its modulus where they are complex; None where one of them does not vary."""
    # What single precision rounds by is no variation.
    if any(np.std(one) < 1e-9 + 1e-6 * np.abs(one).mean() for one in (values, reference)):
        return None
    correlation = np.corrcoef(values.ravel(), reference.ravel())[0, 1]
    return float(abs(correlation) if np.iscomplexobj(correlation) else correlation)


def complex_nrmse(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> float:
    """Root of Σ|estimate − reference|² over Σ|reference|²."""
    return float(np.linalg.norm(estimate[area] - reference[area]) / np.linalg.norm(reference[area]))
