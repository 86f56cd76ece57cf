"""Where a blind reconstruction starts: the file's probe, or one that the photons themselves tell.

The root of the mean frame is the amplitude of the probe's far field, the pupil, blurred by the object. What is missing
is its phase, and of that mostly the defocus. So a few dozen frames in the middle of the scan are reconstructed from
each of a row of defoci, from disks and from the file's probe; the one that explains best those frames that it was not
given is where the whole scan starts. A near field is propagated back instead.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.candidates import GIVEN, Candidate, candidates_from
from ptychoflow.blind.guesses import under_pupil
from ptychoflow.blind.pupils import coarse_probe, cropped, embedded, pupil_of
from ptychoflow.dataset.position_axes import turned
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.modes import coherence_modes

FRAMES = 64
"""In the middle of the scan, on which starts are compared."""
KEPT_APART = 6
"""One frame in so many is not given to the trial but judges it."""
COARSE = (64, 128, 256)
"""Pixels of the far field to which frames are cropped for the trial, the fewest that keep most photons."""
ENOUGH = 0.85
"""Share of the photons that a crop must keep."""
BORDER = 4
"""Pixels round the outermost frames of a trial."""
AS_THEY_ARE, TURNED_ROUND = 0, 3
"""Orientations of positions as they are written, and turned by half a circle: those of a scan and of its twin."""
CLEARLY = 1.5
"""By what factor the twin must be worse in error for the positions to be turned round."""
Rounds = tuple[tuple[int, int], ...]
"""Iterations of a trial, and by what the number of candidates is divided after them; 0 ends it."""
ROUNDS: Rounds = ((4, 2), (4, 4), (6, 0))
QUICK_ROUNDS: Rounds = ((2, 4), (3, 4), (4, 0))
"""Of a look that only has to tell what is far off."""
AS_AT = 0.3
"""Progress in a reconstruction of which a trial's iterations are."""
WITH_MODES = 8
"""Iterations with all modes of the file's probe, where that was chosen by its first one."""


@dataclass
class Start:
    """The start that explained photons best.

    Parameters
    ----------
    candidate : Candidate
        With the probe as it was tried.
    probe : Tensor
        (modes, N, N) complex64, as the trial left it; one of several modes as it was tried.
    errors : dict
        For each candidate by its name, Σ (√I − √n)² / Σ n of the frames that judged it, when its trial ended. That of
        the file's probe, under its best orientation, is after as many iterations as the winner's.
    """

    candidate: Candidate
    probe: Tensor
    errors: dict[str, float] = field(default_factory=dict)

    @classmethod
    def given(cls, probe: Tensor) -> "Start":
        """Take a probe (modes, N, N) as it is, untried."""
        return cls(Candidate(GIVEN, probe, given=True, as_written=True), probe)

    def describe(self) -> str:
        """What was chosen, its error, and those of the file's probe or of the next best."""
        ranked = sorted(self.errors.items(), key=lambda pair: pair[1])
        return ", then ".join(f"{name} (error {error:.3g})" for name, error in ranked[:2])


def middle_of(positions: np.ndarray, count: int) -> np.ndarray:
    """Numbers (frames,) int64, rising, of the positions nearest to the middle of a scan."""
    middle = np.median(positions, axis=0)
    return np.sort(np.argsort(np.abs(positions - middle).max(axis=1), kind="stable")[:count])


@torch.no_grad()
def search(
    network: Blind,
    counts: Tensor,
    positions: np.ndarray,
    mask: Tensor,
    propagator: Propagator,
    candidates: list[Candidate],
    seed: int = 0,
    rounds: Rounds = ROUNDS,
) -> Start:
    """Try probes on a few frames, the promising ones and the file's own longer.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made.
    counts : Tensor
        (frames, N, N) float32, photon counts, zero frequency or middle in the corner.
    positions : ndarray
        (frames, 2) float64, pixels of the patch centres.
    mask : Tensor
        (N, N) bool.
    propagator : Propagator
        Of exit waves.
    candidates : list of Candidate
        Probes to try, of any power.
    seed : int
        Fixes the order of the frames.
    rounds : tuple
        Iterations, and how many candidates go on after them.

    Returns
    -------
    Start
        The candidate with the least error.
    """
    size = counts.shape[-1]
    numbers = torch.arange(len(counts))
    judges = numbers[::KEPT_APART] if len(counts) >= 2 * KEPT_APART else numbers
    fitted = numbers if len(judges) == len(counts) else numbers[numbers % KEPT_APART != 0]
    good = mask.expand_as(counts[0])
    scale = torch.where(good, counts, 0).mean().sqrt()
    power = torch.where(good, counts, 0).sum(dim=(-2, -1)).mean() / scale**2
    places = [turned(positions, one.orientation) for one in candidates]
    low = min(float(p.min()) for p in places) - size / 2 - BORDER
    high = max(float(p.max()) for p in places) + size / 2 + BORDER
    edge = int(np.ceil(high - low)) + 1
    alive = list(range(len(candidates)))
    probes = torch.stack([one.probe[0] for one in candidates])[:, None].to(counts.device)
    probes = with_power(probes, power)
    frames = ScanFrames(
        (counts.sqrt() / scale)[None],
        torch.from_numpy(np.stack(places) - low).float().to(counts.device),
        mask[None, None],
        scale[None],
        propagator,
    )
    state = BlindState.start(probes, (edge, edge))
    generator = torch.Generator().manual_seed(seed)
    errors: dict[str, float] = {}
    for iterations, divisor in rounds:
        part = frames.chosen(torch.tensor(alive))
        for _ in range(iterations):
            state = plain_iteration(network, state, part, subsets(fitted, AS_AT, generator))
        wrong = _errors(state, part, judges)
        errors |= {candidates[number].name: float(error) for number, error in zip(alive, wrong, strict=True)}
        if divisor:
            kept = _promising(wrong, [candidates[number] for number in alive], divisor)
        else:
            kept = _best(wrong, [candidates[number] for number in alive])
        state = state.chosen(kept)
        alive = [alive[number] for number in kept]
    chosen, probe = candidates[alive[0]], state.probes[0]
    if len(chosen.probe) > 1:
        # Were its further modes right, or is the first, which has learned since, better off with any?
        others = torch.from_numpy(coherence_modes(probe.cpu().numpy(), len(chosen.probe)))
        modes = torch.stack([chosen.probe, others]).to(probe.device)
        modes = with_power(modes, power)
        part, state = frames.chosen(torch.tensor(2 * alive[:1])), BlindState.start(modes, (edge, edge))
        for _ in range(WITH_MODES):
            state = plain_iteration(network, state, part, subsets(fitted, AS_AT, generator))
        # What they learn from a few frames at wrong positions may be worse than what the file knows.
        probe = modes[_errors(state, part, judges).argmin()]
    return Start(chosen, probe * scale, errors)


def plain_iteration(
    network: Blind, state: BlindState, frames: ScanFrames, order: list[Tensor], progress: float = AS_AT
) -> BlindState:
    """An iteration of the plain engine without a background; see `Blind.iterate`."""
    return network.iterate(state, frames, order, progress, solve_background=False, learned_rates=False)


def _promising(wrong: Tensor, candidates: list[Candidate], divisor: int) -> Tensor:
    """Numbers (kept,) int64 of the candidates with the least errors, and of the file's probe in its best orientation.

    It is compared with the winner in the end, and more iterations lessen any error: it has as many.
    """
    order = wrong.argsort()
    count = max(2, len(candidates) // divisor)
    written = [number for number in order[count:].tolist() if candidates[number].as_written]
    if written and not any(candidates[number].as_written for number in order[:count].tolist()):
        return torch.cat([order[:count], order.new_tensor(written[:1])])
    return order[:count]


def _best(wrong: Tensor, candidates: list[Candidate]) -> Tensor:
    """Number (1,) int64 of the candidate with the least error; but the file's positions are not turned for nothing.

    Under a probe that is nearly its own twin, a scan turned by half a circle soon explains the photons as well.
    """
    best = wrong.argmin()
    if candidates[best].orientation == TURNED_ROUND:
        for number, one in enumerate(candidates):
            unturned = one.orientation == AS_THEY_ARE and one.given == candidates[best].given
            if unturned and wrong[number] < CLEARLY * wrong[best]:
                return torch.tensor([number], device=wrong.device)
    return best[None]


def _errors(state: BlindState, frames: ScanFrames, judges: Tensor) -> Tensor:
    """Σ (√I − √n)² / Σ n of frames (judges,) int64 for each candidate, (batch,) float."""
    amplitudes, _ = frames.subset(judges)
    modelled = frames.modelled(state.objects, state.probes, state.background, judges).sqrt()
    squares = torch.where(frames.mask, (modelled - amplitudes).square(), 0).sum(dim=(1, 2, 3))
    # In units of the mean count: dark judges leave the candidates' own light as their error.
    return squares / torch.where(frames.mask, amplitudes.square(), 0).sum(dim=(1, 2, 3)).clamp_min(1)


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

    Returns
    -------
    Start
        Its probe is of the frames' size.
    """
    size, small_size = counts.shape[-1], counts.shape[-1]
    corrected = None if guess is None else under_pupil(guess.to(mean.device), mean, mask.to(mean.device), propagator)
    if propagator.transfer is None:
        fitting = (edge for edge in COARSE if edge < size and cropped(mean, edge).sum() >= ENOUGH * mean.sum())
        small_size = next(fitting, size)
    if small_size == size:
        found = candidates_from(pupil_of(mean), guess, propagator, every_orientation, corrected)
        return search(network, counts, positions, mask, propagator, found, seed, rounds)
    coarse = Propagator(small_size).to(counts.device)
    small = [None if one is None else coarse_probe(one, small_size) for one in (guess, corrected)]
    found = candidates_from(pupil_of(cropped(mean, small_size)), small[0], coarse, every_orientation, small[1])
    frames, good = cropped(counts, small_size), cropped(mask, small_size)
    best = search(network, frames, positions * small_size / size, good, coarse, found, seed, rounds)
    if best.candidate.as_written:
        probe = guess
    elif best.candidate.given:
        probe = corrected
    else:
        probe = embedded(best.probe, size)
    probe = probe.to(mean.device)
    return Start(best.candidate, with_power(probe, mean.sum()), best.errors)
