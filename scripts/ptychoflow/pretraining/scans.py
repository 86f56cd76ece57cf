"""Scans for pretraining, drawn from a recipe by number, as tensors of one shape."""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.frames import amplitudes_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.modes import more_modes
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.recipe import draw

NEXT_TRY = 2**24
"""Numbers between a scan and the one that is drawn in its place where it does not fit."""
MOST_MODES = 4
"""Of the true probe; fewer are filled up with dark ones."""


class TrainingScan(NamedTuple):
    """A simulated scan or, with a first axis more, a batch of them; light in units of `scale`.

    Parameters
    ----------
    amplitudes : Tensor
        (frames, N, N) float32, zero frequency in the corner.
    positions, true_positions : Tensor
        (frames, 2) float32 pixels, as written down and as they were.
    mask : Tensor
        (1, N, N) bool.
    scale : Tensor
        Scalar float32, root of the mean count.
    probe : Tensor
        (modes, N, N) complex64 guess with the mean photons of a frame.
    true_probe : Tensor
        (MOST_MODES, N, N) complex64.
    truth : Tensor
        (canvas, canvas) complex64.
    background : Tensor
        Scalar float32.
    """

    amplitudes: Tensor
    positions: Tensor
    true_positions: Tensor
    mask: Tensor
    scale: Tensor
    probe: Tensor
    true_probe: Tensor
    truth: Tensor
    background: Tensor


class TrainingScans(torch.utils.data.Dataset):
    """Scans of a recipe from a number on.

    Parameters
    ----------
    recipe : RecipeSettings
        What is drawn.
    first, count : int
        Number of the first scan, and how many there are.
    canvas : int
        Edge of the objects in pixels.
    modes : int
        Modes of the guess, as many for all so that they stack.
    """

    def __init__(self, recipe: RecipeSettings, first: int, count: int, canvas: int, modes: int) -> None:
        self.recipe, self.first, self.count, self.canvas, self.modes = recipe, first, count, canvas, modes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TrainingScan:
        tries = (draw(self.recipe, self.first + index + attempt * NEXT_TRY) for attempt in itertools.count())
        made = ((settings, simulate(settings)) for settings in tries)
        settings, dataset = next(pair for pair in made if max(pair[1].object_shape) <= self.canvas)
        return training_scan(dataset, settings.background, self.canvas, self.modes, self.first + index)


def training_scan(dataset: Dataset, background: float, canvas: int, modes: int, seed: int) -> TrainingScan:
    """Tensors of a simulated dataset, in the middle of an object of `canvas` pixels."""
    before = (canvas - np.array(dataset.object_shape)) // 2
    after = canvas - np.array(dataset.object_shape) - before
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    amplitudes = amplitudes_of(dataset.frames)
    scale = amplitudes[:, mask].square().mean().sqrt().clamp_min(1e-3)
    amplitudes = amplitudes / scale
    guess = torch.from_numpy(more_modes(dataset.probe, modes, seed))
    power = torch.where(mask, amplitudes.square(), 0).sum(dim=(-2, -1)).mean()
    true = torch.from_numpy(dataset.probe if dataset.true_probe is None else dataset.true_probe)
    positions = dataset.positions if dataset.true_positions is None else dataset.true_positions
    truth = np.pad(dataset.truth, list(zip(before, after, strict=True)), constant_values=1)
    return TrainingScan(
        amplitudes=amplitudes,
        positions=torch.from_numpy(dataset.positions + before).float(),
        true_positions=torch.from_numpy(positions + before).float(),
        mask=mask[None],
        scale=scale,
        probe=with_power(guess, power),
        true_probe=torch.nn.functional.pad(true / scale, [0, 0, 0, 0, 0, MOST_MODES - len(true)]),
        truth=torch.from_numpy(truth),
        background=(background / scale.square()).reshape(()),
    )
