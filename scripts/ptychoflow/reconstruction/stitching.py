"""From patches or tiles of a scan to one object: sub-pixel, weighted by the probe, phases brought into agreement."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.physics.tiles import ObjectTile, light_of_frames, placed

PATCHES_AT_ONCE = 1024
PATCH_KEYS = (
    *("patches", "frames", "frames_asked", "positions", "held_out", "trained", "probe", "object_shape", "pixel_size"),
)


class Portion(NamedTuple):
    """Some of the patches of a scan.

    Parameters
    ----------
    frames : Tensor
        (frames,) int64, numbers in the scan, which decide which frames are even.
    patches : Tensor
        (frames, N, N) complex64.
    half_patches : Tensor or None
        The same, reconstructed from the even or from the odd frames alone, where patches of all frames know of each
        other.
    """

    frames: Tensor
    patches: Tensor
    half_patches: Tensor | None = None


PatchSource = Callable[[], Iterable[Portion | ObjectTile]]
"""Gives all patches, or tiles, anew at each call, portion by portion."""


def stitch(
    patches: PatchSource, positions: Tensor, probe: Tensor, shape: tuple[int, int], phase_iterations: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Average patches, or tiles, where they overlap.

    Diffraction does not tell the global phase of a patch, so single-shot patches may disagree in it, and tiles too.
    Each phase iteration turns every one of them towards the object stitched so far and stitches again.

    Parameters
    ----------
    patches : PatchSource
        Gives all of them at each call.
    positions : Tensor
        (frames of the scan, 2) float, (row, column) pixels of the patch centres.
    probe : Tensor
        (modes, N, N) complex; its intensity is the weight.
    shape : tuple of int
        (H, W) of the object.
    phase_iterations : int
        How often the phases of the patches are aligned.

    Returns
    -------
    object : Tensor
        (H, W) complex64; 1 where no light fell.
    coverage : Tensor
        (H, W) float32, the accumulated weight; one frame's peak counts as 1.
    halves : Tensor
        (2, H, W) complex64, the objects of the even and of the odd frames alone, to be correlated with each other.
    """
    canvas = None
    for _ in range(phase_iterations + 1):
        sums = add_up(patches(), positions, probe, shape, canvas)
        canvas = sums.object
    return canvas, sums.coverage, sums.halves


@dataclass
class WeightedSums:
    """Patches added up, before they are divided by the light: what parts of a scan can be merged by.

    Parameters
    ----------
    totals : Tensor
        (3, H, W) complex64, weighted sums for the object of the even frames, of the odd ones, and of all.
    coverages : Tensor
        (2, H, W) float32, accumulated weights of the even and of the odd frames.
    """

    totals: Tensor
    coverages: Tensor

    def __add__(self, other: "WeightedSums") -> "WeightedSums":
        return WeightedSums(self.totals + other.totals, self.coverages + other.coverages)

    @property
    def object(self) -> Tensor:
        """(H, W) complex64; 1 where no light fell."""
        return weighted_mean(self.totals[2], self.coverage)

    @property
    def coverage(self) -> Tensor:
        """(H, W) float32, the accumulated weight; one frame's peak counts as 1."""
        return self.coverages.sum(dim=0)

    @property
    def halves(self) -> Tensor:
        """(2, H, W) complex64, the objects of the even and of the odd frames alone."""
        return weighted_mean(self.totals[:2], self.coverages)


def add_up(
    portions: Iterable[Portion | ObjectTile],
    positions: Tensor,
    probe: Tensor,
    shape: tuple[int, int],
    canvas: Tensor | None = None,
) -> WeightedSums:
    """Add up patches or tiles, each turned to the phase of an object where one is given.

    Parameters
    ----------
    portions : iterable of Portion or ObjectTile
        The patches or tiles.
    positions : Tensor
        (frames of the scan, 2) float, pixels of their centres.
    probe : Tensor
        (modes, N, N) complex; its intensity is the weight.
    shape : tuple of int
        (H, W) of the object.
    canvas : Tensor, optional
        (H, W) complex64, the object whose phase they take.
    """
    weight = incoherent_sum(probe)[None, None]
    totals = torch.zeros(3, *shape, dtype=torch.complex64, device=positions.device)
    coverages = torch.zeros(2, *shape, device=positions.device)

    def turned(patches: Tensor, place: Tensor) -> Tensor:
        if canvas is None:
            return patches
        target = extract_patches(canvas[None], place, patches.shape[-1])
        return patches * _phase_towards(target, patches, weight)

    for portion in portions:
        if not len(portion.frames):
            continue
        if isinstance(portion, ObjectTile):
            _add_tile(portion, positions[portion.frames].float(), weight[0, 0], canvas, totals, coverages)
            continue
        frames, patches, half_patches = portion
        place = positions[None, frames].float()
        patches = turned(patches[None], place)
        own = patches if half_patches is None else turned(half_patches[None], place)
        for half in range(2):
            mine = frames % 2 == half
            if not mine.any():  # a portion of one frame
                continue
            part, light = accumulate_patches(own[:, mine], weight, place[:, mine], shape)
            totals[half] += part[0]
            coverages[half] += light[0]
        if half_patches is not None:
            totals[2] += accumulate_patches(patches, weight, place, shape)[0][0]
        else:
            totals[2] = totals[0] + totals[1]
    return WeightedSums(totals, coverages)


def _add_tile(
    tile: ObjectTile, positions: Tensor, weight: Tensor, canvas: Tensor | None, totals: Tensor, coverages: Tensor
) -> None:
    """Add a tile, lit by its frames at positions (frames, 2), to the sums of `WeightedSums` in place."""
    frame = tuple(coverages.shape[-2:])
    mine = [tile.frames % 2 == half for half in range(2)]

    def lit(piece: Tensor, corner: Tensor, frames: Tensor) -> Tensor:
        return light_of_frames(positions[frames] - corner, weight, tuple(piece.shape))

    def add(target: Tensor, piece: Tensor, corner: Tensor, light: Tensor) -> None:
        there, here = placed(corner, tuple(piece.shape), frame)
        piece, light = piece[here], light[here]
        if canvas is not None:
            piece = piece * _phase_towards(canvas[there], piece, light)
        target[there] += piece * light

    lights = [lit(tile.object, tile.corner, frames) for frames in mine]
    there, here = placed(tile.corner, tuple(tile.object.shape), frame)
    add(totals[2], tile.object, tile.corner, lights[0] + lights[1])
    for half in range(2):
        coverages[half][there] += lights[half][here]
        if tile.halves is None:
            add(totals[half], tile.object, tile.corner, lights[half])
        elif tile.halves[half] is not None:
            piece, corner = tile.halves[half]
            add(totals[half], piece, corner, lit(piece, corner, mine[half]))


def _phase_towards(target: Tensor, patches: Tensor, weight: Tensor) -> Tensor:
    """Unit factors (1, frames, 1, 1) that turn patches to the phase of their targets, by weighted least squares."""
    overlap = (target * patches.conj() * weight).sum(dim=(-2, -1), keepdim=True)
    return overlap / overlap.abs().clamp_min(1e-12)


def coverage_of(probe: np.ndarray, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probe intensity accumulated over the scan, (H, W) float32, zero of no frames; one frame's peak counts as 1."""
    weight = incoherent_sum(torch.from_numpy(probe))
    return light_of_frames(torch.from_numpy(positions).float(), weight, shape).numpy()
