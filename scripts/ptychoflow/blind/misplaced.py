"""Whether frames lie elsewhere than their positions say: exchanged, late, or read in another order.

An object that most frames agree about tells what is to be seen at each position. A frame that is explained badly where
it stands, and much better by what another position shows, was taken there: a fault of the image, of the probe or of the
light of all frames spoils every position alike.
"""

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.losses import deviance
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import modelled_frames

BINS = 16
"""Along each axis, whose photons are counted together: their sums scatter as they do, by Poisson's law."""
LEAST_PHOTONS = 0.5
"""Added to all of them, so that bins without light do not decide."""
FRAMES_LOOKED_AT, DEVIANCES_AT_MOST = 256, 2**27
"""Frames that are compared with all positions: those that are explained worst, and fewer of a scan of very many."""
BEYOND_NOISE = 5.0
"""Standard deviations of its noise from which on a frame is explained badly."""
EXPLAINED = 0.5
"""Share of what is left of a frame beyond its noise, that another position explains."""
FEWEST, LEAST_SHARE = 2, 0.04
"""Such frames from which on it is said: it takes two to be exchanged, and few spoil no image. Sound scans of wedges,
whose frames are all alike, have up to 2 %, others none."""
NAMED = 5


def misplaced_doubts(reconstruction: Reconstruction, dataset: Dataset) -> list[str]:
    """Say which frames other positions explain better than their own.

    Parameters
    ----------
    reconstruction : Reconstruction
        As it came out.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.
    """
    numbers = misplaced_frames(reconstruction, dataset)
    if len(numbers) < max(FEWEST, LEAST_SHARE * len(reconstruction.positions)):
        return []
    named = ", ".join(str(number) for number in numbers[:NAMED]) + (", …" if len(numbers) > NAMED else "")
    return [
        f"{len(numbers)} of {len(reconstruction.positions)} frames ({named}) are explained much better by what the "
        "image shows at the positions of others: likely causes are frames that were exchanged or are in another order "
        "than the positions (frames.leave_out), and light that changes from frame to frame (solve_brightness: true)"
    ]


@torch.inference_mode()
def misplaced_frames(reconstruction: Reconstruction, dataset: Dataset) -> np.ndarray:
    """Numbers of the frames that another position explains much better, rising."""
    count = len(reconstruction.positions)
    edges = np.linspace(0, dataset.size, min(BINS, dataset.size) + 1).astype(int)
    mask = torch.from_numpy(dataset.mask)
    models, frames = [], []
    for _, modelled, counts in modelled_frames(reconstruction, dataset, np.arange(count)):
        models.append(_binned(torch.where(mask, modelled, 0), edges))
        frames.append(_binned(torch.where(mask, counts, 0), edges))
    models, frames = torch.cat(models), torch.cat(frames)
    # Light that is wrong for all frames alike would have bright ones lie where it is dark.
    models *= frames.sum() / models.sum().clamp_min(1e-12)
    frames += LEAST_PHOTONS
    light = torch.ones(count, 1)
    if reconstruction.brightness is not None:
        light = torch.from_numpy(reconstruction.brightness)[:, None]
    noise = frames.shape[1]
    left = deviance(models + LEAST_PHOTONS, frames).sum(dim=1) - noise
    most = min(FRAMES_LOOKED_AT, max(1, DEVIANCES_AT_MOST // models.numel()))
    found = []
    for number in left.argsort(descending=True)[:most].tolist():
        if left[number] < BEYOND_NOISE * (2 * noise) ** 0.5:
            break
        elsewhere = models * (light[number] / light) + LEAST_PHOTONS
        best = deviance(elsewhere, frames[number].expand_as(models)).sum(dim=1).min() - noise
        if left[number] - best > EXPLAINED * left[number]:
            found.append(number)
    return np.sort(np.array(found, int))


def _binned(images: Tensor, edges: np.ndarray) -> Tensor:
    """Sums (frames, bins²) of the pixels of images (frames, N, N) between edges."""
    for _ in range(2):
        sums = torch.nn.functional.pad(images.double().cumsum(dim=-1), [1, 0])[..., edges]
        images = sums.diff(dim=-1).mT
    return images.flatten(1)
