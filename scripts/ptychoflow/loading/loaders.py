"""Frames as one tensor on the device, handed out as index batches: no worker processes, no Python for each frame."""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ptychoflow.loading.groups import draw_groups
from ptychoflow.loading.tables import Batch, FrameTable, StoredTable
from ptychoflow.loading.tiles import Tile
from ptychoflow.settings.training import GroupSettings


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
        Share that this process takes of each batch of ``replicas * batch_size`` groups under distributed training; when
        shuffling, a last batch with too few groups for all processes is dropped.
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
        pieces = [groups[piece.to(groups.device)] for piece in self._pieces(generator)]
        parts = [piece[self.rank :: self.replicas][: self._share(len(piece))] for piece in pieces]
        pieces = [piece for piece, part in zip(pieces, parts, strict=True) if len(part)]
        for piece, (part, table) in zip(pieces, read_ahead(filter(len, parts), self.table), strict=True):
            wholes = piece.split(self.replicas * self.batch_size)
            for chosen, whole in zip(part.split(self.batch_size), wholes, strict=False):
                batch = table.batch(chosen, self.reach)
                yield batch if self.replicas == 1 else batch._replace(extent=self._extent(whole))

    def picked(self, anchors: Tensor) -> Batch:
        """Give a batch of the groups round chosen anchors, rows of `neighbours`, always of the same members."""
        groups = draw_groups(self.neighbours, self.groups.size, self._generator(epoch=0))
        return self.table.batch(groups[anchors.to(groups.device)], self.reach)

    def _extent(self, groups: Tensor) -> Tensor:
        places = self.table.positions[groups]
        return (places.amax(dim=1) - places.amin(dim=1)).amax(dim=0)

    def _pieces(self, generator: torch.Generator) -> list[Tensor]:
        """Groups of each piece, (groups,) int64, both shuffled where there are epochs."""
        order, turns = torch.arange(len(self.neighbours)), torch.arange(int(self.pieces.max()) + 1)
        if self.epoch:
            order = torch.randperm(len(order), generator=generator)
            turns = torch.randperm(len(turns), generator=generator)
        return [order[self.pieces[order] == piece] for piece in turns]

    def _share(self, groups: int) -> int:
        """How many groups of a piece are for this process, and in training as many batches for all, that none waits."""
        left = groups % (self.replicas * self.batch_size)
        if self.epoch and left < self.replicas:
            groups -= left
        return len(range(self.rank, groups, self.replicas))

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
