"""Which frames are used, and which of them share an object region."""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ptychoflow.errors import InputError
from ptychoflow.settings import GroupSettings, RegionSettings


def frames_in_region(positions: np.ndarray, region: RegionSettings) -> np.ndarray:
    """Indices of the frames whose positions lie in a part of the scanned field.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float, pixels.
    region : RegionSettings
        Fractions of the scan's extent.

    Returns
    -------
    ndarray
        (selected,) int64, rising.
    """
    low = positions.min(axis=0)
    fractions = (positions - low) / np.maximum(np.ptp(positions, axis=0), 1e-12)
    bounds = np.array([region.rows, region.columns])
    return np.flatnonzero(((fractions >= bounds[:, 0]) & (fractions <= bounds[:, 1])).all(axis=1))


def split_frames(
    frames: np.ndarray, n_groups: int | None, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the frames to train on and those to hold out.

    Parameters
    ----------
    frames : ndarray
        (frames,) int, the candidates.
    n_groups : int, optional
        How many of them to use; all if not given.
    validation_fraction : float
        Share of the used ones that is held out, at least one frame unless it is 0.
    seed : int
        Fixes the draw.

    Returns
    -------
    training, validation : ndarray
        Disjoint, each rising.
    """
    if n_groups is not None and n_groups > len(frames):
        raise InputError(f"n_groups is {n_groups}: expected at most the {len(frames)} frames that there are")
    order = np.random.default_rng(seed).permutation(frames)[:n_groups]
    held_out = max(1, round(validation_fraction * len(order))) if validation_fraction > 0 else 0
    if held_out >= len(order):
        raise InputError(f"{len(order)} frames are too few to train on and hold {held_out} out: expected more")
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def nearest_frames(positions: np.ndarray, frames: np.ndarray, groups: GroupSettings) -> np.ndarray:
    """For each frame itself and its nearest neighbours, (frames, K) int64; K is 1 for single-shot groups.

    Parameters
    ----------
    positions : ndarray
        (all frames, 2) float, pixels.
    frames : ndarray
        (frames,) int, the anchors, which are also the candidates.
    groups : GroupSettings
        Size C and neighbours K.
    """
    if groups.size == 1:
        return frames[:, None]
    if len(frames) < groups.size:
        raise InputError(f"{len(frames)} frames cannot form groups of {groups.size}: expected at least as many")
    count = min(groups.neighbours, len(frames))
    _, index = cKDTree(positions[frames]).query(positions[frames], k=count)
    # Two frames at one position may come in either order: the anchor must stand first.
    index = np.where(index == np.arange(len(frames))[:, None], index[:, :1], index)
    index[:, 0] = np.arange(len(frames))
    return frames[index]


def draw_groups(neighbours: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw a group round each anchor: the anchor first, then others of its neighbours without repetition.

    Parameters
    ----------
    neighbours : Tensor
        (anchors, K) int64 with the anchor in the first column.
    size : int
        Frames C of a group.
    generator : torch.Generator
        On the CPU, so that the draw does not depend on the device.

    Returns
    -------
    Tensor
        (anchors, C) int64.
    """
    if size == 1:
        return neighbours[:, :1]
    order = torch.rand(len(neighbours), neighbours.shape[1] - 1, generator=generator).argsort(dim=1)
    chosen = 1 + order[:, : size - 1].to(neighbours.device)
    return torch.cat([neighbours[:, :1], neighbours.gather(1, chosen)], dim=1)
