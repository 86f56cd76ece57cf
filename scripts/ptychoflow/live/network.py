"""The image of a scan while it is being measured: new frames are reconstructed with their neighbours, and added."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoflow.loading.tiles import MARGIN
from ptychoflow.models.trained import TrainedNetwork
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import extract_patches
from ptychoflow.physics.tiles import ObjectTile, light_of_frames, placed
from ptychoflow.reconstruction.stitching import Portion, WeightedSums, add_up, phase_towards

MOST_FRAMES = 512
"""Frames that are reconstructed at once: of 256 each takes a quarter longer, of more no less."""
MOST_NEIGHBOURS = 256
"""Frames reconstructed before that may help with new ones."""


@dataclass
class Seen:
    """Frames that have come in; fields as in `ptychoflow.loading.tables.Batch`, for one group."""

    amplitudes: Tensor
    positions: Tensor
    count: int = 0

    @classmethod
    def none(cls, size: int, device: torch.device) -> "Seen":
        return cls(torch.empty(MOST_FRAMES, size, size, device=device), torch.empty(MOST_FRAMES, 2, device=device))

    def append(self, amplitudes: Tensor, positions: Tensor) -> None:
        """Add frames; room is doubled when there is none left."""
        needed = self.count + len(amplitudes)
        while needed > len(self.amplitudes):
            self.amplitudes = torch.cat([self.amplitudes, torch.empty_like(self.amplitudes)])
            self.positions = torch.cat([self.positions, torch.empty_like(self.positions)])
        self.amplitudes[self.count : needed] = amplitudes
        self.positions[self.count : needed] = positions
        self.count = needed


class GrowingFrame:
    """The frame of an object that positions about any origin lie in, and that grows with them.

    Parameters
    ----------
    size : int
        Edge length N of a patch in pixels.
    shape : tuple of int, optional
        (H, W) of the frame that positions count in; without it the first positions tell.
    """

    def __init__(self, size: int, shape: tuple[int, int] | None) -> None:
        self.size, self.shape = size, shape or (0, 0)
        self.given, self.empty = shape is not None, shape is None
        self.origin = torch.zeros(2, dtype=torch.float64)

    def make_room(self, places: Tensor) -> list[int] | None:
        """Grow so that the patches of positions (frames, 2) float64 lie inside.

        Returns
        -------
        list of int or None
            Pixels added before and after the columns, then the rows, as `torch.nn.functional.pad` takes them.
        """
        border = self.size // 2 + 2
        low, high = places.amin(dim=0) + self.origin - border, places.amax(dim=0) + self.origin + border
        shape = torch.tensor(self.shape)
        if self.empty:  # The first frames say where the object is.
            self.empty, self.origin = False, -low
            low, high = torch.zeros_like(low), high - low
        # A given frame has a border of its own.
        slack = 2 if self.given else 0
        before = torch.where(low < -slack, (-low / self.size).ceil() * self.size, 0).long()
        after = torch.where(high > shape + slack, ((high - shape) / self.size).ceil() * self.size, 0).long()
        if not (before.any() or after.any()):
            return None
        self.origin = self.origin + before
        self.shape = tuple(int(length) for length in shape + before + after)
        return [int(before[1]), int(after[1]), int(before[0]), int(after[0])]


class LiveReconstruction:
    """Running sums of a scan whose frames come in little by little.

    New frames are reconstructed together with those of their neighbours that came before. What the latest group gives
    stays apart for a while: while a frame helps with newer ones, its own part is renewed too. Once it no longer does,
    that goes into the sums for good.

    Parameters
    ----------
    network : TrainedNetwork
        With the probe and the mask of the scan.
    shape : tuple of int, optional
        (H, W) of the object frame; without it, and where positions lie outside, the frame grows.
    share : float
        Of the frames, that is held out of the image to judge it.
    seed : int
        Fixes which.
    """

    most_frames = MOST_FRAMES

    def __init__(
        self, network: TrainedNetwork, shape: tuple[int, int] | None = None, share: float = 0.0, seed: int = 0
    ) -> None:
        self.network = network
        self.share, self.draw = share, np.random.default_rng(seed)
        self.held_out = np.zeros(0, dtype=bool)
        self.size, self.device = network.scaled_probe.shape[-1], network.scaled_probe.device
        self.seen = Seen.none(self.size, self.device)
        self.frame = GrowingFrame(self.size, shape)
        self.settled = _empty(shape or (0, 0), self.device)
        self.shown = self.settled
        self.recent = Portion(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.complex64))

    @property
    def origin(self) -> Tensor:
        """(2,) float64, where the origin of the positions lies in the object frame."""
        return self.frame.origin

    @property
    def begun(self) -> bool:
        """Whether there is an image."""
        return self.seen.count > 0

    def improve(self) -> bool:
        """Nothing: a frame is reconstructed when it comes, and while it helps with newer ones."""
        return False

    @torch.inference_mode()
    def add(self, frames: np.ndarray, positions: np.ndarray) -> None:
        """Reconstruct new frames, but for those that are held out.

        Parameters
        ----------
        frames : ndarray
            (frames, N, N) float32, photon counts, zero frequency in the centre.
        positions : ndarray
            (frames, 2) float64, pixels of the patch centres, in the frame given or about any origin.
        """
        self._make_room(torch.from_numpy(positions))
        # One number for each frame, however they come; the first is used in any case, so that there is an image.
        drawn = self.draw.random(len(frames)) < self.share
        if not len(self.held_out):
            drawn[0] = False
        self.held_out = np.append(self.held_out, drawn)
        if drawn.all():
            return
        frames, places = frames[~drawn], torch.from_numpy(positions[~drawn])
        new = torch.arange(self.seen.count, self.seen.count + len(frames))
        amplitudes = torch.fft.ifftshift(torch.from_numpy(frames).to(self.device), dim=(-2, -1)).sqrt_()
        self.network.settle(amplitudes)
        self.seen.append(amplitudes, (places + self.frame.origin).float().to(self.device))
        if self.network.joins_frames:
            group = torch.cat([new, self._neighbours(new)])
            tile = self.network.tile(self.seen.amplitudes[group][None], self.seen.positions[group][None])
            self._take(len(new), self._turned_tile(ObjectTile(group, *tile)))
        else:
            self._take(len(new), Portion(new, self._turned(new, self._grouped(new))))

    def _make_room(self, places: Tensor) -> None:
        """Let the object's frame grow so that all patches lie inside; what is there already moves along."""
        padding = self.frame.make_room(places)
        if padding is None:
            return
        moved = torch.tensor(padding[2::-2], device=self.device)
        if isinstance(self.recent, ObjectTile):
            self.recent = self.recent._replace(corner=self.recent.corner + moved)
        self.seen.positions[: self.seen.count] += moved
        self.settled, self.shown = (
            WeightedSums(*(torch.nn.functional.pad(part, padding) for part in (sums.totals, sums.coverages)))
            for sums in (self.settled, self.shown)
        )

    def _neighbours(self, new: Tensor) -> Tensor:
        """Frames seen before that overlap most with any of the new ones, (frames,) int64."""
        old = int(new[0])
        if old == 0:
            return new[:0]
        away = torch.cdist(self.seen.positions[:old], self.seen.positions[new], p=float("inf")).amin(dim=1)
        distance, nearest = away.topk(min(old, MOST_NEIGHBOURS), largest=False)
        return nearest[distance <= MARGIN * self.size].cpu()

    def _grouped(self, new: Tensor) -> Tensor:
        """Patches (frames, N, N) of a network that takes groups of a fixed size, from the nearest frames so far."""
        members = min(self.network.groups.size, self.seen.count)
        positions = self.seen.positions
        nearest = torch.cdist(positions[new], positions[: self.seen.count]).topk(members, largest=False).indices
        # Before there are enough frames, the first ones stand in several places of a group.
        nearest = nearest[:, torch.arange(self.network.groups.size) % members]
        nearest[:, 0] = new
        return torch.cat(
            [self.network.patches(self.seen.amplitudes[some], positions[some])[:, 0] for some in nearest.split(16)]
        )

    def _turned(self, group: Tensor, patches: Tensor) -> Tensor:
        """Patches with the phase of the image so far."""
        weight = incoherent_sum(self.network.scaled_probe)
        weight = weight / weight.amax()
        target = extract_patches(self.shown.totals[2][None], self.seen.positions[group][None], self.size)[0]
        return patches * phase_towards(target, patches, weight)

    def _turned_tile(self, tile: ObjectTile) -> ObjectTile:
        """A tile with the phase of the image so far."""
        weight, places = incoherent_sum(self.network.scaled_probe), self.seen.positions[tile.frames] - tile.corner
        light = light_of_frames(places, weight, tuple(tile.object.shape))
        totals = self.shown.totals[2]
        there, here = placed(tile.corner, tuple(tile.object.shape), tuple(totals.shape))
        return tile._replace(object=tile.object * phase_towards(totals[there], tile.object[here], light[here]))

    def _take(self, new: int, group: Portion | ObjectTile) -> None:
        """Settle the recent frames that the group does not renew, and keep the group's in their place."""
        renewed = torch.isin(group.frames, self.recent.frames)
        done = ~torch.isin(self.recent.frames, group.frames)
        if done.any():
            self.settled = self.settled + self._sums(_some(self.recent, done))
        renewed[:new] = True
        self.recent = _some(group, renewed)
        self.shown = self.settled + self._sums(self.recent)

    def _sums(self, portion: Portion | ObjectTile) -> WeightedSums:
        shape = tuple(self.settled.coverages.shape[-2:])
        return add_up([portion], self.seen.positions, self.network.scaled_probe, shape)


def _some(portion: Portion | ObjectTile, frames: Tensor) -> Portion | ObjectTile:
    """Frames (frames,) bool of a portion: patches of their own, or their light on one tile."""
    if isinstance(portion, ObjectTile):
        return portion._replace(frames=portion.frames[frames])
    return Portion(portion.frames[frames], portion.patches[frames])


def _empty(shape: tuple[int, int], device: torch.device) -> WeightedSums:
    return WeightedSums(
        torch.zeros(3, *shape, dtype=torch.complex64, device=device), torch.zeros(2, *shape, device=device)
    )
