"""Frames as one tensor on the device, handed out as index batches: no worker processes, no Python for each frame."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.groups import draw_groups
from ptychoflow.data.tiles import Tile
from ptychoflow.errors import InputError
from ptychoflow.physics.patches import extract_patches
from ptychoflow.settings import GroupSettings

PATCHES_AT_ONCE = 512


class Batch(NamedTuple):
    """Groups of frames.

    Parameters
    ----------
    frames : Tensor
        (batch, C) int64, which frames these are, counted through all scans.
    scan : Tensor
        (batch,) int64, which scan each group belongs to.
    amplitudes : Tensor
        (batch, C, N, N) float32, square roots of photon counts, zero frequency in the corner.
    positions : Tensor
        (batch, C, 2) float32, (row, column) pixels of the patch centres.
    truth : Tensor or None
        (batch, C, N, N) complex64, true object patches where they are known.
    reach : int
        Pixels that no frame of any group is farther from its anchor along either axis.
    wanted : int
        Frames of each group whose patches are wanted, the first ones; the others help to reconstruct them.
    """

    frames: Tensor
    scan: Tensor
    amplitudes: Tensor
    positions: Tensor
    truth: Tensor | None
    reach: int
    wanted: int = 1

    def alone(self) -> "Batch":
        """The wanted frames, each as a group of its own."""
        first = [
            part[:, : self.wanted].flatten(0, 1)[:, None] for part in (self.frames, self.amplitudes, self.positions)
        ]
        truth = None if self.truth is None else self.truth[:, : self.wanted].flatten(0, 1)[:, None]
        frames, amplitudes, positions = first
        return Batch(frames, self.scan.repeat_interleave(self.wanted), amplitudes, positions, truth, reach=0)

    def members(self, chosen: Tensor) -> "Batch":
        """The chosen frames (frames,) int64 of a single group, all of them wanted."""
        truth = None if self.truth is None else self.truth[:, chosen]
        own = self.frames[:, chosen], self.scan, self.amplitudes[:, chosen], self.positions[:, chosen], truth
        return Batch(*own, self.reach, wanted=len(chosen))


@dataclass
class FrameTable:
    """All frames of one or more scans; fields as in `Batch` with (frames, …) in place of (batch, C, …)."""

    scan: Tensor
    amplitudes: Tensor
    positions: Tensor
    truth: Tensor | None = None

    @classmethod
    def of(cls, scans: list[Dataset], device: torch.device, with_truth: bool = False) -> "FrameTable":
        """Put the frames of several scans end to end on a device, their true patches too if asked for.

        Raises
        ------
        InputError
            Where the scans have frames of different sizes, or truth is asked for and one has none.
        """
        sizes = sorted({scan.size for scan in scans})
        if len(sizes) > 1:
            raise InputError(f"datasets have frames of {sizes} pixels: expected one size to train together")
        counts = torch.from_numpy(np.concatenate([scan.frames for scan in scans]))
        lengths = torch.tensor([len(scan.frames) for scan in scans])
        return cls(
            scan=torch.arange(len(scans)).repeat_interleave(lengths).to(device),
            amplitudes=torch.fft.ifftshift(counts, dim=(-2, -1)).sqrt_().to(device),
            positions=torch.from_numpy(np.concatenate([scan.positions for scan in scans])).float().to(device),
            truth=torch.cat([true_patches(scan) for scan in scans]).to(device) if with_truth else None,
        )

    def batch(self, frames: Tensor, reach: int, wanted: int = 1) -> Batch:
        """Gather groups of frames, (batch, C) int64; `reach` and `wanted` as in `Batch`."""
        truth = None if self.truth is None else self.truth[frames]
        scan = self.scan[frames[:, 0]]
        return Batch(frames, scan, self.amplitudes[frames], self.positions[frames], truth, reach, wanted)


def true_patches(scan: Dataset) -> Tensor:
    """Cut the true object of a simulated scan into its patches, (frames, N, N) complex64."""
    if scan.truth is None:
        raise InputError(
            "supervised training needs the true object: expected a simulated dataset, found a measured one"
        )
    canvas = torch.from_numpy(scan.truth)[None]
    positions = scan.positions if scan.true_positions is None else scan.true_positions
    batches = torch.from_numpy(positions).float().split(PATCHES_AT_ONCE)
    return torch.cat([extract_patches(canvas, batch[None], scan.size)[0] for batch in batches])


class GroupLoader:
    """Iterates over batches of groups; Lightning takes it as a data loader.

    The order of the groups and the draw of their members are a function of seed and epoch alone, so a run that goes
    on after an interruption sees the same batches as one that was never stopped.

    Parameters
    ----------
    table : FrameTable
        The frames.
    neighbours : Tensor
        (anchors, K) int64 with the anchor in the first column.
    groups : GroupSettings
        Size of the groups, and how many are drawn round each anchor.
    batch_size : int
        Groups in a batch.
    seed : int
        Source of all draws.
    epoch : callable, optional
        Gives the present epoch to shuffle by; without it the order is fixed and epoch 0 is drawn.
    rank, replicas : int
        Share of the batches that this process takes under distributed training; what is left over is dropped when
        shuffling and kept otherwise.
    """

    def __init__(
        self,
        table: FrameTable,
        neighbours: Tensor,
        groups: GroupSettings,
        batch_size: int,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        rank: int = 0,
        replicas: int = 1,
    ) -> None:
        self.table = table
        self.groups = groups
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.rank, self.replicas = rank, replicas
        self.neighbours = neighbours.repeat(groups.per_anchor if epoch else 1, 1).to(table.positions.device)
        places = table.positions[self.neighbours]
        self.reach = math.ceil(float((places - places[:, :1]).abs().amax()))

    def __len__(self) -> int:
        return -(-self.groups_here // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        generator = self._generator(self.epoch() if self.epoch else 0)
        groups = draw_groups(self.neighbours, self.groups.size, generator)
        if self.epoch:
            order = torch.randperm(len(groups), generator=generator).to(groups.device)
            groups = groups[order]
        groups = groups[self.rank :: self.replicas][: self.groups_here]
        for chosen in groups.split(self.batch_size):
            yield self.table.batch(chosen, self.reach)

    def picked(self, anchors: Tensor) -> Batch:
        """Give a batch of the groups round chosen anchors, rows of `neighbours`, always of the same members."""
        groups = draw_groups(self.neighbours, self.groups.size, self._generator(epoch=0))
        return self.table.batch(groups[anchors.to(groups.device)], self.reach)

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(1_000_003 * self.seed + epoch)

    @property
    def groups_here(self) -> int:
        """Groups for this process: the same for all when shuffling, so that none waits for another's last step."""
        total = len(self.neighbours)
        return total // self.replicas if self.epoch else len(range(self.rank, total, self.replicas))


class TileLoader:
    """Iterates over tiles of a scan, one group each: what a network that joins frames predicts with.

    Parameters
    ----------
    table : FrameTable
        The frames.
    tiles : list of Tile
        Which frames are reconstructed together.
    """

    def __init__(self, table: FrameTable, tiles: list[Tile]) -> None:
        self.table = table
        self.tiles = tiles

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Batch]:
        for tile in self.tiles:
            frames = torch.from_numpy(np.concatenate([tile.frames, tile.context]))
            yield self.table.batch(frames[None].to(self.table.positions.device), reach=0, wanted=len(tile.frames))

    @property
    def groups_here(self) -> int:
        """Frames that are predicted."""
        return sum(len(tile.frames) for tile in self.tiles)
