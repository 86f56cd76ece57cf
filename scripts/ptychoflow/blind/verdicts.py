"""What frames that were left out say of a change: whether it helps them by more than their own noise may pretend."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ptychoflow.metrics.doubts import LEAST_EXPLAINED
from ptychoflow.physics.losses import deviance, expected_deviance, masked_mean, poisson_deviance
from ptychoflow.reconstruction.photons import explained_share

CLEARLY = 2.0
"""Standard errors by which frames must be explained better for a change to be one that helps."""


@dataclass
class Verdict:
    """How badly frames that were left out are explained.

    Parameters
    ----------
    pixels : Tensor
        (judges, N, N) float, Poisson deviance, 0 at bad pixels.
    mean : float
        Of good pixels.
    share : float or None
        Share of what the frames differ by that is explained; None where that is no more than noise.
    """

    pixels: Tensor
    mean: float
    share: float | None

    @property
    def determined(self) -> bool:
        """Whether so much is explained that an image may be trusted: what explains nothing cannot be judged."""
        return self.share is not None and self.share >= LEAST_EXPLAINED

    def clearly_better_than(self, other: "Verdict") -> bool:
        """Whether the same frames are explained better than elsewhere by more than the doubt in the difference.

        Counts of pixels are independent, so that the squares of their paired differences add up to that of the doubt.
        Frames would tell it as well, but often there are no more than five.
        """
        gained = (other.pixels - self.pixels).double()
        return bool(gained.sum() > CLEARLY * gained.square().sum().sqrt())


def verdict_of(
    modelled: Tensor,
    counts: Tensor,
    mask: Tensor,
    mean: Tensor,
) -> Verdict:
    """Say how badly frames are explained.

    Parameters
    ----------
    modelled, counts : Tensor
        (judges, N, N) float, photons per pixel.
    mask : Tensor
        (N, N) bool, True for good pixels.
    mean : Tensor
        (N, N) float, mean counts of the frames that were fitted: scaled to the photons of each it knows no object.
    """
    pixels = torch.where(mask, deviance(modelled, counts), 0)
    light = torch.where(mask, counts, 0).sum(dim=(-2, -1)) / torch.where(mask, mean, 0).sum().clamp_min(1e-12)
    flat = float(poisson_deviance(mean * light[:, None, None], counts, mask))
    found, expected = float(masked_mean(pixels, mask)), float(expected_deviance(modelled, mask))
    return Verdict(pixels, found, explained_share(found, expected, flat, len(counts) * max(1, int(mask.sum()))))
