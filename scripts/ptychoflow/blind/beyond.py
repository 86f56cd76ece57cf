"""Whether light falls beyond the frames: the detector loses it, and a model as wide as they are folds it back."""

import numpy as np
import torch

from ptychoflow.blind.candidates import Candidate
from ptychoflow.blind.pupils import embedded, padded
from ptychoflow.blind.search import KEPT_APART, Rounds, search
from ptychoflow.blind.start import middle_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.reconstruction.file import Reconstruction

LEAST_EDGE = 0.02
"""Light along the edges over that of all pixels, on average, below which next to none falls beyond."""
WIDER = 1.5
"""Of the frames' width, that of the model with which they are compared."""
BETTER = 1.1
"""Error of the frames as they are over that of wider ones, from which the latter are recommended."""
MOST_PIXELS = 2**20
"""Of the frames that are tried; a few seconds."""
TRIAL: Rounds = ((14, 0),)
"""Iterations from the probe that was found."""


def beyond_doubts(network: Blind, reconstruction: Reconstruction, dataset: Dataset, seed: int = 0) -> list[str]:
    """Say where a few frames are explained better by a model that knows unmeasured pixels round them.

    An exit wave with finer detail than the object's pixels throws light past the detector. The model has no such
    detail, and what it makes of it instead depends on where between two pixels a frame lies: many photons show that.
    With bad pixels round the frames (Maiden et al., J. Opt. Soc. Am. A 28, 604, 2011) the pixels of the object are
    finer, and light may go where nobody counts it.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made.
    reconstruction : Reconstruction
        As it came out, with a misfit.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.
    seed : int
        Fixes the order of the frames.
    """
    size = dataset.size
    count = min(len(dataset.frames), max(2 * KEPT_APART, MOST_PIXELS // size**2))
    near = middle_of(reconstruction.positions, count)
    frames, good = np.asarray(dataset.frames[near]), dataset.mask
    if dataset.propagation == "near" or count < 2 * KEPT_APART or edge_light(frames.mean(axis=0), good) < LEAST_EDGE:
        return []
    wide = 2 * round(WIDER * size / 2)
    probe = torch.from_numpy(reconstruction.probe)
    light = reconstruction.brightness
    if light is not None:
        frames = frames / np.maximum(light[near, None, None], 1e-3)
    device = next(network.parameters()).device

    def error(edge: int) -> float:
        counts, mask = (padded(torch.from_numpy(image), edge) for image in (frames.astype(np.float32), good))
        tried = Candidate("", (embedded(probe, edge) if edge > size else probe).to(device))
        places = reconstruction.positions[near] * (edge / size)
        given = counts.to(device), places, mask.to(device), Propagator(edge).to(device), [tried]
        return search(network, *given, seed, TRIAL, len(probe)).errors[tried.name]

    as_they_are, wider = error(size), error(wide)
    if as_they_are < BETTER * wider:
        return []
    return [
        "light seems to fall beyond the edges of the frames, where the detector loses it and the model folds it back: "
        f"with unmeasured pixels round them, a few frames are explained with an error of {wider:.3g}, as they are with "
        f"{as_they_are:.3g} (detector.size: {wide})"
    ]


def edge_light(mean: np.ndarray, good: np.ndarray) -> float:
    """Light of a mean frame (N, N) along its edges over that of all pixels, averages over good pixels (N, N) bool."""
    edge = np.zeros(mean.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    along, whole = mean[edge & good], mean[good]
    return float(along.mean() / whole.mean()) if along.size and whole.any() else 0.0
