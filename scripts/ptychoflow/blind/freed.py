"""Whether frames lie elsewhere under photons so few that nothing else shows it: they are let go.

An object that few photons tell adapts to frames that lie wrong, and what is left is no more than noise may be. But the
same photons tell far more surely whether one thing explains them better than another. So the iterations go on for a
little while with positions that are solved for: frames of a sound scan scatter, those of a stage that slipped or
drifted part, early from late, and those of a scan that is wider than its file says, or turned, move all as one.
"""

from copy import copy
from dataclasses import replace

import numpy as np
import torch

from ptychoflow.blind.left_over import LeftOver
from ptychoflow.blind.slips import FEWEST, REMEDY, tried_doubts
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.metrics.doubts import MUCH_LEFT
from ptychoflow.models.blind import Blind
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import SIGNIFICANT, weak_object_deviance

LEAST_SHOWN = 0.5
"""Frames that part differ by that share, or more, of what an object of 0.1 rad would make of them: those of a wedge,
which hardly tell where they lie along it, by 0.12 to 0.42, those of a smooth object that few photons tell by 0.76."""
ITERATIONS, FROM = 10, 0.7
"""That positions are solved for, and progress from which they go on."""
LEAST_APART, CLEAR = 0.4, 8.0
"""Pixels by which early and late frames part, and that in standard errors, where it is said: beyond both."""
BEYOND_DOUBT = 10.0
"""Standard errors beyond which frames that were left out, few of some scans, need not be explained better as well."""
TRIED, REST_OF_TRIED = 5.0, 0.96
"""Standard errors beyond which a slip is tried out where they part, and the share of the misfit about it that is left
then at most. Of sound scans few part by 5.8, and keep all of it; others, that do not part, keep 0.96 and more."""
LEAST_WIDENED, CLEARLY_WIDENED = 0.2, 16.0
"""Pixels (rms) by which what widens, turns or shears the whole scan moves frames, and that over what is left of their
moves as chance would have it, where it is said. Sound scans have 0.06 pixels with 15, and more with 12 at most."""
EDGE = 0.1
"""Share of the frames at either end of a scan, within which nobody could tell a slip."""
PLACES = 256
"""At which a slip is looked for, at most."""


def freed_doubts(
    solving: BlindReconstruction, network: Blind, reconstruction: Reconstruction, told: LeftOver | None
) -> list[str]:
    """Say from which frame on they would lie elsewhere if they could, or how all would.

    Parameters
    ----------
    solving : BlindReconstruction
        At its end, of which nothing else is doubtful; it is left as it is.
    network : Blind
        Its network on the CPU, whose iterations try a slip out.
    reconstruction : Reconstruction
        As it came out.
    told : LeftOver, optional
        What it leaves of its frames, as `left_over` tells it.
    """
    dataset = solving.dataset
    if solving.settings.solve_positions or dataset.propagation != "far" or len(dataset.frames) < FEWEST:
        return []
    if told is None or told[0] + SIGNIFICANT * told[1] < MUCH_LEFT:
        return []
    freed, before = with_free_positions(solving), solving.verdict(solving.state)
    moved = (freed.frames.positions - freed.given)[0].double().cpu().numpy()
    frame, apart, clear = clearest_slip(moved, dataset.positions)
    if clear > TRIED:
        tried = tried_doubts(network, reconstruction, dataset, frame, REST_OF_TRIED)
        if tried:
            return tried
    better = freed.verdict(freed.state).clearly_better_than(before)
    if apart > LEAST_APART and clear > (CLEAR if better else BEYOND_DOUBT):
        weak = weak_object_deviance(reconstruction, dataset, np.flatnonzero(reconstruction.held_out))
        if before.flat - before.expected < LEAST_SHOWN * weak:
            return []
        return [
            f"the stage seems to have slipped or drifted about frame {frame}: once frames may move, those before and "
            f"after it part by {apart:.2g} pixels, {clear:.0f} standard errors; {REMEDY}"
        ]
    return widened_doubts(moved, dataset.positions) if better else []


def widened_doubts(moved: np.ndarray, positions: np.ndarray) -> list[str]:
    """Say that all frames move as one once they may; parameters are those of `whole_change`."""
    widened, clear, scale = whole_change(moved, positions)
    if widened > LEAST_WIDENED and clear > CLEARLY_WIDENED:
        return [
            f"the scan seems to be {'wider' if scale > 0 else 'narrower'} than the file says, or turned or sheared: "
            f"that is how frames begin to move once they may, by {widened:.2g} pixels (rms), and frames that were left "
            "out are explained better; likely causes are detector_distance, detector_pixel_size, energy, and the "
            "scale, rotation or shear of positions (measure: true looks for it)"
        ]
    return []


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


def whole_change(moved: np.ndarray, positions: np.ndarray) -> tuple[float, float, float]:
    """How far what widens, turns or shears the whole scan moves frames.

    Parameters
    ----------
    moved, positions : ndarray
        (frames, 2) float64 pixels: how far frames were moved, and whence.

    Returns
    -------
    widened, clear : float
        Pixels (rms), and that over what chance would make of frames that are moved each by itself.
    scale : float
        By what share the scan is widened, the mean of both axes.
    """
    offsets, away = positions - positions.mean(axis=0), moved - moved.mean(axis=0)
    linear = np.linalg.lstsq(offsets, away, rcond=None)[0]
    whole = offsets @ linear
    chance = np.square(away - whole).sum(axis=0) / (len(moved) - 3)
    clear = float(np.sqrt((np.square(whole).sum(axis=0) / 2 / np.maximum(chance, 1e-12)).sum()))
    return float(np.sqrt(np.square(whole).sum(axis=1).mean())), clear, float(np.trace(linear) / 2)
