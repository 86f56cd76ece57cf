"""How badly a modelled intensity explains the measured photons, over the good pixels of the detector."""

import math
from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

FLOOR = 1e-2
"""Photons that a modelled pixel has at least: in a dark one a single photon would cost infinitely much."""
DIM, BRIGHT = 1e-4, 1000.0
"""Photons up to which the expected deviance of a pixel rises in a line, and from which it is that of the first order in
1 / I."""


def poisson_deviance(
    intensity: Float[Tensor, "*pixels"], counts: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*#pixels"]
) -> Float[Tensor, ""]:
    """Mean Poisson deviance per good pixel, 2 (I − n + n ln(n / I)).

    A perfect model scores about 1 where pixels hold many photons, and less where most are dark: `expected_deviance`.

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
    return masked_mean(deviance(intensity, counts), mask)


def expected_deviance(intensity: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*#pixels"]) -> Float[Tensor, ""]:
    """Mean Poisson deviance per good pixel that a perfect model has; parameters as in `poisson_deviance`."""
    return masked_mean(expected_deviances(intensity), mask)


def expected_deviances(intensity: Float[Tensor, "*pixels"]) -> Float[Tensor, "*pixels"]:
    """Poisson deviance that each pixel of a perfect model has: its expectation over counts of this intensity.

    About 1 + 1 / (6 I) for many photons I (McCullagh and Nelder, Generalized Linear Models, 1989, section 2.3 and
    appendix C), falling to 0 for few; between, it is interpolated in a table.

    Parameters
    ----------
    intensity : Tensor
        Any shape, float, modelled photons per pixel, ≥ 0.

    Returns
    -------
    Tensor
        Of that shape, without gradient.
    """
    intensity = intensity.detach()
    offset, slope = (part.to(intensity) for part in _expected_deviances())
    # Logarithms tell the interval at once, where a search takes twenty times as long; the first begins at 0.
    steps = (len(offset) - 1) / math.log10(BRIGHT / DIM)
    place = intensity.clamp(DIM / 10, BRIGHT).log10_().sub_(math.log10(DIM)).mul_(steps).floor_()
    interval = place.long().add_(1).clamp(0, len(offset) - 1).flatten()
    table = torch.addcmul(offset[interval], slope[interval], intensity.flatten()).view_as(intensity)
    return torch.where(intensity < BRIGHT, table, 1 + 1 / (6 * intensity.clamp_min(BRIGHT)))


@cache
def _expected_deviances() -> tuple[Tensor, Tensor]:
    """Offsets and slopes (intervals,) float64 by intensity of the deviance that pixels have on average.

    The first interval is from 0 to `DIM`; from there to `BRIGHT` they are alike in the logarithm.
    """
    edges = torch.logspace(math.log10(DIM), math.log10(BRIGHT), 600, dtype=torch.float64)
    photons = torch.cat([torch.zeros(1), edges])
    counts = torch.arange(BRIGHT + 12 * BRIGHT**0.5, dtype=torch.float64)
    logarithm = torch.xlogy(counts, photons[:, None]) - photons[:, None] - torch.lgamma(counts + 1)
    expected = (logarithm.exp() * deviance(photons[:, None], counts)).sum(dim=1)
    slope = expected.diff() / photons.diff()
    return expected[:-1] - slope * photons[:-1], slope


def deviance(intensity: Float[Tensor, "*#pixels"], counts: Float[Tensor, "*#pixels"]) -> Float[Tensor, "*pixels"]:
    """Poisson deviance of each pixel, not negative; parameters as in `poisson_deviance`, broadcast."""
    intensity = intensity.clamp_min(FLOOR)
    # 0 ln 0 = 0, with a finite logarithm beside the zero so that the gradient is finite too.
    return 2 * (intensity - counts + counts * torch.log(counts.clamp_min(FLOOR) / intensity))


def amplitude_squared_error(
    intensity: Float[Tensor, "*pixels"], counts: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*#pixels"]
) -> Float[Tensor, ""]:
    """Mean of (√I − √n)² over good pixels; parameters as in `poisson_deviance`."""
    return masked_mean((_amplitude(intensity) - counts.sqrt()).square(), mask)


def amplitude_absolute_error(
    intensity: Float[Tensor, "*pixels"], counts: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*#pixels"]
) -> Float[Tensor, ""]:
    """Mean of |√I − √n| over good pixels; parameters as in `poisson_deviance`."""
    return masked_mean((_amplitude(intensity) - counts.sqrt()).abs(), mask)


def total_variation(patches: Complex[Tensor, "*axes N N"], weight: Float[Tensor, "*#axes N N"]) -> Float[Tensor, ""]:
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


def masked_mean(values: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*#pixels"]) -> Float[Tensor, ""]:
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
