"""Two images of a scan that share no photon, from the even and from the odd frames, to tell its resolution."""

from dataclasses import replace

import torch
from torch import Tensor

from ptychoflow.blind.judged import SMOOTHED_FROM, smoothed_state
from ptychoflow.models.blind import DAMPING, OBJECT_STEP, left_of_steps, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames

ITERATIONS = 10
"""Of each half, from an empty object on."""


@torch.no_grad()
def half_objects(state: BlindState, frames: ScanFrames, used: Tensor, seed: int, smoothing: float = 0.0) -> Tensor:
    """Solve for the object alone from each half of the frames, beginning with nothing.

    Probe, positions and background are those that all frames told, so that both images lie in one place.

    Parameters
    ----------
    state : BlindState
        Of one scan, solved for.
    frames : ScanFrames
        All frames.
    used : Tensor
        (used,) int64, numbers of those that may be used.
    seed : int
        Fixes their order.
    smoothing : float
        How strongly the image of all frames was smoothed, in units of what a pixel may be wrong by.

    Returns
    -------
    Tensor
        (2, H, W) complex64.
    """
    damping = torch.full_like(state.background, DAMPING)
    generator = torch.Generator().manual_seed(seed)
    halves = []
    for half in range(2):
        objects = torch.ones_like(state.objects)
        for iteration in range(ITERATIONS):
            progress = iteration / (ITERATIONS - 1)
            size = torch.full_like(damping, OBJECT_STEP * left_of_steps(progress))
            for chosen in subsets(used[half::2], progress, generator):
                change = frames.change(objects, state.probes, state.background, chosen)
                objects = change.stepped_objects(objects, size, damping)
            if smoothing > 0 and progress >= SMOOTHED_FROM:
                # Half of the light is twice the doubt's square.
                half_state = replace(state, objects=objects, light=state.light / 2)
                objects = smoothed_state(half_state, frames, smoothing).objects
        halves.append(objects[0])
    return torch.stack(halves)
