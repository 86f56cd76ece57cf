"""How far an image may be off at each pixel, from two more of its scan that share no photon.

Each half of the frames is solved for by itself, object and probe, as the whole scan was, but from the probe that was
found. By noise, each is about as far from the image of all frames as that is from the truth; and by other errors that
halves do not share, those of iterations that have not come to their end or of single frames. What they do share they
do not tell: a factor and shares of the smoothing, measured on simulated scans, stand for it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ptychoflow.blind.judged import SMOOTHED_FROM, object_at_home, probe_at_home, smoothed_state
from ptychoflow.blind.search import plain_iteration
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.metrics.alignment import between_probes, register, scored_area
from ptychoflow.models.blind import subsets
from ptychoflow.models.blind_state import BlindState, doubt, photons_per_pixel
from ptychoflow.reconstruction.file import Reconstruction

NEIGHBOURHOOD = 2.0
"""Pixels, standard deviation of the window over which differences are averaged: two of them tell little of a pixel."""
FEWEST = 8
"""Frames of a scan whose halves tell anything."""
FACTOR = 1.15
"""Errors over what halves differ by, such that 90 % of them are within 1.645 deviations."""
AMPLITUDE_SHARED, PHASE_SHARED = 0.4, 0.9
"""What smoothing takes from an object, of which halves tell nothing since it takes alike from both: deviations in units
of its strength. They and the factor were set on 17 simulated scans of six kinds of objects at 10⁴, 10⁶ and 10⁸ photons.
What came of it on others stands in docs/pretrained.md."""


def require_halves(dataset: Dataset, data: Path) -> None:
    """Refuse a dataset, from a file, whose frames are too few for halves of them to tell anything."""
    if len(dataset.frames) < FEWEST:
        raise InputError(
            f"{data} has {len(dataset.frames)} frames: expected at least {FEWEST}, for halves to tell the uncertainty"
        )


def deviations(
    solving: BlindReconstruction, reconstruction: Reconstruction, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of amplitude and phase, (H, W) float32 each; radians for the phase.

    Within 1.645 of them lies the truth in 90 % of the pixels, up to what no photon tells: a complex factor, and a
    shift and a tilt that object and probe share. NaN outside of the scored area.

    Parameters
    ----------
    solving : BlindReconstruction
        Of one scan, solved for.
    reconstruction : Reconstruction
        Its image.
    seed : int
        Fixes which frames make a half.
    """
    area = scored_area(reconstruction.coverage, reconstruction.probe, reconstruction.positions)
    image, squares = reconstruction.object, np.zeros((2, *area.shape))
    for canvas, probe in half_images(solving, seed):
        moved, _ = register(canvas, image, area, *between_probes(probe, reconstruction.probe))
        squares[0] += (np.abs(moved) - np.abs(image)) ** 2 / 2
        squares[1] += np.angle(moved * image.conj()) ** 2 / 2
    edge = solving.border
    taken = solving.smoothed * doubt(solving.state, solving.frames)[0, edge:-edge, edge:-edge].cpu().numpy()
    shared = np.stack([AMPLITUDE_SHARED * taken, PHASE_SHARED * taken])
    amplitude, phase = np.sqrt(FACTOR**2 * local_mean(squares, area) + shared**2)
    return tuple(np.where(area, part, np.nan).astype(np.float32) for part in (amplitude, phase))


@torch.no_grad()
def half_images(solving: BlindReconstruction, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Objects (H, W) and probes (modes, N, N), complex64 in the units of the image's, of halves drawn at random."""
    generator, edge = torch.Generator().manual_seed(seed), solving.border
    drawn = solving.fitted[torch.randperm(len(solving.fitted), generator=generator)]
    halves = []
    for half in drawn.tensor_split(2):
        state = _solved(solving, half, generator)
        canvas = object_at_home(state, solving.home)[edge:-edge, edge:-edge]
        probe = probe_at_home(state, solving.home) * solving.frames.scale
        halves.append((canvas.cpu().numpy(), probe.cpu().numpy()))
    return halves


def _solved(solving: BlindReconstruction, half: Tensor, generator: torch.Generator) -> BlindState:
    """What the plain engine makes of some of the frames (chosen,) int64, in as many iterations as there were of all."""
    found, frames, iterations = solving.state, solving.frames, len(solving.history)
    state = BlindState.start(found.probes, tuple(found.objects.shape[-2:]))
    state = replace(state, background=found.background)
    for number in range(iterations):
        progress = number / iterations
        order = subsets(half, progress, generator, photons_per_pixel(state, frames))
        state = plain_iteration(solving.network, state, frames, order, progress)
        if solving.smoothed > 0 and progress >= SMOOTHED_FROM:
            state = smoothed_state(state, frames, solving.smoothed)
    return state


def local_mean(values: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Mean of values (..., H, W) float over the neighbourhood of each pixel, of those in an area (H, W) bool."""
    width = (*[0] * (values.ndim - 2), NEIGHBOURHOOD, NEIGHBOURHOOD)
    weight = ndimage.gaussian_filter(area.astype(np.float64), NEIGHBOURHOOD)
    return ndimage.gaussian_filter(np.where(area, values, 0.0), width) / np.maximum(weight, 1e-12)
