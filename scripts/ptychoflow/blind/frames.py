"""Frames of one scan as blind iterations take them: in memory, or read subset by subset where there are too many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.frame_blocks import mean_of
from ptychoflow.loading.groups import split_frames
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.recorder import recorder_for
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

FRAMES_AT_ONCE = 1024
"""Frames of a file that are read at a time."""


@dataclass
class StoredScanFrames(ScanFrames):
    """Frames that stay in their file; `amplitudes` is empty.

    Parameters
    ----------
    dataset : Dataset
        Whose frames are read.
    """

    dataset: Dataset | None = None

    def subset(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        amplitudes = amplitudes_of(self.dataset.frames[frames.cpu().numpy()], self.scale.device)
        return (amplitudes / self.scale)[None], self._places(frames)

    def pieces(self, frames: Tensor) -> Sequence[Tensor]:
        return frames.split(FRAMES_AT_ONCE)


def amplitudes_of(counts: np.ndarray, device: torch.device | None = None) -> Tensor:
    """Square roots (frames, N, N) float32 of photon counts, the zero frequency moved from the centre to the corner."""
    return torch.fft.ifftshift(torch.from_numpy(np.ascontiguousarray(counts)).to(device), dim=(-2, -1)).sqrt()


def scan_frames(dataset: Dataset, border: int, mean: Tensor, device: torch.device) -> ScanFrames:
    """Make a dataset's frames ready.

    Parameters
    ----------
    dataset : Dataset
        Validated dataset.
    border : int
        Pixels by which the object frame is wider than the dataset's on each side.
    mean : Tensor
        (N, N) float32, mean counts, zero frequency in the corner.
    device : torch.device
        Where to reconstruct.
    """
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    scale = mean[mask].mean().sqrt().to(device)
    parts = {
        "positions": torch.from_numpy(dataset.positions + border).float()[None].to(device),
        "mask": mask[None, None].to(device),
        "scale": scale[None],
        "propagator": Propagator(dataset.size, dataset.fresnel_number).to(device),
        "unbiased": True,
        "call": recorder_for(device),
    }
    if isinstance(dataset.frames, np.ndarray):
        return ScanFrames((amplitudes_of(dataset.frames, device) / scale)[None], **parts)
    return StoredScanFrames(torch.empty(0, device=device), **parts, dataset=dataset)


def split_of(dataset: Dataset, settings: BlindReconstructionSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames that are fitted, (fitted,) int64, and those that judge the image, (judges,) int64, both rising."""
    everything = np.arange(len(dataset.frames))
    return split_frames(everything, settings.held_out if len(everything) > 1 else 0.0, seed)


def mean_frame(dataset: Dataset, frames: np.ndarray) -> Tensor:
    """Mean counts (N, N) float32 of some frames (chosen,) int64, rising, zero frequency in the corner."""
    return torch.fft.ifftshift(torch.from_numpy(mean_of(dataset.frames, frames)).float())
