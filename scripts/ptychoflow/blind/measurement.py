"""The geometry of a scan, measured by its photons: orientation, scale and rotation of the positions, defocus, centre.

Frames that overlap agree about the object under the right positions alone. A scan that is stretched or turned carries
its object with it, but inside each frame the object would have to be as large and upright as it is. So a few windows of
the scan are reconstructed, object and probe together, under positions a little larger and smaller, turned to and fro,
from probes a little more and less out of focus; the misfit's lowest point is the measurement. Defocus is one of the
parameters because scale trades with it: behind a strongly curved beam a frame is a magnified shadow, which moves by
step over defocus, and only its fringes tell the two apart. Rotation has no such partner.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.profile import agreed, design, half_width, lowest
from ptychoflow.blind.pupils import coarse_probe, cropped, focus_of, pupil_radius, refocused
from ptychoflow.blind.start import COARSE, FRAMES, Start, find_start, middle_of
from ptychoflow.blind.windows import Window, counts_of, neighbourhoods, window_of
from ptychoflow.data.dataset import Dataset
from ptychoflow.data.geometry import wavelength_of
from ptychoflow.data.position_axes import mapped, turned
from ptychoflow.errors import InputError
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import centre_of

KEPT = 0.95
"""Share of the photons that frames cropped for the measurement must hold, if they need no more than the most pixels."""
MOST_PIXELS = 128
"""Edge of a frame that is looked at."""
STEPS = ((0.02, 1.5, 0.4), (0.02, 1.5, 0.4), (0.01, 0.75, 0.2), (0.01, 0.75, 0.2))
"""Of rounds: the logarithm of scale, of rotation in degrees, and of defocus in radians at the rim of the pupil."""
FEWEST = 16
"""Frames below which nothing is measured."""
TELLS_APART = 1.1
"""Error of the next best orientation over that of the best, below which photons do not tell."""


@dataclass
class Estimate:
    """A number, and by how much it may be wrong.

    Parameters
    ----------
    value : float
        As measured.
    error : float or None
        Half the width of an interval that covers the truth in 95 % of all cases; None where the photons do not tell.
    """

    value: float
    error: float | None


@dataclass
class Measurement:
    """What the photons of a far-field scan tell of its geometry.

    Parameters
    ----------
    orientation : int
        Of the positions against the dataset as it is, one of the eight `ORIENTATIONS`.
    orientation_errors : list of float
        Σ (√I − √n)² / Σ n under each of the eight with the measured probe, in their order.
    twin_excluded : bool
        Whether the file's probe was right, which its twin, with the scan turned by half a circle, is not.
    scale : Estimate
        Factor by which the scan was wider than the dataset says, or its pixels at the sample finer.
    rotation : Estimate
        Degrees by which the scan is turned after the orientation, from the rows' axis towards that of the columns.
    defocus : Estimate
        Metres from the focus to the sample.
    centre : tuple of Estimate
        (row, column) pixels of the middle of the beam on the detector less the pixel N // 2.
    start : Start
        The probe from which it went on.
    """

    orientation: int
    orientation_errors: list[float]
    twin_excluded: bool
    scale: Estimate
    rotation: Estimate
    defocus: Estimate
    centre: tuple[Estimate, Estimate]
    start: Start

    @property
    def orientation_told(self) -> bool:
        """Whether no other orientation but the twin's explains the photons about as well."""
        best = self.orientation_errors[self.orientation]
        # Opposite signs of both axes: numbers 0 and 3, 1 and 2, 4 and 7, 5 and 6.
        twin = self.orientation ^ 3
        others = [
            error for number, error in enumerate(self.orientation_errors) if number not in (self.orientation, twin)
        ]
        return min(others) > TELLS_APART * best


def measure(network: Blind, dataset: Dataset, seed: int = 0) -> Measurement:
    """Measure the geometry of a scan; see the module.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made.
    dataset : Dataset
        Far fields; its frames may be in a file still. Its probe, where it has one, tells the twin apart.
    seed : int
        Fixes the order of the frames.

    Raises
    ------
    InputError
        For near fields, too few frames, and frames without photons.
    """
    if dataset.propagation != "far":
        raise InputError("the frames are near fields: expected far ones, whose geometry can be measured (--measure)")
    if len(dataset.frames) < FEWEST:
        raise InputError(f"there are {len(dataset.frames)} frames: expected at least {FEWEST} (--measure)")
    numbers = middle_of(dataset.positions, FRAMES)
    counts, mask = counts_of(dataset, numbers), torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    mean = counts.mean(dim=0)
    if not mean[mask].any():
        raise InputError("no frame in the middle of the scan has a photon on a good pixel: expected some (--measure)")
    guess = torch.from_numpy(dataset.probe) if dataset.probe_known else None
    start = find_start(
        network, counts, dataset.positions[numbers], mask, mean, Propagator(dataset.size), guess, True, seed
    )
    size = _edge(mean)
    placed = turned(dataset.positions, start.candidate.orientation) * size / dataset.size
    windows = [window_of(dataset, some, placed, size) for some in neighbourhoods(placed)]
    return _measured(network, dataset, start, windows, coarse_probe(start.probe, size), seed)


def _measured(
    network: Blind, dataset: Dataset, start: Start, windows: list[Window], probe: Tensor, seed: int
) -> Measurement:
    radius = pupil_radius(torch.fft.fft2(probe[0]).abs())
    points, place = design(3), np.zeros(3)
    for number, steps in enumerate(STEPS):
        # The first rounds find the way in one window; the last is judged by all.
        used = windows if number == len(STEPS) - 1 else windows[:1]
        units = np.array([steps[0], steps[1], steps[2] / (np.pi * radius**2)])
        tried = [place[:2] + (point * units)[:2] for point in points]
        probes = torch.stack([refocused(probe, float((point * units)[2])) for point in points])
        results = [
            window.tried(network, [mapped(window.positions, np.exp(a), b) for a, b in tried], probes, seed)
            for window in used
        ]
        misfits = np.concatenate([misfit for misfit, _ in results], axis=1)
        best, _ = lowest(points, misfits.sum(axis=1))
        nearest = int(((points - best) ** 2).sum(axis=1).argmin())
        # What the trials learned of the probe is kept, in focus where the misfit is lowest.
        probe = refocused(results[0][1][nearest], float(((best - points[nearest]) * units)[2]))
        place = place + np.append((best * units)[:2], 0)
    parts = [window.sectors + 100 * number for number, window in enumerate(used)]
    _, error = agreed(points, misfits, np.concatenate(parts))
    wide = [None if np.isnan(half) else float(half) for half in error * units]
    scale = float(np.exp(place[0]))
    # Frames that are cropped have pixels at the sample that are wider.
    metres = (dataset.pixel_size * dataset.size / probe.shape[-1]) ** 2 / wavelength_of(dataset.energy)
    return Measurement(
        orientation=start.candidate.orientation,
        orientation_errors=_orientation_errors(network, windows[0], start.candidate.orientation, place, probe, seed),
        twin_excluded=start.candidate.given,
        scale=Estimate(scale, None if wide[0] is None else wide[0] * scale),
        rotation=Estimate(float(place[1]), wide[1]),
        defocus=Estimate(focus_of(probe[0]) * metres, None if wide[2] is None else wide[2] * metres),
        centre=_centre(windows),
        start=start,
    )


def _orientation_errors(
    network: Blind, window: Window, found: int, place: np.ndarray, probe: Tensor, seed: int
) -> list[float]:
    """Errors of the eight orientations under the probe that was found, in their order."""
    upright = mapped(window.positions, float(np.exp(place[0])), float(place[1]))
    places = [turned(_unturned(upright, found), number) for number in range(8)]
    misfits, _ = window.tried(network, places, probe[None].expand(8, -1, -1, -1), seed)
    return [float(error) for error in misfits.mean(axis=1)]


def _unturned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) before they were `turned`: for quarter turns, by the opposite one."""
    return turned(positions, {5: 6, 6: 5}.get(orientation, orientation))


def _centre(windows: list[Window]) -> tuple[Estimate, Estimate]:
    """Where the middle of the beam lies on the detector, by the first harmonic of the mean frames of all sectors."""
    means = []
    for window in windows:
        light = torch.where(window.mask, window.amplitudes, 0).square() * window.scale**2
        means += [light[window.sectors == sector].mean(dim=0) for sector in np.unique(window.sectors)]
    total = torch.fft.fftshift(torch.stack(means), dim=(-2, -1)).double()
    whole = centre_of(total.mean(dim=0))
    without = [centre_of((total.sum(dim=0) - one) / max(1, len(total) - 1)) for one in total]
    errors = half_width(torch.stack(without).numpy()) if len(total) > 1 else (None, None)
    return tuple(
        Estimate(float(value), None if error is None else float(error))
        for value, error in zip(whole, errors, strict=True)
    )


def _edge(mean: Tensor) -> int:
    """Edge to which frames with a mean (N, N) are cropped."""
    size = len(mean)
    enough = [edge for edge in COARSE if edge < size and cropped(mean, edge).sum() >= KEPT * mean.sum()]
    return min([size, *enough, *([MOST_PIXELS] if size > MOST_PIXELS else [])])
