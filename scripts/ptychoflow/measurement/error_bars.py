"""Numbers that were measured, and how far they may be off.

Photons alone would allow errors of a few parts in ten thousand. What is larger is how far a fit has come, and how much
its object tells of the scale at all. Both show in how windows of a scan differ, which begin too wide and too narrow,
and in how far their last steps still went. How these are to be weighed was found on simulated scans, see
tests/benchmarks/measured_geometry.py.
"""

from dataclasses import dataclass

import numpy as np

QUICK = (0.025, 1.0, 0.04, 0.04, 0.15)
"""Errors of a quick measurement that has settled: relative scale, rotation in degrees, stretch, shear, defocus."""
CREEPING, APART = 2.0, 1.5
"""How far off a quick measurement may be: over how far its last round went, and over what more frames changed."""
BOTH_SIDES = 0.015
"""Error of the relative scale of one that went on from both sides, beside how far apart these ended."""
MOST_KEPT = 0.5
"""Share of how far apart fits began in scale that is left in the end, beyond which photons do not tell it."""
WIDER = (2.5, 3.0, 3.0, 3.0, 3.0)
"""Error over the scatter of each."""
LEAST = (0.0015, 0.01, 0.0015, 0.001, 0.01)
"""Scatter below which none is believed of each."""
ONE_WINDOW = 2.0
"""Factor where there is one window, which no other can gainsay."""
MOST = (0.05, 3.0, 0.15, 0.15, 0.25)
"""Errors from which on photons do not tell."""
QUICK_MOST = 2.0
"""Factor to these where what is far off is looked for."""
CENTRE, CENTRE_WIDER = 0.02, 3.0
"""Least scatter in pixels, and error over scatter, of the middle of the beam."""


@dataclass
class Estimate:
    """A number, and by how much it may be wrong.

    Parameters
    ----------
    value : float
        As measured.
    error : float or None
        Half the width of an interval that covers the truth in nine of ten cases and more; None where the photons do
        not tell.
    """

    value: float
    error: float | None

    def times(self, factor: float) -> "Estimate":
        """In another unit."""
        return Estimate(self.value * factor, None if self.error is None else self.error * abs(factor))


def error_bars(
    rounds: np.ndarray, centres: np.ndarray, began: list[float], quick: bool = False, separate: bool = True
) -> tuple[Estimate, Estimate, Estimate, Estimate, Estimate, tuple[Estimate, Estimate]]:
    """Estimate what windows and their last steps agree about.

    Parameters
    ----------
    rounds : ndarray
        (windows, steps, 5) float: the numbers of a `Place`, and defocus. Of a quick measurement, where the last two
        rounds of each fit ended; those of the largest window stand last, and count.
    centres : ndarray
        (windows, 2) float, pixels.
    began : list of float
        Logarithms of the scale where the last fits began: both windows, or of a quick measurement the one that counts,
        or the two from both sides.
    quick : bool
        Whether there was no last round from an object that is nearly right.
    separate : bool
        Whether windows hold frames of their own.

    Returns
    -------
    scale, rotation, stretch, shear, defocus : Estimate
        A factor, degrees, a factor, a number, and in the unit it came in.
    centre : tuple of Estimate
        (row, column) pixels.
    """
    ends = rounds[-len(began) :]
    windows = ends[:, -1] if quick else ends.mean(axis=1)
    scale, rotation, stretch, shear, defocus = windows.mean(axis=0)
    units = np.array([1.0, np.degrees(1.0), 1.0, 1.0, 1 / max(abs(defocus), 1e-12)])
    if quick:
        # What more frames tell otherwise, the scan tells badly.
        apart, moved = np.ptp(rounds[:, -1], axis=0), np.ptp(ends[-1], axis=0)
        errors = np.array(QUICK) + units * (APART * apart + CREEPING * moved)
        # An axis by itself is as wide as both and half of what they differ by, and turns alike.
        errors[:2] = np.maximum(errors[:2], QUICK[:2] + (errors[2:4] - QUICK[2:4]) / 2 * units[:2])
        if len(began) > 1:
            errors[0] = max(QUICK[0], BOTH_SIDES + APART * np.ptp(windows[:, 0]) / 2)
    else:
        scatter = np.hypot(_apart(windows), np.ptp(rounds, axis=1).max(axis=0)) * units
        errors = np.array(WIDER) * np.hypot(scatter, LEAST) * (1 if separate else ONE_WINDOW)
    if len(began) > 1 and np.ptp(windows[:, 0]) > MOST_KEPT * np.ptp(began):
        errors[0] = np.inf
    most = np.array(MOST) * (QUICK_MOST if quick else 1)
    wide = [float(error) if error < limit else None for error, limit in zip(errors, most, strict=True)]
    around = CENTRE_WIDER * np.hypot(_apart(centres), CENTRE)
    return (
        Estimate(1.0, wide[0]).times(float(np.exp(scale))),
        Estimate(float(np.degrees(rotation)), wide[1]),
        Estimate(1.0, wide[2]).times(float(np.exp(stretch))),
        Estimate(float(shear), wide[3]),
        Estimate(1.0, wide[4]).times(float(defocus)),
        tuple(Estimate(float(v), float(e)) for v, e in zip(centres.mean(axis=0), around, strict=True)),
    )


def _apart(windows: np.ndarray) -> np.ndarray:
    """Standard error of the mean of windows (windows, …), 0 of one."""
    return windows.std(axis=0, ddof=1) / np.sqrt(len(windows)) if len(windows) > 1 else 0 * windows[0]
