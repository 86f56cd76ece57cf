"""Probes that are tried on a few frames side by side, and the one that explains best those that it was not given."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.candidates import GIVEN, Candidate
from ptychoflow.blind.sparse import lie_apart
from ptychoflow.blind.verdicts import Verdict
from ptychoflow.dataset.position_axes import turned
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.modes import coherence_modes

KEPT_APART = 6
"""One frame in so many is not given to the trial but judges it."""
BORDER = 4
"""Pixels round the outermost frames of a trial."""
AS_THEY_ARE, TURNED_ROUND = 0, 3
"""Orientations of positions as they are written, and turned by half a circle: those of a scan and of its twin."""
TWIN = 1.5
"""By what factor the twin must be worse in error for the positions to be turned round."""
Rounds = tuple[tuple[int, int], ...]
"""Iterations of a trial, and by what the number of candidates is divided after them; 0 ends it."""
ROUNDS: Rounds = ((2, 2), (3, 1), (4, 2), (5, 0))
FAR_BEHIND = 2.0
"""By what factor a candidate may be worse in error than the best one and still go on: less drops some that overtake."""
AS_AT = 0.3
"""Progress in a reconstruction of which a trial's iterations are, at its beginning at least."""
WITH_MODES = 8
"""Iterations with all modes of the file's probe, where that was chosen by its first one."""
DOUBTFUL = 0.3
"""Share of what frames differ by below which a start explains too little, and is looked for again at more length."""


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
    verdict : Verdict, optional
        What those frames say of it in the end; None where nothing was tried.
    """

    candidate: Candidate
    probe: Tensor
    errors: dict[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def doubtful(self) -> bool:
        """Whether frames differ by more than noise, and by more than it explains."""
        share = None if self.verdict is None else self.verdict.share
        return share is not None and share < DOUBTFUL

    def or_better(self, other: "Start") -> "Start":
        """Whichever explains the same frames better, with the errors of both."""
        found, others = (one.errors[one.candidate.name] for one in (self, other))
        return replace(other if others < found else self, errors=self.errors | other.errors)

    @classmethod
    def given(cls, probe: Tensor) -> "Start":
        """Take a probe (modes, N, N) as it is, untried."""
        return cls(Candidate(GIVEN, probe, given=True, as_written=True), probe)

    def describe(self) -> str:
        """What was chosen, its error, and those of the file's probe or of the next best."""
        ranked = sorted(self.errors.items(), key=lambda pair: pair[1])
        return ", then ".join(f"{name} (error {error:.3g})" for name, error in ranked[:2])


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
    modes: int = 1,
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
    modes : int
        Of each probe while it is tried.

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
    low, edge = common_field(places, size, BORDER)
    alive = list(range(len(candidates)))
    probes = torch.stack([_of_modes(one.probe, modes) for one in candidates]).to(counts.device)
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

    def iterated(state: BlindState, part: ScanFrames, iterations: int) -> BlindState:
        for _ in range(iterations):
            state = plain_iteration(network, state, part, subsets(fitted, AS_AT, generator))
        return state

    for iterations, divisor in rounds:
        part = frames.chosen(torch.tensor(alive))
        state = iterated(state, part, iterations)
        wrong = _errors(state, part, judges)
        errors |= {candidates[number].name: float(error) for number, error in zip(alive, wrong, strict=True)}
        if divisor:
            kept = _promising(wrong, [candidates[number] for number in alive], divisor)
        else:
            best = _best(wrong, [candidates[number] for number in alive])
            judged = partial(_verdict, state, part, counts, fitted, judges)
            kept = _unless_written(best, [candidates[number] for number in alive], judged, part)
        state = state.chosen(kept)
        alive = [alive[number] for number in kept]
    chosen, probe = candidates[alive[0]], state.probes[0]
    verdict = _verdict(state, frames.chosen(torch.tensor(alive)), counts, fitted, judges, 0)
    if len(chosen.probe) > 1 and modes == 1:
        # Were its further modes right, or is the first, which has learned since, better off with any?
        both = torch.stack([chosen.probe.to(probe.device), _of_modes(probe, len(chosen.probe))])
        both = with_power(both, power)
        part = frames.chosen(torch.tensor(2 * alive[:1]))
        state = iterated(BlindState.start(both, (edge, edge)), part, WITH_MODES)
        # What they learn from a few frames at wrong positions may be worse than what the file knows.
        probe = both[_errors(state, part, judges).argmin()]
    return Start(chosen, probe * scale, errors, verdict)


def _of_modes(probe: Tensor, modes: int) -> Tensor:
    """As many modes (modes, N, N) complex64 of a probe, or made from its first one."""
    return torch.from_numpy(coherence_modes(probe.cpu().numpy(), modes)).to(probe.device)


def common_field(places: list[np.ndarray], size: int, border: int) -> tuple[float, int]:
    """Square in which frames `size` pixels wide lie at any of some positions (frames, 2): its least coordinate, edge.

    Pixels of a border lie round the outermost frames.
    """
    low = min(float(place.min()) for place in places) - size / 2 - border
    high = max(float(place.max()) for place in places) + size / 2 + border
    return low, int(np.ceil(high - low)) + 1


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
    near = int((wrong <= FAR_BEHIND * wrong.min()).sum())
    count = max(2, min(near, len(candidates) // divisor))
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
            if unturned and wrong[number] < TWIN * wrong[best]:
                return torch.tensor([number], device=wrong.device)
    return best[None]


def _unless_written(
    best: Tensor, candidates: list[Candidate], verdict: Callable[[int], Verdict], frames: ScanFrames
) -> Tensor:
    """Number (1,) int64 of the best candidate, or of the file's probe where the photons hardly tell a better one.

    Where photons are few, one of many candidates explains their noise best. And where frames hardly overlap, those that
    judge see what no other has lit: right and wrong probes explain them worse than the mean frame does, and the least
    bad is one whose frames are most like that. What the file knows is better than either.
    """
    written = [number for number, one in enumerate(candidates) if one.as_written]
    if candidates[best].as_written or not written:
        return best
    found, number = verdict(int(best)), written[:1]
    # By the file's probe as it is: in a trial at wrong positions a probe breaks up into speckle.
    apart = lie_apart(candidates[number[0]].probe.to(best.device), frames.chosen(best.new_tensor(number)))
    told = found.clearly_better_than(verdict(number[0])) and not (found.knows_nothing and apart)
    return best if told else best.new_tensor(number)


def _verdict(
    state: BlindState, frames: ScanFrames, counts: Tensor, fitted: Tensor, judges: Tensor, number: int
) -> Verdict:
    """What frames (judges,) int64 say of a candidate, beside the mean of those (fitted,) that were given to it."""
    one, part = torch.tensor([number]), state.chosen(torch.tensor([number]))
    modelled = frames.chosen(one).modelled(part.objects, part.probes, part.background, judges)[0]
    return Verdict(modelled * frames.scale[0] ** 2, counts[judges], frames.mask[0, 0], counts[fitted].mean(dim=0))


def _errors(state: BlindState, frames: ScanFrames, judges: Tensor) -> Tensor:
    """Σ (√I − √n)² / Σ n of frames (judges,) int64 for each candidate, (batch,) float."""
    amplitudes, _ = frames.subset(judges)
    modelled = frames.modelled(state.objects, state.probes, state.background, judges).sqrt()
    squares = torch.where(frames.mask, (modelled - amplitudes).square(), 0).sum(dim=(1, 2, 3))
    # In units of the mean count: dark judges leave the candidates' own light as their error.
    return squares / torch.where(frames.mask, amplitudes.square(), 0).sum(dim=(1, 2, 3)).clamp_min(1)
