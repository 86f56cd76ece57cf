"""Which frames are used, and which of them share an object region."""

import numpy as np
import torch
from torch import Tensor

from ptychoflow.errors import InputError
from ptychoflow.loading.tiles import halve
from ptychoflow.settings.training import GroupSettings, RegionSettings


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
    frames: np.ndarray, validation_fraction: float, seed: int, used: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the frames that are held out of a training or a fit: the one place that decides it, for every method.

    The draw follows from the number of frames of the scan, the share and the seed alone, so that all methods leave out
    the same ones.

    Parameters
    ----------
    frames : ndarray
        (frames,) int, those of the whole scan.
    validation_fraction : float
        Share of them that is held out, at least one unless it is 0.
    seed : int
        Fixes the draw.
    used : ndarray, optional
        (used,) int, the part of them that is used at all, such as a region of the scan; of it those are held out that
        are held out of the whole scan, or one where the draw leaves it none.

    Returns
    -------
    training, validation : ndarray
        Disjoint, together all that are used, each rising.
    """
    held_out = max(1, round(validation_fraction * len(frames))) if validation_fraction > 0 else 0
    if held_out >= len(frames):
        raise InputError(f"{len(frames)} frames are too few to train on and hold {held_out} out: expected more")
    order = np.random.default_rng(seed).permutation(frames)
    if used is None:
        return np.sort(order[held_out:]), np.sort(order[:held_out])
    ranked = order[np.isin(order, used)]
    inside = int(np.isin(order[:held_out], used).sum()) or min(held_out, 1)
    if inside >= len(ranked):
        raise InputError(f"{len(ranked)} frames are too few to train on and hold {inside} out: expected more")
    return np.sort(ranked[inside:]), np.sort(ranked[:inside])


def draw_anchors(frames: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Draw the frames round which groups are formed: `count` of them, or all if that is None or more than there are."""
    return np.sort(np.random.default_rng(seed).permutation(frames)[:count])


def nearest_frames(
    positions: np.ndarray, anchors: np.ndarray, candidates: np.ndarray, groups: GroupSettings
) -> np.ndarray:
    """For each anchor itself and its nearest neighbours, (anchors, K) int64; K is 1 for single-shot groups.

    Parameters
    ----------
    positions : ndarray
        (all frames, 2) float, pixels.
    anchors : ndarray
        (anchors,) int, a frame for each group.
    candidates : ndarray
        (candidates,) int, frames that may complete a group; the anchor itself need not be one of them.
    groups : GroupSettings
        Size C and neighbours K.
    """
    if groups.size == 1:
        return anchors[:, None]
    if len(candidates) < groups.size:
        raise InputError(f"{len(candidates)} frames cannot form groups of {groups.size}: expected at least as many")
    # Loaded where groups are formed alone: a network that joins frames needs none.
    from scipy.spatial import cKDTree

    count = min(groups.neighbours, len(candidates))
    _, index = cKDTree(positions[candidates]).query(positions[anchors], k=count)
    near = candidates[index]
    # The anchor comes first: it is moved there if it was found, and else takes the place of the farthest.
    others = np.where(near == anchors[:, None], -1, near)
    order = np.argsort(others == -1, axis=1, kind="stable")[:, : count - 1]
    return np.concatenate([anchors[:, None], np.take_along_axis(others, order, axis=1)], axis=1)


def pieces_of_groups(positions: np.ndarray, neighbours: np.ndarray, most: int) -> np.ndarray:
    """Number the pieces in which groups are read from a file, (anchors,) int64, each of neighbouring groups.

    Parameters
    ----------
    positions : ndarray
        (all frames, 2) float, pixels.
    neighbours : ndarray
        (anchors, K) int64, the anchor first.
    most : int
        Frames of a piece; a single group may have more.
    """
    numbers = np.empty(len(neighbours), np.int64)
    for number, piece in enumerate(
        halve(positions[neighbours[:, 0]], lambda piece: len(np.unique(neighbours[piece])) <= most)
    ):
        numbers[piece] = number
    return numbers


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
