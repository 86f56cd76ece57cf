"""The lowest point of a misfit that was computed at a few points, and how far the frames agree about it.

Object and probe are solved for anew at each point, so that the misfit is a profile: what they can make up for is
already taken out, and its curvature is what photons tell of the parameters alone.
"""

from itertools import combinations

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95
"""Share of the cases in which an error bar is to cover the truth, as far as frames differ at random."""
FARTHEST = 2.0
"""Steps from the middle of the points beyond which a parabola is not believed."""


def design(parameters: int) -> np.ndarray:
    """Points (points, parameters) float64 in steps about a middle: it, both sides of each axis, and diagonals."""
    units = np.eye(parameters)
    points = [np.zeros(parameters), *units, *-units]
    for one, other in combinations(range(parameters), 2):
        points += [a * units[one] + b * units[other] for a, b in ((1, 1), (-1, -1), (1, -1), (-1, 1))]
    return np.stack(points)


def terms(points: np.ndarray) -> np.ndarray:
    """What a second-order polynomial adds up at points (points, parameters): (points, coefficients)."""
    pairs = [(i, j) for i in range(points.shape[1]) for j in range(i, points.shape[1])]
    return np.column_stack([np.ones(len(points)), points, *(points[:, i] * points[:, j] for i, j in pairs)])


def lowest(points: np.ndarray, misfits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest point of the second-order polynomial through misfits, by least squares.

    Parameters
    ----------
    points : ndarray
        (points, parameters) float, in steps about 0.
    misfits : ndarray
        (points,) float.

    Returns
    -------
    place : ndarray
        (parameters,) float64, none beyond `FARTHEST`; the best of the points where the polynomial has no lowest one.
    told : ndarray
        (parameters,) bool, whether it has one, and that near along each axis.
    """
    count = points.shape[1]
    # Misfits differ by little: about their mean, nothing is lost to rounding.
    found = np.linalg.lstsq(terms(points), misfits - misfits.mean(), rcond=None)[0]
    curvature = np.zeros((count, count))
    rows, columns = np.triu_indices(count)
    curvature[rows, columns] = found[1 + count :]
    curvature = curvature + curvature.T
    if np.linalg.eigvalsh(curvature)[0] <= 1e-6 * np.abs(curvature).max():
        return points[misfits.argmin()].copy(), np.zeros(count, bool)
    place = -np.linalg.solve(curvature, found[1 : 1 + count])
    return place / max(1.0, np.abs(place).max() / FARTHEST), np.abs(place) <= FARTHEST


def agreed(points: np.ndarray, misfits: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest point of the misfits of all frames, and by how much it depends on which frames there are.

    The error is the jackknife's (Efron and Stein, Ann. Stat. 9, 586, 1981), each group of neighbouring frames being
    left out in turn, for what they have in common is no independent evidence.

    Parameters
    ----------
    points : ndarray
        (points, parameters) float, in steps about 0.
    misfits : ndarray
        (points, frames) float.
    groups : ndarray
        (frames,) int, from 0 on.

    Returns
    -------
    place : ndarray
        (parameters,) float64.
    error : ndarray
        (parameters,) float64, half the width of an interval of `CONFIDENCE`; NaN where the frames do not tell.
    """
    place, told = lowest(points, misfits.sum(axis=1))
    numbers = np.unique(groups)
    if len(numbers) < 2:
        return place, np.full(len(place), np.nan)
    others = [lowest(points, misfits[:, groups != number].sum(axis=1)) for number in numbers]
    told = told & np.all([sure for _, sure in others], axis=0)
    return place, np.where(told, half_width(np.stack([found for found, _ in others])), np.nan)


def half_width(left_out: np.ndarray) -> np.ndarray:
    """Half the width (…,) of an interval of `CONFIDENCE` from estimates (groups, …) without one group each."""
    count = len(left_out)
    deviation = np.sqrt((count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    return float(student.ppf(0.5 + CONFIDENCE / 2, count - 1)) * deviation
