"""Fits of what deforms a scan, one after the other, until they move no more."""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.pupils import focus_of
from ptychoflow.blind.windows import Window
from ptychoflow.measurement.geometry_fit import GeometryFit, Place
from ptychoflow.models.blind import Blind
from ptychoflow.physics.modes import coherence_modes

FIRST_LEAST, FIRST_MOST, FIRST_STEPS, LAST_STEPS, AVERAGED = 3, 6, 3, 6, 4
"""Rounds from an empty object on, steps of each, steps of the last one, and those at its end that count."""
QUICK_LEAST, QUICK_MOST, SETTLED = 2, 6, 0.002
"""Rounds of a quick look: they end where what they do to positions changes by no more from one to the next."""
DOUBTED, DEFORMED = (0.015, 0.5), 0.03
"""Scale (logarithm) and rotation in degrees, and stretch or shear, from which on the few frames of a quick look are not
enough."""
SIDES, PASSES, ARRIVED = (0.005, -0.005), 3, 0.003
"""Logarithm of the scale by which windows begin too wide and too narrow: how much of it is left in the end tells how
much the photons tell of a scale. At most so often, until their mean moves by no more than that."""
MODES, BLURRED, MUCH_BLURRED = 3, 0.99, 0.8
"""Modes of light that is blurred. The misfit with them over that before, below which it is taken to be, and below which
they tell the scale: without a blur it is 1.01 to 1.07, since so few steps bring less than more unknowns cost."""


@dataclass
class FirstRounds:
    """What fits of a window tell that begin with an empty object.

    Parameters
    ----------
    window : Window
        Which was looked at in the end.
    fit : GeometryFit
        The last of it, where they agree.
    ends : list
        Of those that count, the last two steps of each: numbers of a `Place` and defocus (pixels²).
    began : list of float
        Logarithms of the scale at which these began.
    better : float
        Misfit with light of several modes over that with one; 1 where that was not tried.
    """

    window: Window
    fit: GeometryFit
    ends: list[list[list[float]]]
    began: list[float]
    better: float


def first_rounds(
    network: Blind,
    window_of: Callable[[np.ndarray], Window],
    chosen: list[np.ndarray],
    probe: Tensor,
    seed: int,
    quick: bool,
    turned: bool,
) -> FirstRounds:
    """Fit a window until it moves no more, and anew where its light is of several modes.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made.
    window_of : callable
        Gives the window of some frames (chosen,) int64.
    chosen : list of ndarray
        Frames to look at, and, in a quick look, those to look at where these doubt the file.
    probe : Tensor
        (modes, n, n) complex, to begin with.
    seed : int
        Fixes the order of the frames.
    quick : bool
        Whether it is a quick look, which tries the scale from its other side, too, where it is far off.
    turned : bool
        Whether the orientation doubts the file.
    """
    window = window_of(chosen[0])
    fit, steps = settled(network, window, probe, Place(), seed, quick)
    ends, began, better = [steps[-2:]], [0.0], 1.0
    if quick and (turned or doubted(fit.place)) and len(chosen[1]) > len(chosen[0]):
        window, began = window_of(chosen[1]), [fit.place.scale]
        fit, steps = settled(network, window, fit.probe, fit.place, seed, quick)
        ends = [*ends, steps[-2:]]
    if not quick or doubted(fit.place):
        with_several, better = with_modes(network, window, fit, seed)
    if better < (MUCH_BLURRED if quick else BLURRED):
        # What one mode said of such light counts for nothing.
        began = [fit.place.scale]
        fit, steps = settled(network, window, with_several.probe, with_several.place, seed, quick)
        ends = [steps[-2:]]
    if quick and abs(fit.place.scale) > DOUBTED[0]:
        # From as far on the other side.
        began = [*began, 2 * fit.place.scale]
        _, steps = settled(network, window, fit.probe, replace(fit.place, scale=began[-1]), seed, quick)
        ends = [*ends, steps[-2:]]
    return FirstRounds(window, fit, ends, began, better)


def settled(
    network: Blind, window: Window, probe: Tensor, place: Place, seed: int, quick: bool
) -> tuple[GeometryFit, list[list[float]]]:
    """Fit a window from an empty object on, until it moves no more; the last fit, and where each of them ended."""
    ends: list[list[float]] = []
    least, most = (QUICK_LEAST, QUICK_MOST) if quick else (FIRST_LEAST, FIRST_MOST)
    for number in range(1, most + 1):
        fit = GeometryFit(network, window, probe, place, seed)
        ends.append(_steps(fit, FIRST_STEPS)[-1])
        moved = np.linalg.norm(fit.place.linear - place.linear) / 2**0.5
        place, probe = fit.place, fit.probe
        if number >= least and moved < SETTLED:
            break
    return fit, ends


def with_modes(network: Blind, window: Window, before: GeometryFit, seed: int) -> tuple[GeometryFit, float]:
    """Fit a window once more with light of several modes; the fit, and its misfit over that before.

    A detector that spreads light, a stage that moves while it counts and a source of some width all blur the fringes of
    a frame. One mode makes up for that by a narrower beam over a narrower scan. Several
    can do without, where photons are enough to tell them.
    """
    probe = torch.from_numpy(coherence_modes(before.probe.numpy(), max(MODES, len(before.probe))))
    fit = GeometryFit(network, window, probe, before.place, seed)
    _steps(fit, FIRST_STEPS)
    return fit, fit.misfit() / before.misfit()


def from_both_sides(
    network: Blind, windows: list[Window], probe: Tensor, place: Place, seed: int
) -> tuple[list[list[list[float]]], list[float], list[GeometryFit]]:
    """Fit two windows, one from too wide a scale and one from too narrow a one: steps, where they began, last fits."""
    for _ in range(PASSES):
        rounds, began, fits = [], [place.scale + side for side in SIDES], []
        for window, scale in zip(windows, began, strict=True):
            fit = GeometryFit(network, window, probe, replace(place, scale=scale), seed)
            _steps(fit, FIRST_STEPS)
            fits.append(GeometryFit(network, window, fit.probe, fit.place, seed))
            rounds.append(_steps(fits[-1], LAST_STEPS))
        before, place = place, Place(*np.array(rounds)[:, -AVERAGED:, :-1].mean(axis=(0, 1)).tolist())
        probe = fits[-1].probe
        if abs(place.scale - before.scale) < ARRIVED:
            break
    return rounds, began, fits


def doubted(place: Place) -> bool:
    """Whether a quick look is so far from what the file says that it looks closer."""
    scale, rotation = DOUBTED
    deformed = max(abs(place.stretch), abs(place.shear)) > DEFORMED
    return deformed or abs(place.scale) > scale or abs(np.degrees(place.rotation)) > rotation


def _steps(fit: GeometryFit, count: int) -> list[list[float]]:
    """Make steps; the numbers of the place and defocus in pixels² after each."""
    rounds = []
    for _ in range(count):
        fit.step()
        rounds.append([*astuple(fit.place), focus_of(fit.probe[0])])
    return rounds
