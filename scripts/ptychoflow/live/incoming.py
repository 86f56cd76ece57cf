"""Frames that came in while a scan is measured: which are fitted, which judge, and which go along with new ones."""

import numpy as np
import torch
from torch import Tensor

from ptychoflow.live.network import Seen
from ptychoflow.live.windows import LiveFrames, Window
from ptychoflow.loading.tiles import MARGIN
from ptychoflow.physics.diffraction import Propagator

FEWEST = 192
"""Frames in a pass, as long as there are as many: what is not new or next to it is drawn from all before."""
COMPANIONS = 64
"""Neighbours of new frames, and others drawn from all before, so many of each beside however many new ones."""
JUDGES = 32
"""Held-out frames, the latest, that judge learned corrections."""
REACH = 2
"""Frame widths round new frames within which others are drawn: so a pass does not grow with the object."""


class IncomingFrames:
    """All frames so far.

    Parameters
    ----------
    mask : Tensor
        (N, N) bool, True for good pixels, zero frequency in the corner.
    share : float
        Of the frames that are held out.
    seed : int
        Fixes which frames those are, and all draws.
    """

    def __init__(self, mask: Tensor, share: float, seed: int) -> None:
        self.mask, self.share = mask, share
        self.seen = Seen.none(mask.shape[-1], mask.device)
        self.held_out = np.zeros(0, dtype=bool)
        self.draw, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)

    def append(self, amplitudes: Tensor, positions: Tensor) -> None:
        """Take in amplitudes (frames, N, N) float32 at positions (frames, 2) float32, pixels of the object frame."""
        self.seen.append(amplitudes, positions)
        # One number for each frame, however they come.
        self.held_out = np.append(self.held_out, self.draw.random(len(amplitudes)) < self.share)

    def fitted(self) -> Tensor:
        """Numbers (frames,) int64 of the frames that are not held out; all where none else is there."""
        used = np.flatnonzero(~self.held_out)
        return torch.from_numpy(used if len(used) else np.arange(self.seen.count))

    def drawn(self, count: int) -> Tensor:
        """So many of them, or all, (chosen,) int64."""
        fitted = self.fitted()
        return fitted[torch.randperm(len(fitted), generator=self.generator)[:count]]

    def somewhere(self) -> Tensor:
        """Numbers (chosen,) int64 of frames round one of them that is drawn."""
        fitted, positions = self.fitted(), self.seen.positions
        centre = fitted[torch.randint(len(fitted), (1,), generator=self.generator)]
        away = (positions[fitted] - positions[centre]).abs().amax(dim=1).cpu()
        near = fitted[away <= 2 * REACH * self.mask.shape[-1]]
        return near[torch.randperm(len(near), generator=self.generator)[:FEWEST]]

    def companions(self, new: Tensor) -> Tensor:
        """Earlier frames that take part in a pass: neighbours of new ones, and some drawn from all others."""
        old = int(new[0])
        if old == 0:
            return new[:0]
        each = max(COMPANIONS, (FEWEST - len(new)) // 2)
        positions = self.seen.positions
        away = torch.cdist(positions[:old], positions[new], p=float("inf")).amin(dim=1)
        distance, nearest = away.topk(min(old, each), largest=False)
        near = nearest[distance <= MARGIN * self.mask.shape[-1]].cpu()
        middle = (positions[new].amin(dim=0) + positions[new].amax(dim=0)) / 2
        half = (positions[new].amax(dim=0) - positions[new].amin(dim=0)) / 2 + REACH * self.mask.shape[-1]
        others = ((positions[:old] - middle).abs() <= half).all(dim=1).cpu()
        others[near] = False
        (others,) = others.nonzero(as_tuple=True)
        wanted = max(COMPANIONS, FEWEST - len(new) - len(near))
        drawn = others[torch.randperm(len(others), generator=self.generator)[:wanted]]
        return torch.cat([near, drawn])

    def judges(self, window: Window) -> Tensor:
        """The latest frames (chosen,) int64 in a window that are held out, or of all where none is."""
        low, high = ([getattr(part, end) for part in window] for end in ("start", "stop"))
        places, half = self.seen.positions[: self.seen.count].cpu(), self.mask.shape[-1] // 2 + 1
        inside = ((places - half >= torch.tensor(low)) & (places + half <= torch.tensor(high))).all(dim=1)
        held_out = inside & torch.from_numpy(self.held_out)
        return (held_out if held_out.any() else inside).nonzero()[:, 0][-JUDGES:]

    def mean_counts(self) -> Tensor:
        """Mean counts (N, N) float32 of the frames that are fitted, zero frequency in the corner."""
        counts = sum(some.square().sum(dim=0) for some in self.seen.amplitudes[self.fitted()].split(256))
        return counts * self.mask / len(self.fitted())

    def frames_in(self, window: Window, scale: Tensor, propagator: Propagator) -> LiveFrames:
        """All frames, with positions in a window of the object, to be brought to a scale () float."""
        corner = torch.tensor([part.start for part in window], device=self.mask.device)
        return LiveFrames(
            self.seen.amplitudes[None, : self.seen.count],
            (self.seen.positions[: self.seen.count] - corner)[None],
            self.mask[None, None],
            scale[None],
            propagator,
            unbiased=True,
        )
