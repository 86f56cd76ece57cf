"""Neighbourhoods of a scan that are reconstructed under many positions and probes, to see which explain them best."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.pupils import cropped
from ptychoflow.blind.search import AS_AT, common_field
from ptychoflow.blind.start import FRAMES, middle_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.joint_steps import modelled_frames

PLACES = (0.35, 0.65)
"""Of the middles of windows of `FRAMES` frames, as shares of the scan along both axes."""
ITERATIONS = 16
"""Of each trial of a round."""
JUDGE = 4
"""One frame in so many is left out and judges."""
BORDER = 6
"""Pixels round the outermost frames of a trial."""


@dataclass
class Window:
    """Frames of a neighbourhood that are reconstructed under many positions.

    Parameters
    ----------
    amplitudes : Tensor
        (frames, n, n) float32, roots of counts over `scale`, zero frequency in the corner.
    positions : ndarray
        (frames, 2) float64, pixels of the cropped frames at the sample.
    mask : Tensor
        (n, n) bool.
    scale : Tensor
        Scalar, root of the mean count.
    """

    amplitudes: Tensor
    positions: np.ndarray
    mask: Tensor
    scale: Tensor

    @torch.inference_mode()
    def tried(self, network: Blind, places: list[np.ndarray], probes: Tensor, seed: int) -> tuple[np.ndarray, Tensor]:
        """Reconstruct under each of some positions.

        Parameters
        ----------
        network : Blind
            Whose iterations are made, with the rates that it has learned: what is measured so was calibrated so.
        places : list of ndarray
            (frames, 2) float64 each.
        probes : Tensor
            (candidates, modes, n, n) complex64, where they start.
        seed : int
            Fixes the order of the frames, the same one for all.

        Returns
        -------
        misfits : ndarray
            (candidates, frames) float64, Σ (√I − √n)² of a frame over the mean of Σ n. Frames that were left out count
            together as much as the others do: a scan that is stretched has more pixels to fit noise with, by which
            fitted frames are explained better and others worse, about alike.
        probes : Tensor
            (candidates, modes, n, n) complex64, as they became.
        """
        size, count = self.amplitudes.shape[-1], len(self.amplitudes)
        low, edge = common_field(places, size, BORDER)
        light = torch.where(self.mask, self.amplitudes, 0).square().sum(dim=(-2, -1)).mean()
        frames = ScanFrames(
            self.amplitudes[None],
            torch.from_numpy(np.stack(places) - low).float(),
            self.mask[None, None],
            self.scale[None],
            Propagator(size),
        )
        state = BlindState.start(with_power(probes, light), (edge, edge))
        generator, numbers = torch.Generator().manual_seed(seed), torch.arange(count)
        judges = numbers % JUDGE == 0
        for number in range(ITERATIONS):
            progress = AS_AT + (1 - AS_AT) * number / ITERATIONS
            state = network.iterate(
                state, frames, subsets(numbers[~judges], progress, generator), progress, solve_background=False
            )
        modelled = modelled_frames(state.objects, state.probes, frames.positions, frames.propagator, state.background)
        squares = torch.where(self.mask, modelled.sqrt() - self.amplitudes, 0).square().sum(dim=(-2, -1))
        weights = torch.where(judges, 0.5 * count / judges.sum(), 0.5 * count / (~judges).sum())
        return (weights * squares / light).double().numpy(), state.probes


def window_of(dataset: Dataset, numbers: np.ndarray, positions: np.ndarray, size: int) -> Window:
    """Frames by their numbers, cropped to an edge, at some of the positions (all frames, 2) of the whole scan."""
    counts = cropped(counts_of(dataset, numbers), size)
    mask = cropped(torch.fft.ifftshift(torch.from_numpy(dataset.mask)), size)
    scale = counts[:, mask].mean().clamp_min(1e-12).sqrt()
    places = positions[numbers]
    return Window(counts.sqrt() / scale, places, mask, scale)


def neighbourhoods(positions: np.ndarray) -> list[np.ndarray]:
    """Numbers int64, rising, of the frames of each window; one in the middle of a small scan."""
    if len(positions) < len(PLACES) * FRAMES:
        return [middle_of(positions, FRAMES)]
    low, high = positions.min(axis=0), positions.max(axis=0)
    found = []
    for share in PLACES:
        distance = np.abs(positions - low - share * (high - low)).max(axis=1)
        found.append(np.sort(np.argsort(distance, kind="stable")[:FRAMES]))
    return found


def counts_of(dataset: Dataset, numbers: np.ndarray) -> Tensor:
    """Counts (chosen, N, N) float32 of frames, the zero frequency in the corner."""
    return torch.fft.ifftshift(torch.from_numpy(np.ascontiguousarray(dataset.frames[numbers])), dim=(-2, -1))
