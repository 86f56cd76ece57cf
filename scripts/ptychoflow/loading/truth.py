"""The true object of a simulated scan, and its patches where the frames were taken."""

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.physics.patches import extract_patches

PATCHES_AT_ONCE = 512


def true_object(scan: Dataset) -> Tensor:
    """Give the true object (H, W) complex64 of a simulated scan."""
    if scan.truth is None:
        raise InputError(
            "supervised training needs the true object: expected a simulated dataset, found a measured one"
        )
    return torch.from_numpy(scan.truth)


def true_patches(scan: Dataset) -> Tensor:
    """Cut the true object of a simulated scan into its patches, (frames, N, N) complex64."""
    return cut_patches(true_object(scan), true_positions(scan), scan.size)


def true_positions(scan: Dataset) -> np.ndarray:
    """Where the frames of a scan were taken, (frames, 2) float64: as it says, unless a simulation knows better."""
    return scan.positions if scan.true_positions is None else scan.true_positions


def cut_patches(canvas: Tensor, positions: np.ndarray, size: int) -> Tensor:
    """Cut patches (frames, N, N) out of an object (H, W) at positions (frames, 2) in its pixels, some at a time."""
    batches = torch.from_numpy(positions).float().split(PATCHES_AT_ONCE)
    return torch.cat([extract_patches(canvas[None], batch[None], size)[0] for batch in batches])
