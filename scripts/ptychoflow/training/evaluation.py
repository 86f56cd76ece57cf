"""What a module says of a batch, or of a part of one that other processes or threads have the other parts of."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Shares(NamedTuple):
    """What losses of a part of a batch are divided by, divided by the mean of all parts; 1 where it is the whole.

    Each loss is a sum over frames, divided by one. Weighted by its share of the latter, its mean over the parts is that
    of the whole batch, and so is the mean of its gradients.

    Parameters
    ----------
    pixels, light, inner_light : Tensor or float
        Scalars, of good pixels, of the light on all frames, and of that without the first row and column.
    mean_count : Tensor
        Scalar, photons per good pixel, of all parts.
    """

    pixels: Tensor | float
    light: Tensor | float
    inner_light: Tensor | float
    mean_count: Tensor

    @classmethod
    def of(cls, own: Tensor, mean: Tensor | None = None) -> "Shares":
        """Take the shares of a part from its `normalisers` and their mean over all parts; of the whole without."""
        if mean is None:
            return cls(1.0, 1.0, 1.0, own[1] / own[0])
        pixels, _, light, inner_light = own / mean
        return cls(pixels, light, inner_light, mean[1] / mean[0])


def normalisers(counts: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """What losses are divided by: good pixels, photons on them, light, and light without the first row and column.

    Parameters
    ----------
    counts : Tensor
        (batch, C, N, N) float, photons.
    mask, weight : Tensor
        Good pixels and illumination, broadcast against the counts.

    Returns
    -------
    Tensor
        (4,) float.
    """
    light = weight.expand_as(counts)
    pixels, photons = mask.expand_as(counts).sum(), torch.where(mask, counts, 0).sum()
    return torch.stack([pixels, photons, light.sum(), light[..., 1:, 1:].sum()])


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

    @classmethod
    def of_parts(cls, parts: Sequence["Evaluation"]) -> "Evaluation":
        """Join those of the parts of a batch, without gradients; what is only watched is averaged over the frames."""
        frames = torch.tensor([part.patches[..., 0, 0].numel() for part in parts], dtype=torch.float32)
        shares = frames / frames.sum()

        def mean(values: Sequence[Tensor]) -> Tensor:
            return (torch.stack([value.detach() for value in values]) * shares).sum()

        return cls(
            mean([part.loss for part in parts]),
            torch.stack([part.objective.detach() for part in parts]).mean(),
            {name: mean([part.parts[name] for part in parts]) for name in parts[0].parts},
            mean([part.deviance for part in parts]),
            torch.cat([part.patches for part in parts]),
            torch.cat([part.intensity for part in parts]),
        )
