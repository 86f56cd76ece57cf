"""How badly a modelled intensity explains the measured photons, over the good pixels of the detector."""

from collections.abc import Callable

import torch
from torch import Tensor


def poisson_deviance(intensity: Tensor, counts: Tensor, mask: Tensor) -> Tensor:
    """Mean Poisson deviance per good pixel, 2 (I − n + n ln(n / I)).

    A perfect model scores about 1 where pixels hold many photons, and less where most are dark.

    The deviance is twice the negative log-likelihood less its least value, so it is never negative (McCullagh and
    Nelder, Generalized Linear Models, 1989, section 2.3).

    Parameters
    ----------
    intensity : Tensor
        (..., N, N) float, modelled photons per pixel, ≥ 0.
    counts : Tensor
        (..., N, N) float, measured photons per pixel.
    mask : Tensor
        (..., N, N) bool, True for good pixels, broadcast against the frames.

    Returns
    -------
    Tensor
        Scalar.
    """
    # A dark modelled pixel with a photon in it would cost infinitely much: a hundredth of a photon is the floor.
    intensity = intensity.clamp_min(1e-2)
    # 0 ln 0 = 0, with a finite logarithm beside the zero so that the gradient is finite too.
    deviance = 2 * (intensity - counts + counts * torch.log(counts.clamp_min(1e-2) / intensity))
    return masked_mean(deviance, mask)


def amplitude_squared_error(intensity: Tensor, counts: Tensor, mask: Tensor) -> Tensor:
    """Mean of (√I − √n)² over good pixels; parameters as in `poisson_deviance`."""
    return masked_mean((_amplitude(intensity) - counts.sqrt()).square(), mask)


def amplitude_absolute_error(intensity: Tensor, counts: Tensor, mask: Tensor) -> Tensor:
    """Mean of |√I − √n| over good pixels; parameters as in `poisson_deviance`."""
    return masked_mean((_amplitude(intensity) - counts.sqrt()).abs(), mask)


def total_variation(patches: Tensor, weight: Tensor) -> Tensor:
    """Mean difference between neighbouring pixels where light falls (Rudin, Osher and Fatemi, Physica D 60, 259, 1992).

    Parameters
    ----------
    patches : Tensor
        (..., N, N) complex.
    weight : Tensor
        (..., N, N) float, illumination, broadcast against the patches.

    Returns
    -------
    Tensor
        Scalar.
    """
    inner = weight[..., 1:, 1:].expand(*patches.shape[:-2], -1, -1)
    down = (patches[..., 1:, 1:] - patches[..., :-1, 1:]).abs()
    right = (patches[..., 1:, 1:] - patches[..., 1:, :-1]).abs()
    return ((down + right) * inner).sum() / inner.sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values (..., N, N) where the mask, broadcast against them, is True."""
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0).sum() / mask.sum()


def _amplitude(intensity: Tensor) -> Tensor:
    # The derivative of the square root is infinite at 0.
    return intensity.clamp_min(1e-6).sqrt()


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "poisson": poisson_deviance,
    "amplitude_mse": amplitude_squared_error,
    "amplitude_mae": amplitude_absolute_error,
}
"""Losses by the name that settings give them."""
