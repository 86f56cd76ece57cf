"""Whether a stage slipped or drifted under photons so few that nothing else shows it: frames that are let go.

An object that few photons tell adapts to frames that lie wrong, and what is left is no more than noise may be. But the
same photons tell far more surely whether one thing explains them better than another. So the iterations go on for a
little while with positions that are solved for: frames of one sound scan scatter, and those of a stage that slipped or
drifted part, early from late.
"""

from copy import copy
from dataclasses import replace

import numpy as np
import torch

from ptychoflow.blind.left_over import left_over
from ptychoflow.blind.slips import FEWEST, REMEDY
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import SIGNIFICANT, weak_object_deviance

MAY_BE_LEFT = 0.04
"""Share of what frames differ by that may be left unexplained, for all that noise tells, from which it is looked at."""
LEAST_SHOWN = 0.5
"""Such frames differ by that share, or more, of what an object of 0.1 rad would make of them: those of a wedge, which
hardly tell where they lie along it, by 0.12 to 0.42, those of a smooth object that few photons tell by 0.76."""
ITERATIONS, FROM = 10, 0.7
"""That positions are solved for, and progress from which they go on."""
LEAST_APART, CLEAR = 0.4, 8.0
"""Pixels by which early and late frames part, and that in standard errors, where it is said: beyond both."""
EDGE = 0.1
"""Share of the frames at either end of a scan, within which nobody could tell a slip."""
PLACES = 256
"""At which a slip is looked for, at most."""


def freed_doubts(solving: BlindReconstruction, reconstruction: Reconstruction) -> list[str]:
    """Say from which frame on they would lie elsewhere if they could.

    Parameters
    ----------
    solving : BlindReconstruction
        At its end, of which nothing else is doubtful; it is left as it is.
    reconstruction : Reconstruction
        As it came out.
    """
    dataset = solving.dataset
    if solving.settings.solve_positions or dataset.propagation != "far" or len(dataset.frames) < FEWEST:
        return []
    told = left_over(reconstruction, dataset)
    if told is None or told[0] + SIGNIFICANT * told[1] < MAY_BE_LEFT:
        return []
    before, judges = solving.verdict(solving.state), np.flatnonzero(reconstruction.held_out)
    if before.flat - before.expected < LEAST_SHOWN * weak_object_deviance(reconstruction, dataset, judges):
        return []
    freed = with_free_positions(solving)
    if not freed.verdict(freed.state).clearly_better_than(before):
        return []
    moved = (freed.frames.positions - freed.given)[0].double().cpu().numpy()
    frame, apart, clear = clearest_slip(moved, dataset.positions)
    if apart < LEAST_APART or clear < CLEAR:
        return []
    return [
        f"the stage seems to have slipped or drifted about frame {frame}: once frames may move, those before and after "
        f"it part by {apart:.2g} pixels, and frames that were left out are explained better; {REMEDY}"
    ]


@torch.no_grad()
def with_free_positions(solving: BlindReconstruction) -> BlindReconstruction:
    """Go on for some iterations with positions that are solved for, in a copy."""
    freed = copy(solving)
    freed.frames, freed.generator = copy(solving.frames), torch.Generator().manual_seed(solving.seed)
    bound = min(solving.settings.position_bound, solving.border - 2)
    freed.settings = replace(solving.settings, solve_positions=True, position_bound=bound)
    # No search for single lost frames, which goes by how many iterations were made.
    freed.history = solving.history[:1]
    for number in range(ITERATIONS):
        freed.iterate(FROM + (1 - FROM) * number / ITERATIONS)
    return freed


def clearest_slip(moved: np.ndarray, positions: np.ndarray) -> tuple[int, float, float]:
    """Where frames part most clearly, early from late, beside what widens, turns or shears the whole scan.

    Parameters
    ----------
    moved, positions : ndarray
        (frames, 2) float64 pixels: how far frames were moved, and whence.

    Returns
    -------
    frame : int
        Number of the first of those after it.
    apart, clear : float
        Pixels, and standard errors, were each frame moved by itself, by which they part there.
    """
    count = len(moved)
    smooth, _ = np.linalg.qr(np.column_stack([np.ones(count), positions - positions.mean(axis=0)]))
    rest = moved - smooth @ (smooth.T @ moved)
    total, best = np.square(rest).sum(axis=0), (0, 0.0, 0.0)
    first = max(1, int(EDGE * count))
    for frame in np.unique(np.linspace(first, count - first, min(count, PLACES)).astype(int)):
        later = (np.arange(count) >= frame).astype(np.float64)
        later -= smooth @ (smooth.T @ later)
        power = float(later @ later)
        away = later @ rest / max(power, 1e-12)
        told = away**2 * power
        clear = float(np.sqrt((told / np.maximum((total - told) / (count - 4), 1e-12)).sum()))
        if clear > best[2]:
            best = int(frame), float(np.hypot(*away)), clear
    return best
