"""Scores of whole batches of patches during training, on the device, where the true object is known.

Each patch is only turned and scaled by one complex factor before it is compared: the scores of a stitched image, after
registration and a fitted phase ramp, are those of `ptychoflow.reconstruction.scoring`.
"""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

LIT = 0.1
"""Share of the peak illumination above which a pixel is scored."""
SMALLEST_HALF = 8
"""Half the edge in pixels of the smallest square whose Fourier ring correlation means something."""
LEAST_CONTRAST = 1e-3


def align_patches(patches: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Multiply each patch by the complex factor that brings it nearest to the truth, by weighted least squares.

    Parameters
    ----------
    patches, truth : Tensor
        (batch, N, N) complex.
    weight : Tensor
        (batch, N, N) float, illumination.

    Returns
    -------
    Tensor
        (batch, N, N) complex.
    """
    overlap = (weight * patches.conj() * truth).sum(dim=(-2, -1), keepdim=True)
    power = (weight * patches.abs().square()).sum(dim=(-2, -1), keepdim=True)
    return patches * overlap / power.clamp_min(torch.finfo(power.dtype).tiny)


def patch_scores(patches: Tensor, truth: Tensor, weight: Tensor, half: int) -> dict[str, Tensor]:
    """Score patches against the true object where light falls.

    Parameters
    ----------
    patches, truth, weight : Tensor
        As in `align_patches`.
    half : int
        What `lit_half` gives; below 8 the correlation is left out.

    Returns
    -------
    dict
        ``amplitude_ssim`` and ``phase_ssim`` (Gaussian window, the truth's range as data range; patches without
        contrast do not count where any has some), ``amplitude_psnr`` and ``phase_psnr`` in dB with data range 1, and
        ``frc_half``, the fraction of Nyquist where the Fourier ring correlation of all patches falls below 1/2.
    """
    aligned = align_patches(patches, truth, weight)
    lit = lit_area(weight)
    mean = (truth * lit).sum(dim=(-2, -1), keepdim=True)
    turn = (mean / mean.abs().clamp_min(1e-12)).conj()
    pairs = {
        "amplitude": (aligned.abs(), truth.abs()),
        "phase": ((aligned * turn).angle(), (truth * turn).angle()),
    }
    scores = {}
    for name, (image, reference) in pairs.items():
        scores[f"{name}_ssim"] = _structural_similarity(image, reference, lit)
        square_error = torch.where(lit, image - reference, 0).square().sum() / lit.sum()
        scores[f"{name}_psnr"] = -10 * torch.log10(square_error.clamp_min(1e-12))
    if half >= SMALLEST_HALF:
        scores["frc_half"] = _first_below(ring_correlations(aligned, truth, half), 0.5)
    return scores


def lit_area(weight: Tensor) -> Tensor:
    """Where the illumination (..., N, N) is above a tenth of its peak, bool."""
    return weight > LIT * weight.amax(dim=(-2, -1), keepdim=True)


def lit_half(weight: Tensor) -> int:
    """Half the edge of the largest centred square that is lit by every illumination (scans, N, N)."""
    size = weight.shape[-1]
    offset = torch.arange(size, device=weight.device) - size // 2
    # Pixel −h lies in a square of half edge h, pixel +h only in the next larger one.
    reach = torch.where(offset < 0, -offset, offset + 1)
    distance = torch.maximum(reach[:, None], reach)
    nearest_dark = torch.where(lit_area(weight).all(dim=0), size // 2 + 1, distance).amin()
    return int(nearest_dark) - 1


def _structural_similarity(image: Tensor, reference: Tensor, lit: Tensor) -> Tensor:
    dark = torch.where(lit, reference, torch.inf).amin(dim=(-2, -1), keepdim=True)
    bright = torch.where(lit, reference, -torch.inf).amax(dim=(-2, -1), keepdim=True)
    # In units of its own range every patch has the data range 1.
    span = (bright - dark).clamp_min(LEAST_CONTRAST)
    pair = [(part / span)[:, None] for part in (image, reference)]
    _, similarity = structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    counted = lit & (span > LEAST_CONTRAST)
    counted = torch.where(counted.any(), counted, lit)
    return torch.where(counted, similarity[:, 0], 0).sum() / counted.sum()


def ring_correlations(first: Tensor, second: Tensor, half: int) -> Tensor:
    """Fourier ring correlation of two batches of patches (batch, N, N), the spectra of all patches taken together.

    The centred square of half edge `half` is compared, under a Hann window.

    Returns
    -------
    Tensor
        (half,) float, rings from the lowest frequency to Nyquist.
    """
    middle, size = first.shape[-1] // 2, 2 * half
    window = torch.hann_window(size + 2, periodic=False, device=first.device)[1:-1]
    window = window[:, None] * window
    spectra = []
    for images in (first, second):
        cut = images[:, middle - half : middle + half, middle - half : middle + half]
        spectra.append(torch.fft.fft2((cut - cut.mean(dim=(-2, -1), keepdim=True)) * window))
    frequency = torch.fft.fftfreq(size, 1 / size, device=first.device)
    ring = torch.hypot(frequency[:, None], frequency).round().long().flatten()

    def sums(values: Tensor) -> Tensor:
        totals = values.new_zeros(2 * half + 1).index_add(0, ring, values.sum(dim=0).flatten())
        return totals[1 : half + 1]

    power = sums(spectra[0].abs().square()) * sums(spectra[1].abs().square())
    return sums((spectra[0] * spectra[1].conj()).real) / power.clamp_min(1e-30).sqrt()


def _first_below(correlation: Tensor, threshold: float) -> Tensor:
    """Fraction of Nyquist of the first ring below a threshold; 1 if there is none."""
    below = correlation < threshold
    rings = torch.arange(1, len(correlation) + 1, device=correlation.device) / len(correlation)
    return torch.where(below, rings, 1.0).amin()
