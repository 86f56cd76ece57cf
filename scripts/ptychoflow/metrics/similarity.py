"""Scores of an aligned complex image against its reference, over the scored area."""

import numpy as np
from skimage.metrics import structural_similarity


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
    rotated = np.angle(np.mean(reference[area]))
    pairs = {
        "amplitude": (np.abs(estimate), np.abs(reference)),
        # Phases about their common mean: no wrap as long as the object's range stays below 2π.
        "phase": (np.angle(estimate * np.exp(-1j * rotated)), np.angle(reference * np.exp(-1j * rotated))),
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
    scores["complex_pearson"] = pearson(estimate[area], reference[area])
    return scores


def mean_ssim(image: np.ndarray, reference: np.ndarray, area: np.ndarray, **window: object) -> float | None:
    """Mean structural similarity over an area; None where the reference is flat there."""
    span = float(np.ptp(reference[area]))
    if span < 1e-6:
        return None
    _, similarity = structural_similarity(image, reference, data_range=span, full=True, **window)
    return float(similarity[area].mean())


def pearson(values: np.ndarray, reference: np.ndarray) -> float | None:
    """Pearson correlation of two arrays, its modulus where they are complex; None where one of them does not vary."""
    if min(np.std(values), np.std(reference)) < 1e-9:
        return None
    correlation = np.corrcoef(values.ravel(), reference.ravel())[0, 1]
    return float(abs(correlation) if np.iscomplexobj(correlation) else correlation)


def complex_nrmse(estimate: np.ndarray, reference: np.ndarray, area: np.ndarray) -> float:
    """Root of Σ|estimate − reference|² over Σ|reference|²."""
    return float(np.linalg.norm(estimate[area] - reference[area]) / np.linalg.norm(reference[area]))
