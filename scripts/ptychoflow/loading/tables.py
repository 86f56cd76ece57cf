"""Frames as one tensor on the device, or in their files, handed out as batches of groups by their numbers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.truth import cut_patches, true_object, true_positions


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
    extent : Tensor or None
        (2,) float32, pixels that the positions of the widest group span along either axis, of all processes where this
        batch is a share of theirs.
    """

    frames: Tensor
    scan: Tensor
    amplitudes: Tensor
    positions: Tensor
    truth: Tensor | None
    reach: int
    wanted: int = 1
    extent: Tensor | None = None

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

    def parts(self, count: int) -> list["Batch"]:
        """Cut the batch into so many parts or, of a short one, fewer, whose objects are as large as those of all."""
        extent = self.extent
        if extent is None:
            extent = (self.positions.amax(dim=1) - self.positions.amin(dim=1)).amax(dim=0)
        cut = [self.frames, self.scan, self.amplitudes, self.positions]
        size = -(-len(self.frames) // count)
        truths = [None] * count if self.truth is None else self.truth.split(size)
        rows = zip(*(part.split(size) for part in cut), truths, strict=False)
        return [Batch(*row, self.reach, self.wanted, extent) for row in rows]


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
            amplitudes=torch.fft.ifftshift(torch.cat(counts).to(self.device), dim=(-2, -1)).sqrt_(),
            positions=self.positions[frames.to(self.device)],
            truth=torch.cat(truth).to(self.device) if truth else None,
            numbers=frames.to(self.device),
        )

    def batch(self, frames: Tensor, reach: int, wanted: int = 1) -> Batch:
        """Read groups of frames; as `FrameTable.batch`."""
        return self.piece(frames).batch(frames, reach, wanted)
