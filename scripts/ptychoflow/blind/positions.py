"""Where the frames of a scan lie: steps for all of them, and a search for those that no step brings home."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.position_steps import MeasuredFrames, position_steps, searched_offsets

FRAMES_AT_ONCE = 256
"""Whose photons are modelled at a time, where all are looked at."""
LARGEST_STEP = 1.0
"""Pixels that a frame moves at most by a step."""
SEARCH_STEP = 2.0
"""Pixels between the places where a lost frame is looked for; round the best of them it is looked for at each."""
LOST, MOST_LOST = 2.0, 0.05
"""Σ (√I − √n)² of a frame over the median of all, from which it is looked for, and the largest share of such frames."""
FOUND = 0.8
"""By what factor that must fall for a frame to be put elsewhere."""


def moved_positions(
    state: BlindState, frames: ScanFrames, given: Tensor, parts: tuple[Tensor, Tensor], bound: float, searched: bool
) -> Tensor:
    """Move each frame to where the object explains its photons better.

    Parameters
    ----------
    state : BlindState
        Of one scan.
    frames : ScanFrames
        All frames, where they lie now.
    given : Tensor
        (1, frames, 2) float pixels, where they were given.
    parts : tuple of Tensor
        Frame numbers (chosen,) int64: those that are fitted, which have no shift together, and those left out, which
        move by their own photons alone, and nothing by theirs.
    bound : float
        Pixels that a frame may be from where it was given.
    searched : bool
        Whether to look for lost frames as well.

    Returns
    -------
    Tensor
        (1, frames, 2) float pixels.
    """
    step, squares = torch.zeros_like(given[0]), torch.zeros_like(given[0, :, 0])
    for some in _pieces(parts):
        step[some], squares[some] = position_steps(_measured(state, frames, some))
    step = step / (step.norm(dim=-1, keepdim=True) / LARGEST_STEP).clamp_min(1)
    if searched:
        lost, jump = lost_frames(state, frames, given, parts, bound, squares)
        step[lost] = jump
    moved = frames.positions[0] + step - given[0]
    moved = moved - moved[parts[0]].mean(dim=0)
    moved = moved / (moved.norm(dim=-1, keepdim=True) / bound).clamp_min(1)
    return (given[0] + moved)[None]


def lost_frames(
    state: BlindState,
    frames: ScanFrames,
    given: Tensor,
    parts: tuple[Tensor, Tensor],
    bound: float,
    squares: Tensor,
) -> tuple[Tensor, Tensor]:
    """Look for frames that explain their photons far worse than others, all round where they were given.

    A step to first order leads to the nearest place that looks alike, which several pixels off is a wrong one. What is
    far worse is measured against the frames that are fitted: those left out decide nothing for others. Parameters as in
    `moved_positions`, and `squares`, (frames,) float, Σ (√I − √n)² where they lie now.

    Returns
    -------
    lost : Tensor
        (lost,) int64, numbers of those that were found elsewhere.
    jump : Tensor
        (lost, 2) float pixels, how far from where they lie now.
    """
    parts = tuple(part.to(squares.device) for part in parts)
    limit = LOST * squares[parts[0]].median()
    worst = torch.cat([_worst(squares, part, limit) for part in parts])
    if not len(worst):
        return worst, given[0, :0]
    reach = torch.arange(-(bound // SEARCH_STEP), bound // SEARCH_STEP + 1) * SEARCH_STEP
    grid = torch.cartesian_prod(reach, reach).to(given)
    # What lies just within the bound has its nearest place beyond.
    grid = grid[grid.norm(dim=-1) <= bound + SEARCH_STEP / 2]
    away = given[0, worst] - frames.positions[0, worst]
    measured = _measured(state, frames, worst)
    jump, _ = searched_offsets(measured, away + grid[:, None])
    around = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 2).to(given)
    jump, found = searched_offsets(measured, jump + around[:, None])
    better = found < FOUND * squares[worst]
    return worst[better], jump[better]


def _worst(squares: Tensor, part: Tensor, limit: Tensor) -> Tensor:
    """Of some frames (chosen,) int64 those that are above a limit, the worst ones, no more than may be lost."""
    if not len(part):
        return part
    worst = part[squares[part].argsort(descending=True)][: max(1, int(MOST_LOST * len(part)))]
    return worst[squares[worst] > limit]


def _pieces(parts: Iterable[Tensor]) -> list[Tensor]:
    """Frame numbers in pieces of which none is empty."""
    return [some for part in parts for some in part.split(FRAMES_AT_ONCE) if len(some)]


def _measured(state: BlindState, frames: ScanFrames, some: Tensor) -> MeasuredFrames:
    """Some frames (chosen,) int64 under object, probe and background of a state."""
    amplitudes, positions = frames.subset(some)
    light = frames.light(some)
    # A frame of twice the light is one of the mean light with half the background.
    light = 1 if light is None else light[0][:, None, None]
    return MeasuredFrames(
        state.objects[0],
        state.probes[0],
        amplitudes[0] / light**0.5,
        positions[0],
        frames.mask[0, 0],
        frames.propagator,
        state.background[0] / light,
    )
