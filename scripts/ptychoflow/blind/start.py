"""Where a blind reconstruction starts: the file's probe, or one that the photons themselves tell.

The root of the mean frame is the amplitude of the probe's far field, the pupil, blurred by the object. What is missing
is its phase, and of that mostly the defocus. So a few dozen frames in the middle of the scan are reconstructed from
each of a row of defoci, from disks and from the file's probe; the one that explains best those frames that it was not
given is where the whole scan starts. A near field is propagated back instead.
"""

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.candidates import candidates_from, saddle_like
from ptychoflow.blind.guesses import under_pupil
from ptychoflow.blind.pupils import coarse_probe, cropped, embedded, pupil_of
from ptychoflow.blind.search import ROUNDS, Rounds, Start, search
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import with_power
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

log = logging.getLogger(__name__)

FRAMES = 64
"""In the middle of the scan, on which starts are compared."""
COARSE = (64, 128, 256)
"""Pixels of the far field to which frames are cropped for the trial, the fewest that keep most photons."""
ENOUGH = 0.85
"""Share of the photons that a crop must keep."""
QUICK_ROUNDS: Rounds = ((2, 4), (3, 4), (4, 0))
"""Of a look that only has to tell what is far off."""
THOROUGH: Rounds = ((10, 3), (15, 3), (35, 0))
"""Of a start that is looked for again, with all modes: light of several that is taken for one hides the right defocus,
and a probe of which no guess is near takes dozens of iterations to be found."""
BETWEEN_TWO: Rounds = ((25, 0),)
"""Of two starts, one of which may have to find out by itself how far its two foci are apart."""
FARTHER = 0.6
"""Radius of the widest beam that is tried when a start is looked for again, as a share of the frame."""


def start_of_scan(
    network: Blind,
    dataset: Dataset,
    used: np.ndarray,
    mean: Tensor,
    settings: BlindReconstructionSettings,
    seed: int,
    device: torch.device,
) -> Start:
    """Find where the reconstruction of a scan starts, as its settings ask for it.

    Parameters
    ----------
    network : Blind
        Learned iterations, or untrained ones for the plain engine.
    dataset : Dataset
        Validated dataset.
    used : ndarray
        (used,) int64, rising: frames that may be looked at.
    mean : Tensor
        (N, N) float32, their mean counts, zero frequency or middle in the corner.
    settings : BlindReconstructionSettings
        What is known of the probe and of the positions.
    seed : int
        Fixes which frames judge, their order, and further probe modes.
    device : torch.device
        Where to look.

    Raises
    ------
    InputError
        Where the frames in the middle of the scan have no photon.
    """
    guess = torch.from_numpy(dataset.probe) if settings.start != "photons" and dataset.probe_known else None
    if settings.start == "dataset" and guess is not None and not settings.orientation:
        return Start.given(guess)
    near = used[middle_of(dataset.positions[used], FRAMES)]
    counts = torch.fft.ifftshift(torch.from_numpy(dataset.frames[near]), dim=(-2, -1))
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    if not (counts * mask).any():
        raise InputError(
            f"none of the {len(near)} frames in the middle of the scan has a photon on a good pixel: expected some "
            "to find a start with (start: dataset takes the file's probe untried)"
        )
    found = find_start(
        network,
        counts.to(device),
        dataset.positions[near],
        mask.to(device),
        mean.to(device),
        Propagator(dataset.size, dataset.fresnel_number).to(device),
        None if guess is None else guess.to(device),
        settings.orientation,
        seed,
        # Where positions are said to be wrong, they are why a start explains little.
        modes=None if settings.solve_positions else settings.probe_modes or 1,
    )
    log.info("start: %s", found.describe())
    return found


def middle_of(positions: np.ndarray, count: int) -> np.ndarray:
    """Numbers (frames,) int64, rising, of the positions nearest to the middle of a scan."""
    middle = np.median(positions, axis=0)
    return np.sort(np.argsort(np.abs(positions - middle).max(axis=1), kind="stable")[:count])


def find_start(
    network: Blind,
    counts: Tensor,
    positions: np.ndarray,
    mask: Tensor,
    mean: Tensor,
    propagator: Propagator,
    guess: Tensor | None,
    every_orientation: bool = False,
    seed: int = 0,
    rounds: Rounds = ROUNDS,
    modes: int | None = None,
) -> Start:
    """Compare the file's probe with those that the photons tell.

    Parameters
    ----------
    network, counts, positions, mask, propagator, seed, rounds
        As `search` takes them; frames in the middle of the scan.
    mean : Tensor
        (N, N) float, mean counts of the whole scan, zero frequency or middle in the corner.
    guess : Tensor, optional
        (modes, N, N) complex64, the file's probe.
    every_orientation : bool
        Try the eight orientations of the positions with each probe.
    modes : int, optional
        Modes of each probe when a start that explains too little is looked for once more, at more length; it is not
        where none are given.

    Returns
    -------
    Start
        Its probe is of the frames' size.
    """
    size, small_size = counts.shape[-1], counts.shape[-1]
    corrected = None if guess is None else under_pupil(guess.to(mean.device), mean, mask.to(mean.device), propagator)
    known = guess, corrected
    if propagator.transfer is None:
        fitting = (edge for edge in COARSE if edge < size and cropped(mean, edge).sum() >= ENOUGH * mean.sum())
        small_size = next(fitting, size)
    if small_size < size:
        propagator = Propagator(small_size).to(counts.device)
        known = [None if one is None else coarse_probe(one, small_size) for one in known]
        counts, mask = cropped(counts, small_size), cropped(mask, small_size)
    pupil = pupil_of(mean if small_size == size else cropped(mean, small_size))
    args = network, counts, positions * small_size / size, mask, propagator
    best = search(*args, candidates_from(pupil, known[0], propagator, every_orientation, known[1]), seed, rounds)
    saddle = saddle_like(best.candidate, pupil)
    if saddle is not None:
        other = search(*args, [best.candidate, saddle], seed, BETWEEN_TWO)
        best = replace(other, errors=best.errors | other.errors) if other.candidate is saddle else best
    if modes is not None and best.doubtful:
        wider = candidates_from(pupil, known[0], propagator, False, known[1], FARTHER)
        # Under the orientation that was found: all of them would take minutes.
        axes = best.candidate.orientation
        wider = [replace(one, name=f"{one.name}, at length", orientation=axes) for one in wider]
        best = best.or_better(search(*args, wider, seed, THOROUGH, modes))
    if small_size == size:
        return best
    if best.candidate.as_written:
        probe = guess
    elif best.candidate.given:
        probe = corrected
    else:
        probe = embedded(best.probe, size)
    probe = probe.to(mean.device)
    return replace(best, probe=with_power(probe, mean.sum()))
