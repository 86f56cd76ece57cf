"""Scan positions found again from the photons: object and positions are fitted in turn, with the probe known.

Each round makes a step of the ptychographic iterative engine, which needs no network, and a Gauss-Newton step on the
two coordinates of every frame. What all frames have in common, a stretched or sheared scan, hardly shows in their fit
as long as the object stretches with them: it is fitted by itself, with the object carried along. Frames that got lost
are looked for on a grid.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.patches import add_patches
from ptychoflow.physics.position_steps import (
    MeasuredFrames,
    amplitude_jacobian,
    amplitude_residuals,
    cut,
    damped_steps,
    placed,
    spectral_slopes,
)
from ptychoflow.physics.steps import object_change, regularised, wave_change
from ptychoflow.running.progress import ProgressLog
from ptychoflow.settings.solver import RefinementSettings

FRAMES_AT_ONCE = 256
FIRST_STEPS = 10
"""Steps on the object before the positions move for the first time."""
LARGEST_STEP = 2.0
"""Pixels that a frame moves at most in a round."""
SEARCH_EVERY, SEARCH_SHARE, SEARCH_SPACING = 5, 0.05, 1.5
"""Rounds between two searches, share of the frames that are looked for, those that fit worst, and the grid's pixels."""


@dataclass
class Refinement:
    """Positions that explain the photons better.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float64, (row, column) pixels with the mean of those given, which the photons do not tell.
    misfits : list of float
        Mean of (√I − √n)² over good pixels in each round, before its step on the frames; about 1/4 is noise where
        pixels hold many photons.
    seconds : float
        Wall time.
    """

    positions: np.ndarray
    misfits: list[float]
    seconds: float


def refined(dataset: Dataset, settings: RefinementSettings) -> tuple[Dataset, Refinement]:
    """Refine the positions of a dataset; its object frame grows where they would leave it."""
    found = refine_positions(dataset, settings)
    low, high = found.positions.min(axis=0), found.positions.max(axis=0)
    over = np.maximum(dataset.size / 2 - low, high - (np.array(dataset.object_shape) - dataset.size / 2))
    border = max(0, int(np.ceil(over.max())))
    truth, true_positions = dataset.truth, dataset.true_positions
    changed = replace(
        dataset,
        positions=found.positions + border,
        object_shape=(dataset.object_shape[0] + 2 * border, dataset.object_shape[1] + 2 * border),
        truth=None if truth is None else np.pad(truth, border, constant_values=1),
        true_positions=None if true_positions is None else true_positions + border,
    )
    return changed, found


def refine_positions(dataset: Dataset, settings: RefinementSettings) -> Refinement:
    """Fit the positions of a dataset, from those given, by rounds of steps on object, common deformation and frames."""
    begun = time.perf_counter()
    with torch.inference_mode():
        fit = PositionFit(dataset, settings)
        for _ in range(FIRST_STEPS - 1):
            fit.step_object()
        misfits, progress = [], ProgressLog("round", settings.rounds)
        for number in range(1, settings.rounds + 1):
            fit.step_object()
            if settings.deformation:
                fit.step_deformation()
            frame_misfits = fit.step_frames()
            misfits.append(float(frame_misfits.mean()) * fit.scale**2)
            if number % SEARCH_EVERY == 0 and number < settings.rounds:
                fit.search(frame_misfits)
            progress.tell(number)
        moved = fit.displacements().double().numpy()
    return Refinement(dataset.positions + moved, misfits, time.perf_counter() - begun)


class PositionFit:
    """An object and positions on their way to explain a scan.

    Parameters
    ----------
    dataset : Dataset
        Frames, mask, probe, and the positions to start from.
    settings : RefinementSettings
        How far a frame may move.
    """

    def __init__(self, dataset: Dataset, settings: RefinementSettings) -> None:
        self.size, self.bound = dataset.size, settings.bound
        probe = torch.from_numpy(dataset.probe)
        self.propagator = Propagator(dataset.size, dataset.fresnel_number)
        self.scale = float(probe.abs().max())
        self.probe = probe / self.scale
        frames = torch.fft.ifftshift(torch.from_numpy(dataset.frames), dim=(-2, -1))
        self.amplitudes = frames.sqrt() / self.scale
        self.mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
        border = int(np.ceil(settings.bound)) + 2
        self.given = torch.from_numpy(dataset.positions + border).float()
        self.places = self.given.clone()
        self.object = torch.ones([length + 2 * border for length in dataset.object_shape], dtype=probe.dtype)

    def displacements(self) -> Tensor:
        """(frames, 2) float pixels from where the frames were given, without their mean."""
        moved = self.places - self.given
        return moved - moved.mean(dim=0)

    def step_object(self) -> None:
        """Make a regularised PIE step of all frames together, as `ptychoflow.models.unrolled` does."""
        total = torch.zeros_like(self.object)
        coverage = torch.zeros(self.object.shape)
        for frames in self._portions():
            corner, probes, propagator = placed(self.probe, self.places[frames], self.propagator)
            patches = cut(self.object, corner, self.size)
            change = object_change(wave_change(patches, self.amplitudes[frames], probes, self.mask, propagator), probes)
            total += add_patches(change[None], corner[None], self.object.shape)[0]
            coverage += add_patches(incoherent_sum(probes)[None], corner[None], self.object.shape)[0]
        peak = incoherent_sum(self.probe).amax()
        self.object = self.object + regularised(total, coverage, peak)

    def step_frames(self) -> Tensor:
        """Make a Gauss-Newton step on the coordinates of each frame; gives their misfits before it, (frames,) float."""
        slopes = spectral_slopes(self.object)
        step, squares = damped_steps(
            amplitude_jacobian(self.measured(self.places[frames], frames), slopes) for frames in self._portions()
        )
        self._move(self.places + step / (step.norm(dim=-1, keepdim=True) / LARGEST_STEP).clamp_min(1))
        return squares / self.mask.sum()

    def step_deformation(self) -> None:
        """Make a Gauss-Newton step on the linear map by which the whole scan, and the object with it, is deformed."""
        slopes = spectral_slopes(self.object)
        normal, right = torch.zeros(4, 4), torch.zeros(4)
        for frames in self._portions():
            measured = self.measured(self.places[frames], frames)
            jacobian, residual = amplitude_jacobian(measured, slopes, deformed=True)
            normal += torch.einsum("fpi,fpj->ij", jacobian, jacobian)
            right += torch.einsum("fpi,fp->i", jacobian, residual)
        matrix = normal + 1e-3 * normal.diagonal().mean() * torch.eye(4)
        linear = torch.eye(2) + torch.linalg.solve(matrix, right).reshape(2, 2)
        centre = self.places.mean(dim=0)
        self.object = deform(self.object, linear, centre)
        self._move(centre + (self.places - centre) @ linear.T)

    def search(self, misfits: Tensor) -> None:
        """Try a grid of places for the frames that fit worst, and move those that fit better elsewhere.

        Parameters
        ----------
        misfits : Tensor
            (frames,) float, by which the worst are told.
        """
        worst = misfits.topk(max(1, round(SEARCH_SHARE * len(misfits)))).indices
        reach = torch.arange(0, self.bound, SEARCH_SPACING)
        line = torch.cat([-reach[1:].flip(0), reach])
        grid = torch.cartesian_prod(line, line)
        places, least = self.places[worst], self._misfits(self.places[worst], worst)
        for offset in grid[grid.norm(dim=-1) <= self.bound]:
            tried = self.given[worst] + offset
            misfit = self._misfits(tried, worst)
            better = misfit < least
            least, places = torch.where(better, misfit, least), torch.where(better[:, None], tried, places)
        self.places[worst] = places

    def _move(self, places: Tensor) -> None:
        """Move the frames, none farther from where it was given than the bound."""
        moved = places - self.given
        common = moved.mean(dim=0)
        own = moved - common
        own = own / (own.norm(dim=-1, keepdim=True) / self.bound).clamp_min(1)
        self.places = self.given + common + own

    def _misfits(self, places: Tensor, frames: Tensor) -> Tensor:
        """Mean squared residual of frames at places, (frames,) float."""
        return amplitude_residuals(self.measured(places, frames)).square().sum(dim=(-2, -1)) / self.mask.sum()

    def measured(self, places: Tensor, frames: Tensor) -> MeasuredFrames:
        """Some frames (chosen,) int64 as if they lay at places (chosen, 2)."""
        return MeasuredFrames(self.object, self.probe, self.amplitudes[frames], places, self.mask, self.propagator)

    def _portions(self) -> Iterator[Tensor]:
        yield from torch.arange(len(self.places)).split(FRAMES_AT_ONCE)


def deform(canvas: Tensor, linear: Tensor, centre: Tensor) -> Tensor:
    """Map an object (H, W) by r → centre + linear (r − centre), bicubically; beyond its edges it goes on as it ends."""
    height, width = canvas.shape
    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1)
    source = centre + (grid - centre) @ torch.linalg.inv(linear).T
    # grid_sample wants (column, row) between −1 and 1.
    normalised = (2 * source / torch.tensor([height - 1, width - 1]) - 1).flip(-1)[None]
    parts = torch.view_as_real(canvas).permute(2, 0, 1)[None]
    moved = torch.nn.functional.grid_sample(
        parts, normalised, mode="bicubic", padding_mode="border", align_corners=True
    )
    return torch.view_as_complex(moved[0].permute(1, 2, 0).contiguous())


def position_error(positions: np.ndarray, true_positions: np.ndarray) -> tuple[float, float]:
    """How far positions are from the true ones, in root mean square pixels along an axis.

    A common shift, which the photons do not tell, is taken out first; from the second value also what a linear
    deformation of the whole scan makes up for.

    Parameters
    ----------
    positions, true_positions : ndarray
        (frames, 2) float, pixels.
    """
    error = positions - true_positions
    error = error - error.mean(axis=0)
    centred = true_positions - true_positions.mean(axis=0)
    rest = error - centred @ np.linalg.lstsq(centred, error, rcond=None)[0]
    return float(np.sqrt(np.mean(error**2))), float(np.sqrt(np.mean(rest**2)))
