"""Frames as one tensor on the device, handed out as index batches: no worker processes, no Python for each frame."""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.groups import draw_groups
from ptychoflow.loading.tiles import Tile
from ptychoflow.physics.patches import extract_patches
from ptychoflow.settings.training import GroupSettings

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
    """Frames in memory, of one or more scans; fields as in `Batch` with (frames, …) in place of (batch, C, …).

    Parameters
    ----------
    numbers : Tensor or None
        (frames,) int64, rising, which frames of all scans these are; all of them if not given.
    """

    scan: Tensor
    amplitudes: Tensor
    positions: Tensor
    truth: Tensor | None = None
    numbers: Tensor | None = None

    @classmethod
    def of(cls, scans: list[Dataset], device: torch.device, with_truth: bool = False) -> "FrameTable | StoredTable":
        """Put the frames of several scans end to end on a device, their true patches too if asked for.

        Where a scan's frames are still in their file, all stay there, to be read piece by piece.

        Raises
        ------
        InputError
            Where the scans have frames of different sizes, or truth is asked for and one has none.
        """
        sizes = sorted({scan.size for scan in scans})
        if len(sizes) > 1:
            raise InputError(f"datasets have frames of {sizes} pixels: expected one size to train together")
        stored = StoredTable(scans, device, with_truth)
        if not all(isinstance(scan.frames, np.ndarray) for scan in scans):
            return stored
        whole = stored.piece(torch.arange(len(stored.positions)))
        return cls(whole.scan, whole.amplitudes, whole.positions, whole.truth)

    @property
    def size(self) -> int:
        """Edge length N of a frame in pixels."""
        return self.amplitudes.shape[-1]

    def piece(self, frames: Tensor) -> "FrameTable":
        """Give a table of at least these frames, int64 of any shape: this one."""
        return self

    def batch(self, frames: Tensor, reach: int, wanted: int = 1) -> Batch:
        """Gather groups of frames, (batch, C) int64; `reach` and `wanted` as in `Batch`."""
        rows = frames if self.numbers is None else torch.searchsorted(self.numbers, frames)
        truth = None if self.truth is None else self.truth[rows]
        return Batch(frames, self.scan[rows[:, 0]], self.amplitudes[rows], self.positions[rows], truth, reach, wanted)


class StoredTable:
    """Frames of one or more scans that are read piece by piece.

    Parameters
    ----------
    scans : list of Dataset
        Validated datasets with frames of one size.
    device : device
        Where pieces are put.
    with_truth : bool
        Whether pieces have true patches.
    """

    def __init__(self, scans: list[Dataset], device: torch.device, with_truth: bool) -> None:
        self.scans, self.device = scans, device
        self.size = scans[0].size
        self.canvases = [true_object(scan) for scan in scans] if with_truth else None
        lengths = torch.tensor([len(scan.frames) for scan in scans])
        self.first = torch.cumsum(lengths, 0) - lengths
        self.scan = torch.arange(len(scans)).repeat_interleave(lengths).to(device)
        self.positions = torch.from_numpy(np.concatenate([scan.positions for scan in scans])).float().to(device)

    def piece(self, frames: Tensor) -> FrameTable:
        """Read some frames, int64 of any shape, each once."""
        frames = frames.cpu().unique()
        owner = self.scan.cpu()[frames]
        counts, truth = [], []
        for number, scan in enumerate(self.scans):
            own = (frames[owner == number] - self.first[number]).numpy()
            if len(own):
                counts.append(torch.from_numpy(scan.frames[own]))
                if self.canvases is not None:
                    truth.append(cut_patches(self.canvases[number], true_positions(scan)[own], self.size))
        return FrameTable(
            scan=owner.to(self.device),
            amplitudes=torch.fft.ifftshift(torch.cat(counts), dim=(-2, -1)).sqrt_().to(self.device),
            positions=self.positions[frames.to(self.device)],
            truth=torch.cat(truth).to(self.device) if truth else None,
            numbers=frames.to(self.device),
        )

    def batch(self, frames: Tensor, reach: int, wanted: int = 1) -> Batch:
        """Read groups of frames; as `FrameTable.batch`."""
        return self.piece(frames).batch(frames, reach, wanted)


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


def read_ahead(pieces: Iterable[Tensor], table: "FrameTable | StoredTable") -> Iterator[tuple[Tensor, FrameTable]]:
    """Give index tensors, each with a table of the frames that it names; the next is read while one is in use."""
    with ThreadPoolExecutor(1) as thread:
        waiting: tuple[Tensor, Future] | None = None
        for piece in pieces:
            coming = piece, thread.submit(table.piece, piece)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()


class GroupLoader:
    """Iterates over batches of groups; Lightning takes it as a data loader.

    The order of the groups and the draw of their members are a function of seed and epoch alone, so a run that goes
    on after an interruption sees the same batches as one that was never stopped.

    Parameters
    ----------
    table : FrameTable or StoredTable
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
    pieces : Tensor, optional
        (anchors,) int64, numbers of the pieces in which stored frames are read; no batch mixes two. One if not given.
    """

    def __init__(
        self,
        table: FrameTable | StoredTable,
        neighbours: Tensor,
        groups: GroupSettings,
        batch_size: int,
        seed: int = 0,
        epoch: Callable[[], int] | None = None,
        rank: int = 0,
        replicas: int = 1,
        pieces: Tensor | None = None,
    ) -> None:
        self.table = table
        self.groups = groups
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.rank, self.replicas = rank, replicas
        repeats = groups.per_anchor if epoch else 1
        self.neighbours = neighbours.repeat(repeats, 1).to(table.positions.device)
        pieces = torch.zeros(len(neighbours), dtype=torch.long) if pieces is None else pieces
        self.pieces = pieces.repeat(repeats)
        places = table.positions[self.neighbours]
        self.reach = math.ceil(float((places - places[:, :1]).abs().amax()))

    def __len__(self) -> int:
        return sum(-(-self._share(length) // self.batch_size) for length in self.pieces.bincount().tolist())

    def __iter__(self) -> Iterator[Batch]:
        generator = self._generator(self.epoch() if self.epoch else 0)
        groups = draw_groups(self.neighbours, self.groups.size, generator)
        parts = [groups[part.to(groups.device)] for part in self._parts(generator) if len(part)]
        for part, table in read_ahead(parts, self.table):
            for chosen in part.split(self.batch_size):
                yield table.batch(chosen, self.reach)

    def picked(self, anchors: Tensor) -> Batch:
        """Give a batch of the groups round chosen anchors, rows of `neighbours`, always of the same members."""
        groups = draw_groups(self.neighbours, self.groups.size, self._generator(epoch=0))
        return self.table.batch(groups[anchors.to(groups.device)], self.reach)

    def _parts(self, generator: torch.Generator) -> list[Tensor]:
        """Groups that this process takes of each piece, (groups,) int64, both shuffled where there are epochs."""
        order, turns = torch.arange(len(self.neighbours)), torch.arange(int(self.pieces.max()) + 1)
        if self.epoch:
            order = torch.randperm(len(order), generator=generator)
            turns = torch.randperm(len(turns), generator=generator)
        parts = [order[self.pieces[order] == piece] for piece in turns]
        return [part[self.rank :: self.replicas][: self._share(len(part))] for part in parts]

    def _share(self, groups: int) -> int:
        """How many groups of a piece are for this process; the same for all when shuffling, so that none waits."""
        return groups // self.replicas if self.epoch else len(range(self.rank, groups, self.replicas))

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(1_000_003 * self.seed + epoch)

    @property
    def groups_here(self) -> int:
        """Groups for this process."""
        return sum(map(self._share, self.pieces.bincount().tolist()))


class TileLoader:
    """Iterates over tiles of a scan, one group each: what a network that joins frames predicts with.

    Parameters
    ----------
    table : FrameTable or StoredTable
        The frames.
    tiles : list of Tile
        Which frames are reconstructed together.
    """

    def __init__(self, table: FrameTable | StoredTable, tiles: list[Tile]) -> None:
        self.table = table
        self.tiles = tiles

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Batch]:
        members = [torch.from_numpy(np.concatenate([tile.frames, tile.context])) for tile in self.tiles]
        for tile, (frames, table) in zip(self.tiles, read_ahead(members, self.table), strict=True):
            yield table.batch(frames[None].to(table.positions.device), reach=0, wanted=len(tile.frames))

    @property
    def groups_here(self) -> int:
        """Frames that are predicted."""
        return sum(len(tile.frames) for tile in self.tiles)
