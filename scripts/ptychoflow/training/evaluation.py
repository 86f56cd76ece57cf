"""What a module says of a batch, and of its share of one that several processes train on as one process would."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy


class Shares(NamedTuple):
    """What losses are divided by in this process, divided by the mean of all processes; 1 where there is one.

    Each loss is a sum over a batch, divided by one. Weighted by its share of the latter, its mean over the processes is
    that of the whole batch, and so is the mean of its gradients.

    Parameters
    ----------
    pixels, light, inner_light : Tensor or float
        Scalars, of good pixels, of the light on all frames, and of that without the first row and column.
    mean_count : Tensor
        Scalar, photons per good pixel, of all processes.
    """

    pixels: Tensor | float
    light: Tensor | float
    inner_light: Tensor | float
    mean_count: Tensor

    @classmethod
    def of(cls, counts: Tensor, mask: Tensor, weight: Tensor, strategy: "Strategy | None") -> "Shares":
        """Take the shares of a batch.

        Parameters
        ----------
        counts : Tensor
            (batch, C, N, N) float, photons.
        mask, weight : Tensor
            Good pixels and illumination, broadcast against the counts.
        strategy : Strategy or None
            Reaches the other processes, which ask at the same time; none if not given.
        """
        pixels, photons = mask.expand_as(counts).sum(), torch.where(mask, counts, 0).sum()
        if strategy is None:
            return cls(1.0, 1.0, 1.0, photons / pixels)
        light = weight.expand_as(counts)
        own = torch.stack([pixels, photons, light.sum(), light[..., 1:, 1:].sum()])
        mean = strategy.reduce(own.clone(), reduce_op="mean")
        pixels, _, light, inner_light = own / mean
        return cls(pixels, light, inner_light, mean[1] / mean[0])


class Evaluation(NamedTuple):
    """One batch, reconstructed and compared.

    Parameters
    ----------
    loss : Tensor
        Scalar, of the frames in the batch.
    objective : Tensor
        Scalar to minimise: the loss, weighted by this process's share where several have one.
    parts : dict
        Its parts by name, and the photon losses that are only watched. Those are divided by the mean count, so one
        learning rate serves every dose; ``supervised`` is the mean absolute error of the complex patches where the
        probe shines.
    deviance : Tensor
        Scalar, Poisson deviance per good pixel.
    patches : Tensor
        (batch, C, N, N) complex64, as the network gave them.
    intensity : Tensor
        (batch, C, N, N) float32, photons per pixel that the merged patches would diffract.
    """

    loss: Tensor
    objective: Tensor
    parts: dict[str, Tensor]
    deviance: Tensor
    patches: Tensor
    intensity: Tensor
