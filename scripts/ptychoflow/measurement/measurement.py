"""The geometry of a scan, measured by its photons: orientation and deformation of the positions, defocus, centre.

Frames that overlap agree about the object under the right positions alone. So windows of the scan are reconstructed,
each with its scale, rotation, stretch and shear, see `geometry_fit`: first from cropped frames, several times from an
empty object on, since an image that was begun under wrong positions keeps faults that no small step mends; then from
frames that hold nearly all photons, for what a crop cuts off makes a scan too wide. Scale trades with defocus: behind a
strongly curved beam a frame is a magnified shadow, which moves by step over defocus, and only its fringes tell the two
apart; stretch and shear trade with astigmatism alike. Rotation has no such partner.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.pupils import coarse_probe, cropped, embedded, focus_of, pupil_radius
from ptychoflow.blind.search import ROUNDS, Start
from ptychoflow.blind.start import FRAMES, QUICK_ROUNDS, find_start, middle_of
from ptychoflow.blind.windows import Window, counts_of, neighbourhoods, window_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned, twin_of
from ptychoflow.errors import InputError
from ptychoflow.measurement.error_bars import Estimate, error_bars
from ptychoflow.measurement.geometry_fit import Place
from ptychoflow.measurement.settling import AVERAGED, BLURRED, first_rounds, from_both_sides
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.geometry import wavelength_of

EDGES = (64, 96, 128)
"""Of frames that are looked at; larger ones are cropped to the first that holds enough of the photons, or the last."""
FIRST_SHARE, LAST_SHARE = 0.95, 0.9999
"""Of the photons that are enough, in the first rounds and in the last."""
QUICK_FRAMES = 30
"""Of a measurement of a few seconds, which has no last round, but looks at `FRAMES` where these doubt the file."""
CLEARLY_CURVED = 1.0
"""Radians of phase at the rim of the pupil from which on a probe is on one side of its focus."""
FEWEST = 16
"""Frames below which nothing is measured."""
TELLS_APART = 1.1
"""Error of the next best orientation over that of the best, below which photons do not tell."""


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
    stretch : Estimate
        Factor by which its rows are stretched more than its columns, beside the scale, which is their mean.
    shear : Estimate
        By how much rows and columns turn towards each other, radians where it is little.
    defocus : Estimate
        Metres from the focus to the sample.
    centre : tuple of Estimate
        (row, column) pixels of the middle of the beam on the detector less the pixel N // 2.
    given_defocus : float, optional
        Metres, of the dataset's probe, where it has one.
    start : Start
        The probe from which it went on.
    rounds : list
        What the errors were made of: the numbers of a `Place` and defocus (pixels²), by window and step.
    began : list of float
        Logarithms of the scale at which the last of these began.
    blurred : bool
        Whether light of several modes explains the photons better than of one, as it does where fringes are blurred.
    """

    orientation: int
    orientation_errors: list[float]
    twin_excluded: bool
    scale: Estimate
    rotation: Estimate
    stretch: Estimate
    shear: Estimate
    defocus: Estimate
    centre: tuple[Estimate, Estimate]
    given_defocus: float | None
    start: Start
    rounds: list[list[list[float]]]
    began: list[float]
    blurred: bool = False

    def twin(self) -> "Measurement":
        """The same of the scan turned by half a circle under the opposite defocus, which diffracts alike."""
        errors = [self.orientation_errors[twin_of(number)] for number in range(8)]
        defocus = replace(self.defocus, value=-self.defocus.value)
        return replace(self, orientation=twin_of(self.orientation), orientation_errors=errors, defocus=defocus)

    @property
    def orientation_ratio(self) -> float:
        """Error of the next best orientation, the twin's apart, over that of the one found."""
        best, twin = self.orientation_errors[self.orientation], twin_of(self.orientation)
        others = [
            error for number, error in enumerate(self.orientation_errors) if number not in (self.orientation, twin)
        ]
        return min(others) / max(best, 1e-12)

    @property
    def orientation_told(self) -> bool:
        """Whether no other orientation but the twin's explains the photons about as well."""
        return self.orientation_ratio > TELLS_APART


def measure(network: Blind, dataset: Dataset, seed: int = 0, quick: bool = False) -> Measurement:
    """Measure the geometry of a scan; see the module.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made.
    dataset : Dataset
        Far fields; its frames may be in a file still. Its probe, where it has one, tells the twin apart.
    seed : int
        Fixes the order of the frames.
    quick : bool
        Look at fewer frames, cropped, for a few seconds; errors are those that this made of simulated scans.

    Raises
    ------
    InputError
        For near fields, too few frames, and frames without photons.
    """
    if dataset.propagation != "far":
        raise InputError("the frames are near fields: expected far ones, whose geometry can be measured (--measure)")
    if len(dataset.frames) < FEWEST:
        raise InputError(f"there are {len(dataset.frames)} frames: expected at least {FEWEST} (--measure)")
    numbers = middle_of(dataset.positions, QUICK_FRAMES if quick else FRAMES)
    counts, mask = counts_of(dataset, numbers), torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    mean = counts.mean(dim=0)
    if not mean[mask].any():
        raise InputError("no frame in the middle of the scan has a photon on a good pixel: expected some (--measure)")
    guess = torch.from_numpy(dataset.probe) if dataset.probe_known else None
    rounds = QUICK_ROUNDS if quick else ROUNDS
    start = find_start(
        network, counts, dataset.positions[numbers], mask, mean, Propagator(dataset.size), guess, True, seed, rounds
    )
    found, probe = _measured(network, dataset, start, mean, seed, quick)
    if guess is None:
        return found
    found.given_defocus = focus_of(guess[0]) * dataset.pixel_size**2 / wavelength_of(dataset.energy)
    # Where nothing else tells a scan from its twin, the side of the focus that the file names does.
    return found.twin() if not found.twin_excluded and _opposite(guess[0], probe) else found


def _measured(
    network: Blind, dataset: Dataset, start: Start, mean: Tensor, seed: int, quick: bool
) -> tuple[Measurement, Tensor]:
    """The measurement, and the probe (n, n) complex that was found."""
    orientation = start.candidate.orientation
    positions = turned(dataset.positions, orientation)

    def window(numbers: np.ndarray, edge: int) -> Window:
        return window_of(dataset, numbers, positions * edge / dataset.size, edge)

    edge = _edge(mean, FIRST_SHARE)
    chosen = [middle_of(positions, count) for count in (QUICK_FRAMES, FRAMES)] if quick else neighbourhoods(positions)
    probe = coarse_probe(start.probe, edge)
    first = first_rounds(network, partial(window, edge=edge), chosen, probe, seed, quick, bool(orientation))
    place, probe = first.fit.place, first.fit.probe
    errors = _orientation_errors(network, first.window, orientation, place, probe, seed)
    rounds, began, fits = first.ends, first.began, [first.fit]
    if not quick:
        edge = _edge(mean, LAST_SHARE)
        windows = [window(numbers, edge) for numbers in (chosen if len(chosen) > 1 else 2 * chosen)]
        rounds, began, fits = from_both_sides(network, windows, embedded(probe, edge), place, seed)
    centres = torch.stack([fit.beam_centre() for fit in fits])
    # Frames that are cropped have pixels at the sample that are wider.
    metres = (dataset.pixel_size * dataset.size / edge) ** 2 / wavelength_of(dataset.energy)
    scale, rotation, stretch, shear, defocus, centre = error_bars(
        np.array(rounds)[:, -AVERAGED:], centres.numpy(), began, quick, separate=len(chosen) > 1
    )
    found = Measurement(
        orientation=orientation,
        orientation_errors=errors,
        twin_excluded=start.candidate.given,
        scale=scale,
        rotation=rotation,
        stretch=stretch,
        shear=shear,
        defocus=defocus.times(metres),
        centre=centre,
        given_defocus=None,
        start=start,
        rounds=rounds,
        began=began,
        blurred=first.better < BLURRED,
    )
    return found, fits[-1].probe[0]


def _opposite(given: Tensor, found: Tensor) -> bool:
    """Whether two probes (N, N) and (n, n) complex are on opposite sides of their focus, both clearly."""
    rims = [np.pi * focus_of(probe) * pupil_radius(torch.fft.fft2(probe).abs()) ** 2 for probe in (given, found)]
    return rims[0] * rims[1] < 0 and min(map(abs, rims)) > CLEARLY_CURVED


def _orientation_errors(
    network: Blind, window: Window, found: int, place: Place, probe: Tensor, seed: int
) -> list[float]:
    """Errors of the eight orientations under the probe that was found, in their order."""
    upright = place.positions(window.positions)
    places = [turned(_unturned(upright, found), number) for number in range(8)]
    misfits, _ = window.tried(network, places, probe[None].expand(8, -1, -1, -1), seed)
    return [float(error) for error in misfits.mean(axis=1)]


def _unturned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) before they were `turned`: for quarter turns, by the opposite one."""
    return turned(positions, {5: 6, 6: 5}.get(orientation, orientation))


def _edge(mean: Tensor, share: float) -> int:
    """Edge to which frames with a mean (N, N) are cropped, so that a share of the photons is kept."""
    size = len(mean)
    enough = [edge for edge in EDGES if edge < size and cropped(mean, edge).sum() >= share * mean.sum()]
    return min([size, *enough, *([EDGES[-1]] if size > EDGES[-1] else [])])
