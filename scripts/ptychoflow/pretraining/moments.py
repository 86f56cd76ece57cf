"""Moments of a scan's own reconstruction, with frames that it was not given: what a blind network is tuned on."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.search import Start
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.loading.groups import split_frames
from ptychoflow.models.blind import Blind, correction_input
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.losses import deviance, masked_mean
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

MOST_BYTES = 2**30
"""Of the moments of a reconstruction; of a larger object fewer are kept."""


@dataclass
class Moment:
    """A state on the way of a reconstruction, before it is corrected.

    Parameters
    ----------
    state : BlindState
        Of one scan.
    progress : float
        0 at the beginning of the reconstruction, 1 at its end.
    frames : ScanFrames
        All frames, at the positions of that moment.
    targets : Tensor
        (targets,) int64, numbers of frames that the reconstruction was not given.
    """

    state: BlindState
    progress: float
    frames: ScanFrames
    targets: Tensor

    def deviances(self, network: Blind, window: int, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean Poisson deviance of a few targets before and after a correction, scalars; gradients for the latter.

        Parameters
        ----------
        network : Blind
            Whose correction is asked for.
        window : int
            Edge in pixels of the part of the object that is corrected, about one of the targets.
        most : int
            Targets that are looked at, at most, of those in that part.
        generator : torch.Generator
            Draws them; on the CPU.
        """
        places = self.frames.positions[0, self.targets]
        order = torch.randperm(len(places), generator=generator).to(places.device)
        near = ((places[order] - places[order[0]]).abs() <= window / 2).all(dim=1)
        chosen = self.targets[order[near][:most]]
        with torch.no_grad():
            before = self._deviance(self.state, chosen)
            seen, turn, level = correction_input(self.state, self.frames, self.progress)
        box = _box(places[order[0]], window, level.shape[-2:])
        change = torch.zeros_like(self.state.objects)
        change[box] = network.learned(seen[box], level[box]) * turn.conj()
        return before, self._deviance(network.corrected(self.state, change), chosen)

    def _deviance(self, state: BlindState, chosen: Tensor) -> Tensor:
        frames, photons = self.frames, self.frames.scale**2
        amplitudes, _ = frames.subset(chosen)
        modelled = frames.modelled(state.objects, state.probes, state.background, chosen)
        return masked_mean(deviance(modelled * photons, amplitudes.square() * photons)[0], frames.mask[0, 0])


class Recorder(Blind):
    """A blind network that keeps the states that its iterations come through, while it is asked to.

    Parameters
    ----------
    settings : BlindSettings
        Features and depth of the U-Net.
    """

    def __init__(self, settings: BlindSettings) -> None:
        super().__init__(settings)
        self.kept: list[tuple[BlindState, float, ScanFrames]] | None = None
        self.each, self.passes = 1, 0

    @contextmanager
    def keeping(self, each: int) -> Iterator[list[tuple[BlindState, float, ScanFrames]]]:
        """Keep one state of so many, with progress and frames, in the list that is given."""
        self.kept, self.each, self.passes = [], each, 0
        try:
            yield self.kept
        finally:
            self.kept = None

    def iterate(
        self,
        state: BlindState,
        frames: ScanFrames,
        order: Sequence[Tensor],
        progress: float,
        *arguments: Any,
        **options: Any,
    ) -> BlindState:
        """Make a pass, and keep where it led; parameters as in `Blind.iterate`."""
        made = super().iterate(state, frames, order, progress, *arguments, **options)
        self.passes += 1
        if self.kept is not None and self.passes % self.each == 0:
            # Positions and brightness that are solved for are others later.
            self.kept.append((made, progress, copy.copy(frames)))
        return made


@dataclass
class ObservedScan:
    """A scan that is reconstructed over and over, each time from other frames.

    Parameters
    ----------
    dataset : Dataset
        Validated dataset.
    kept : ndarray
        (kept,) int64, rising: frames that may be looked at at all.
    settings : BlindReconstructionSettings
        How it is reconstructed.
    targets : float
        Share of the kept frames that a reconstruction is not given.
    start : Start, optional
        Where it starts, once it is known.
    """

    dataset: Dataset
    kept: np.ndarray
    settings: BlindReconstructionSettings
    targets: float
    start: Start | None = None

    @torch.no_grad()
    def moments(self, network: Recorder, seed: int, device: torch.device) -> list[Moment]:
        """Reconstruct from some of the frames, and give the moments on the way.

        Parameters
        ----------
        network : Recorder
            As it is.
        seed : int
            Fixes which frames are given, and their order.
        device : torch.device
            Where to reconstruct.
        """
        split = split_frames(self.kept, self.targets, seed)
        solving = BlindReconstruction(network, self.dataset, self.settings, seed, device, split, self.start)
        self.start = solving.start
        state_bytes = sum(part.numel() * part.element_size() for part in vars(solving.state).values())
        with network.keeping(-(-self.settings.iterations * state_bytes // MOST_BYTES)) as kept:
            solving.run()
        targets = torch.from_numpy(solving.held_out).to(device)
        return [Moment(*one, targets) for one in kept]


def _box(middle: Tensor, edge: int, shape: Sequence[int]) -> tuple[slice | EllipsisType, ...]:
    """Part of the last two axes (H, W) about a place (2,), moved inside where it would reach beyond them."""
    first = [max(0, min(int(place) - edge // 2, length - edge)) for place, length in zip(middle, shape, strict=True)]
    return (..., *(slice(one, one + edge) for one in first))
