"""Whether a stage slipped or drifted: frames that would lie elsewhere if they could, from one of them on."""

import numpy as np
import torch

from ptychoflow.blind.frames import FRAMES_AT_ONCE, amplitudes_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.position_steps import position_steps
from ptychoflow.reconstruction.file import Reconstruction

LINES = 2
"""Lines of a square scan on either side of a slip that feel it; the others have an object of their own."""
LEAST_SLIP = 0.17
"""Pixels that frames are drawn apart by where a slip is said; sound scans have 0.07 at most, slips 0.23 and more."""
CLEAR = 4.5
"""By how many standard errors they must be drawn apart."""
MOST_SCATTER = 0.25
"""Pixels by which single frames scatter, beyond which their photons do not tell where they lie."""
FEWEST = 32
"""Frames below which too few lie on either side."""


def slip_doubts(reconstruction: Reconstruction, dataset: Dataset) -> list[str]:
    """Say from which frame on the photons would have all frames elsewhere.

    Where a stage slips, the object that frames before and after share is torn both ways, and single steps of their
    positions show it; the misfit may not, since most frames share it with their own kind alone.

    Parameters
    ----------
    reconstruction : Reconstruction
        As it came out.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.
    """
    if len(reconstruction.positions) < FEWEST:
        return []
    found = slip(residual_steps(reconstruction, dataset))
    if found is None:
        return []
    frame, apart = found
    return [
        f"the stage seems to have slipped or drifted about frame {frame}: the photons draw the frames before and after "
        f"it apart by {apart:.2g} pixels still, in an image that both have shaped; positions are solved for by "
        "solve_positions: true"
    ]


@torch.inference_mode()
def residual_steps(reconstruction: Reconstruction, dataset: Dataset) -> np.ndarray:
    """Steps (frames, 2) float64, pixels, by which each frame would explain its photons better, to first order."""
    canvas, probe = torch.from_numpy(reconstruction.object), torch.from_numpy(reconstruction.probe)
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    propagator = Propagator(dataset.size, dataset.fresnel_number)
    places = torch.from_numpy(reconstruction.positions).float()
    background, light, steps = torch.tensor(float(reconstruction.background)), reconstruction.brightness, []
    for some in torch.arange(len(places)).split(FRAMES_AT_ONCE):
        amplitudes = amplitudes_of(dataset.frames[some.numpy()])
        own = torch.ones(len(some), 1, 1)
        if light is not None:
            own = torch.from_numpy(light[some.numpy()]).float()[:, None, None]
        step, _ = position_steps(
            canvas, probe, amplitudes / own.sqrt(), places[some], mask, propagator, background / own
        )
        steps.append(step.double().numpy())
    return np.concatenate(steps)


def slip(steps: np.ndarray) -> tuple[int, float] | None:
    """Number of the frame at which steps (frames, 2) change most, and by how many pixels; None where none is clear."""
    count = len(steps)
    width = min(count // 2, round(LINES * count**0.5))
    changes = np.diff(steps, axis=0)
    # Of one step, by the median of what neighbours differ by.
    scatter = 1.4826 * np.median(np.abs(changes - np.median(changes, axis=0)), axis=0) / 2**0.5
    if np.hypot(*scatter) > MOST_SCATTER:
        return None
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    middles = np.arange(width, count - width + 1)
    apart = (sums[middles + width] - 2 * sums[middles] + sums[middles - width]) / width
    best = int(np.hypot(*apart.T).argmax())
    clear = np.abs(apart[best]) / np.maximum(scatter * (2 / width) ** 0.5, 1e-9)
    found = float(np.hypot(*apart[best]))
    return (int(middles[best]), found) if found > LEAST_SLIP and clear.max() > CLEAR else None
