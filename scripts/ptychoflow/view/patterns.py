"""Measured and modelled patterns of a scan, small enough to stand in a page, and how well each frame is explained."""

import io
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.losses import expected_deviance, poisson_deviance
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import modelled_frames

BINNINGS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Edges in detector pixels of what becomes one pixel of a pattern; the first that the bytes allow is taken."""
SMALLEST_EDGE = 32
"""Pixels that a pattern keeps at least; where even such ones are too many, some frames have none."""
SAMPLED = 24
"""Frames whose patterns tell how large those of all will be."""
BAD = 0
"""Level of a pixel that no good one of the detector is in; photons begin at the next."""
STEPS = (254, 84)
"""From no photon to the most, logarithmic: where the finer are too many bytes, the coarser are tried before a larger
binning. Of 84 over three decades, each is less than a tenth of the photons."""


@dataclass
class Patterns:
    """Patterns of some frames, packed without loss but for rounding to logarithmic levels.

    Parameters
    ----------
    frames : ndarray
        (kept,) int, their numbers, rising.
    images : list of bytes
        (kept,) WebP, measured beside modelled pattern; level l > 0 is 10^((l − 1) / steps · top) − 1 photons.
    binning : int
        Detector pixels along the edge of one of theirs, of which it is the mean.
    steps : int
        Of the scale.
    top : float
        log10(1 + n) of the most photons n.
    """

    frames: np.ndarray
    images: list[bytes]
    binning: int
    steps: int
    top: float


def frame_deviances(reconstruction: Reconstruction, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, float]:
    """How badly each frame is explained, and the most photons in a pixel.

    Returns
    -------
    deviances, expected : ndarray
        (frames,) float, Poisson deviance per good pixel, and that of a perfect model.
    most : float
        Photons in the brightest good pixel, measured or modelled.
    """
    mask, parts, most = torch.from_numpy(dataset.mask), [], 0.0
    for _, modelled, counts in modelled_frames(reconstruction, dataset, np.arange(len(reconstruction.positions))):
        found = torch.func.vmap(lambda one, measured: poisson_deviance(one, measured, mask))(modelled, counts)
        expected = torch.func.vmap(lambda one: expected_deviance(one, mask))(modelled)
        parts.append(torch.stack([found, expected]).numpy())
        most = max(most, *(float(frames[:, mask].max()) for frames in (modelled, counts)))
    return *np.concatenate(parts, axis=1), most


def packed_patterns(
    reconstruction: Reconstruction, dataset: Dataset, deviances: np.ndarray, most: float, room: int
) -> Patterns:
    """Pack as many patterns as there is room for, as finely as it allows; of too many frames, those explained worst.

    Parameters
    ----------
    reconstruction, dataset
        What models, and what was measured.
    deviances : ndarray
        (frames,) float, as `frame_deviances` gives them.
    most : float
        Photons at the upper end of the scale.
    room : int
        Bytes that all images may have together.
    """
    count, top = len(deviances), float(np.log10(1 + most))
    sample = np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).astype(int))
    possible = [b for b in BINNINGS if b == 1 or dataset.size // b >= SMALLEST_EDGE]
    for binning, steps in itertools.product(possible, STEPS):
        packed = _packed(reconstruction, dataset, sample, binning, steps, top)
        each = sum(map(len, packed)) / len(sample)
        if each * count <= room:
            break
    kept = chosen_frames(deviances, int(min(count, room // each)))
    images = (
        packed if len(kept) == len(sample) == count else _packed(reconstruction, dataset, kept, binning, steps, top)
    )
    return Patterns(kept, images, binning, steps, top)


def chosen_frames(deviances: np.ndarray, count: int) -> np.ndarray:
    """Numbers (count,) int, rising, of frames to show: half of them those explained worst, the others spread evenly."""
    if count >= len(deviances):
        return np.arange(len(deviances))
    worst = np.argsort(deviances)[::-1][: count // 2]
    others = np.setdiff1d(np.arange(len(deviances)), worst)
    spread = others[np.linspace(0, len(others) - 1, count - len(worst)).astype(int)]
    return np.sort(np.concatenate([worst, spread]))


def binned(frames: np.ndarray, mask: np.ndarray, binning: int) -> np.ndarray:
    """Means over the good pixels of squares of (frames, N, N) photons; NaN where none is good, a rest is cut off."""
    edge = mask.shape[-1] // binning
    cut = slice(0, edge * binning)
    shape = (edge, binning, edge, binning)
    good = mask[cut, cut].reshape(shape).sum(axis=(1, 3))
    total = np.where(mask, frames, 0)[:, cut, cut].reshape(-1, *shape).sum(axis=(2, 4))
    return np.where(good > 0, total / np.maximum(good, 1), np.nan)


def levels(photons: np.ndarray, steps: int, top: float) -> np.ndarray:
    """Photons as uint8 levels on the logarithmic scale; NaN is the level of bad pixels."""
    scaled = 1 + np.rint(steps * np.log10(1 + np.maximum(photons, 0)) / max(top, 1e-9))
    return np.where(np.isnan(photons), BAD, np.minimum(scaled, steps + 1)).astype(np.uint8)


def _packed(
    reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray, binning: int, steps: int, top: float
) -> list[bytes]:
    images: list[bytes] = []
    everywhere = np.ones_like(dataset.mask)
    for _, modelled, counts in modelled_frames(reconstruction, dataset, frames):
        measured = levels(binned(counts.numpy(), dataset.mask, binning), steps, top)
        model = levels(binned(modelled.numpy(), everywhere, binning), steps, top)
        for pair in np.concatenate([measured, model], axis=2):
            stream = io.BytesIO()
            Image.fromarray(pair).save(stream, "WEBP", lossless=True, method=2)
            images.append(stream.getvalue())
    return images
