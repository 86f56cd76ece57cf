"""Which way the scan's axes run: a short reconstruction under each sign and order of the positions."""

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.dataset.position_axes import ORIENTATIONS, turned
from ptychoflow.models.unrolled import Unrolled
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.settings.model import ModelSettings

FRAMES = 144
"""Neighbouring frames that tell."""
ITERATIONS = 25


def photon_errors(dataset: Dataset, frames: int = FRAMES, iterations: int = ITERATIONS) -> dict[str, float]:
    """Reconstruct the middle of a scan by the iterative engine under each variant of its positions.

    An untrained `unrolled` network is the engine. Frames that overlap agree about the object under the right variant
    alone, so its photons are explained best. The probe is kept as it is: were it solved for, a scan turned by half a
    circle would be explained as well, by the twin of object and probe.

    Parameters
    ----------
    dataset : Dataset
        The scan.
    frames : int
        Frames to use, those nearest to the middle of the scan.
    iterations : int
        Iterations of the engine.

    Returns
    -------
    dict
        For each of the `ORIENTATIONS`, Σ(√I − √n)² / Σ n over the good pixels, I modelled and n measured photons.
    """
    middle = (dataset.positions.min(axis=0) + dataset.positions.max(axis=0)) / 2
    near = np.sort(np.argsort(np.hypot(*(dataset.positions - middle).T), kind="stable")[:frames])
    amplitudes = torch.fft.ifftshift(torch.from_numpy(dataset.frames[near]), dim=(-2, -1)).sqrt()[None]
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    probe = torch.from_numpy(dataset.probe)
    scale = probe.abs().amax()
    engine = Unrolled(ModelSettings(features=1, depth=1, iterations=iterations, share_weights=True), channels=1)
    propagator = Propagator(dataset.size, dataset.fresnel_number)
    errors = {}
    for number, name in enumerate(ORIENTATIONS):
        positions, _ = object_frame(turned(dataset.positions[near], number), dataset.size)
        with torch.inference_mode():
            places = torch.from_numpy(positions).float()[None]
            patches = engine(amplitudes / scale, (probe / scale)[None], mask[None], places, propagator)
            modelled = propagator.intensity(patches[0], probe).sqrt()
        squares = (modelled - amplitudes[0]).square()[:, mask].sum()
        errors[name] = float(squares / amplitudes[0].square()[:, mask].sum().clamp_min(1))
    return errors


def orientation_warnings(errors: dict[str, float]) -> list[str]:
    """One sentence where another variant explains the photons clearly better than the positions as they are."""
    best, given = min(errors, key=errors.__getitem__), errors["as they are"]
    if errors[best] >= 0.95 * given:
        return []
    return [
        f"the photons are explained best with {best} (error {errors[best]:.3g}, as they are {given:.3g}): the axes of "
        "positions and frames seem to differ"
    ]
