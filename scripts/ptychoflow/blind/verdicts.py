"""What frames that were left out say of a change: whether it helps them by more than their own noise may pretend."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ptychoflow.metrics.doubts import LARGEST_MISFIT, LEAST_EXPLAINED, MUCH_LEFT
from ptychoflow.physics.losses import deviance, expected_deviance, masked_mean, poisson_deviance
from ptychoflow.reconstruction.photons import explained_share

CLEARLY = 2.0
"""Standard errors by which frames must be explained better for a change to be one that helps."""


@dataclass
class Verdict:
    """How badly frames that were left out are explained.

    Parameters
    ----------
    modelled, counts : Tensor
        (judges, N, N) float, photons per pixel.
    mask : Tensor
        (N, N) bool, True for good pixels.
    mean_frame : Tensor
        (N, N) float, mean counts of the frames that were fitted: scaled to the photons of each it knows no object.
    """

    modelled: Tensor
    counts: Tensor
    mask: Tensor
    mean_frame: Tensor

    @cached_property
    def pixels(self) -> Tensor:
        """(judges, N, N) float, Poisson deviance, 0 at bad pixels."""
        return torch.where(self.mask, deviance(self.modelled, self.counts), 0)

    @cached_property
    def mean(self) -> float:
        """Deviance of good pixels."""
        return float(masked_mean(self.pixels, self.mask))

    @cached_property
    def expected(self) -> float:
        """Deviance that a perfect model would have."""
        return float(expected_deviance(self.modelled, self.mask))

    @cached_property
    def flat(self) -> float:
        """Deviance under the mean frame with the photons of each, which knows no object."""
        light = torch.where(self.mask, self.counts, 0).sum(dim=(-2, -1))
        light = light / torch.where(self.mask, self.mean_frame, 0).sum().clamp_min(1e-12)
        return float(poisson_deviance(self.mean_frame * light[:, None, None], self.counts, self.mask))

    @cached_property
    def share(self) -> float | None:
        """Share of what the frames differ by that is explained; None where that is no more than noise."""
        return explained_share(self.mean, self.expected, self.flat, len(self.counts) * max(1, int(self.mask.sum())))

    @property
    def knows_nothing(self) -> bool:
        """Whether frames that differ by more than noise are explained no better than by their mean, of no object."""
        return self.share is not None and self.share <= 0

    @property
    def determined(self) -> bool:
        """Whether so much is explained that an image may be trusted: what explains nothing cannot be judged."""
        return self.share is not None and self.share >= LEAST_EXPLAINED

    @property
    def misfits(self) -> bool:
        """Whether more than noise is left: the model is wrong in something, or the image is still far from found."""
        return self.mean > LARGEST_MISFIT * self.expected

    @property
    def unfinished(self) -> bool:
        """Whether an image is right in the main, and leaves more than noise and the best of iterations would.

        Far starts, and phases of many turns, leave faults that the long steps of few subsets mend too slowly.
        """
        return self.determined and 1 - self.share > MUCH_LEFT and self.misfits

    def clearly_better_than(self, other: "Verdict") -> bool:
        """Whether the same frames are explained better than elsewhere by more than the doubt in the difference.

        Counts of pixels are independent, so that the squares of their paired differences add up to that of the doubt.
        Frames would tell it as well, but often there are no more than five.
        """
        gained = (other.pixels - self.pixels).double()
        return bool(gained.sum() > CLEARLY * gained.square().sum().sqrt())
