"""The object of a tile of a scan in whole pixels of the object frame, and how it is put there, lit by its frames.

A network that joins frames gives such objects. Cutting them into patches to be stitched again would cost time and
sharpness, for the same image: each patch of a tile is the tile.
"""

from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptychoflow.physics.patches import add_patches, extract_patches, fade, split_positions

FRAMES_AT_ONCE = 256


class ObjectTile(NamedTuple):
    """The object of a tile.

    Parameters
    ----------
    frames : Tensor
        (frames,) int64, numbers of the frames by whose light it is weighted; others may have helped.
    object : Tensor
        (h, w) complex64.
    corner : Tensor
        (2,) int64, (row, column) of its first pixel in the object frame, maybe outside of it.
    halves : tuple, optional
        Object and corner made of the even frames alone, and of the odd ones, where halves are to know nothing of each
        other; None for a half without frames.
    """

    frames: Int[Tensor, "frames"]
    object: Complex[Tensor, "h w"]
    corner: Int[Tensor, "2"]
    halves: tuple[tuple[Complex[Tensor, "h w"], Int[Tensor, "2"]] | None, ...] | None = None


def light_of_frames(
    positions: Float[Tensor, "frames 2"], weight: Float[Tensor, "N N"], shape: tuple[int, int]
) -> Float[Tensor, "{shape[0]} {shape[1]}"]:
    """Add up the light of frames, (h, w) float: the coverage of `ptychoflow.physics.patches.accumulate_patches`.

    Parameters
    ----------
    positions : Tensor
        (frames, 2) float, pixels of the patch centres.
    weight : Tensor
        (N, N) float, the probe's intensity; its maximum counts as 1.
    shape : tuple of int
        (h, w).
    """
    size, weight = weight.shape[-1], weight / weight.amax()
    light = torch.zeros(shape, device=weight.device)
    for some in positions.split(FRAMES_AT_ONCE):
        corner, fraction = split_positions(some, size)
        light += add_patches((fade(size, fraction) * weight)[None], corner[None], shape)[0]
    return light


def placed(corner: Int[Tensor, "2"], shape: tuple[int, int], frame: tuple[int, int]) -> tuple[tuple[slice, slice], ...]:
    """Where a tile of a shape (h, w) lies in a frame (H, W), and which part of the tile that is."""
    low = [max(0, int(first)) for first in corner]
    high = [min(edge, int(first) + length) for edge, first, length in zip(frame, corner, shape, strict=True)]
    there = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
    here = tuple(
        slice(part.start - int(first), part.stop - int(first)) for part, first in zip(there, corner, strict=True)
    )
    return there, here


def cut_tile(
    tile: ObjectTile, positions: Float[Tensor, "frames 2"], size: int
) -> tuple[Complex[Tensor, "frames {size} {size}"], Complex[Tensor, "frames {size} {size}"] | None]:
    """Cut patches out of a tile, (frames, N, N) complex64, and where it has halves those of each frame's own half too.

    Parameters
    ----------
    tile : ObjectTile
        The tile.
    positions : Tensor
        (frames, 2) float, pixels of the centres of its frames.
    size : int
        Edge length N of a patch in pixels.
    """

    def cut(canvas: Tensor, corner: Tensor, places: Tensor) -> Tensor:
        return extract_patches(canvas[None], (places - corner)[None], size)[0]

    patches = cut(tile.object, tile.corner, positions)
    if tile.halves is None:
        return patches, None
    halves = torch.empty_like(patches)
    for parity in range(2):
        mine = tile.frames % 2 == parity
        if mine.any():
            halves[mine] = cut(*tile.halves[parity], positions[mine])
    return patches, halves
