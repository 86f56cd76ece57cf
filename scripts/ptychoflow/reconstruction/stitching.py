"""From patches or tiles of a scan to one object: sub-pixel, weighted by the probe, phases brought into agreement."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import (
    add_at,
    extract_patches,
    lit_patches,
    patch_index,
    split_positions,
    weighted_mean,
)
from ptychoflow.physics.pieces import slices
from ptychoflow.physics.tiles import ObjectTile, light_of_frames, placed

PIXELS_AT_ONCE = 2**17
"""Of patches that a CPU works on at a time."""
KNOWN = 0.01
"""Share of the light of a piece from which its overlap with what it is turned to tells a phase."""


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
        (2, H, W) complex64, the objects of the even and of the odd frames alone, to be correlated with each other; NaN
        where tiles were made of all frames alone.
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
    weight = incoherent_sum(probe)
    totals = torch.zeros(3, *shape, dtype=torch.complex64, device=positions.device)
    coverages = torch.zeros(2, *shape, device=positions.device)
    for portion in portions:
        if isinstance(portion, ObjectTile):
            if len(portion.frames):
                _add_tile(portion, positions[portion.frames].float(), weight, canvas, totals, coverages)
            continue
        for some in _pieces(portion):
            _add_patches(some, positions[some.frames].float(), weight, canvas, totals, coverages)
        if portion.half_patches is None:
            totals[2] = totals[0] + totals[1]
    return WeightedSums(totals, coverages)


def _pieces(portion: Portion) -> Iterator[Portion]:
    """As many patches of a portion at a time as a CPU's cache holds; beyond it, transforms take three times as long."""
    count, at_once = len(portion.frames), max(1, len(portion.frames))
    if count and portion.patches.device.type == "cpu":
        at_once = max(1, PIXELS_AT_ONCE // portion.patches[0].numel())
    for some in slices(count, at_once):
        yield Portion(*(None if part is None else part[some] for part in portion))


def _add_patches(
    portion: Portion, positions: Tensor, weight: Tensor, canvas: Tensor | None, totals: Tensor, coverages: Tensor
) -> None:
    """Add patches at positions (patches, 2) to the sums of `WeightedSums` in place; with own halves to all three."""
    size, frame = portion.patches.shape[-1], tuple(coverages.shape[-2:])
    corner, fraction = split_positions(positions[None], size)
    index = patch_index(corner, size, (1, *frame))
    # The halves lie one below the other.
    halved = index + (portion.frames % 2).to(index.device)[:, None, None] * (frame[0] * frame[1])
    target = None if canvas is None else extract_patches(canvas[None], positions[None], size)

    def lit(patches: Tensor) -> tuple[Tensor, Tensor]:
        patches = patches[None]
        if target is not None:
            patches = patches * phase_towards(target, patches, weight)
        return lit_patches(patches, weight[None, None], fraction)

    own, light = lit(portion.patches if portion.half_patches is None else portion.half_patches)
    add_at(totals[:2].view(1, -1, frame[1]), halved, own)
    add_at(coverages.view(1, -1, frame[1]), halved, light)
    if portion.half_patches is not None:
        add_at(totals[2:], index, lit(portion.patches)[0])


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
            piece = piece * phase_towards(canvas[there], piece, light)
        target[there] += piece * light

    lights = [lit(tile.object, tile.corner, frames) for frames in mine]
    there, here = placed(tile.corner, tuple(tile.object.shape), frame)
    add(totals[2], tile.object, tile.corner, lights[0] + lights[1])
    for half in range(2):
        coverages[half][there] += lights[half][here]
        if tile.halves is None:
            # All frames made one object: cut in two it would agree with itself.
            totals[half] = torch.nan
        elif tile.halves[half] is not None:
            piece, corner = tile.halves[half]
            add(totals[half], piece, corner, lit(piece, corner, mine[half]))


def phase_towards(target: Tensor, pieces: Tensor, weight: Tensor) -> Tensor:
    """Unit factors (..., 1, 1) that turn pieces (..., h, w) to the phase of their targets, by weighted least squares.

    They are 1 where too little of the target is known: it may be zero where nothing is lit yet.
    """
    overlap = (target * pieces.conj() * weight).sum(dim=(-2, -1), keepdim=True)
    light = (incoherent_sum(pieces.unsqueeze(-3)) * weight).sum(dim=(-2, -1), keepdim=True)
    known = overlap.abs() > KNOWN * light
    return torch.where(known, overlap / overlap.abs().clamp_min(1e-12), 1)


def coverage_of(probe: np.ndarray, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probe intensity accumulated over the scan, (H, W) float32, zero of no frames; one frame's peak counts as 1."""
    weight = incoherent_sum(torch.from_numpy(probe))
    return light_of_frames(torch.from_numpy(positions).float(), weight, shape).numpy()
