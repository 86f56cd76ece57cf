"""States on the way of reconstructions, from which corrections are learned, and what the rates led to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ptychoflow.models.blind import CHANNELS, Blind, correction_input, subsets
from ptychoflow.models.blind_state import BlindState, photons_per_pixel
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import modelled_frames
from ptychoflow.pretraining.likeness import relative_error, truth_as_seen
from ptychoflow.pretraining.scans import TrainingScan
from ptychoflow.settings.blind import PretrainingSettings

LOST = 0.8
"""Relative error of an object beyond which there is nothing that a correction could mend."""
LEAST_OBJECT_ERROR, LEAST_PHOTON_ERROR = 1e-4, 1e-6
"""Errors below which an improvement counts no more."""


@dataclass
class States:
    """What corrections are told in states of reconstructions, and what they should make of it.

    Parameters
    ----------
    seen : Tensor
        (states, CHANNELS, H, W) float32, the turned objects first.
    level : Tensor
        (states, H, W) float32.
    truth : Tensor
        (states, H, W) complex64, turned as well, at the place and scale of the objects.
    weight : Tensor
        (states, H, W) float32.
    """

    seen: Tensor
    level: Tensor
    truth: Tensor
    weight: Tensor

    @classmethod
    def joined(cls, parts: list["States"]) -> "States":
        """All states of several collections."""
        return cls(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("seen", "level", "truth", "weight"))
        )


@dataclass
class Ending:
    """How reconstructions of a batch of scans ended.

    Parameters
    ----------
    object_error : Tensor
        (batch,) float, relative squared error of the objects up to what object and probe may trade.
    photon_error : Tensor
        (batch,) float, Σ (√I − √Ī)² / Σ Ī of the frames that were left out, Ī without noise.
    """

    object_error: Tensor
    photon_error: Tensor

    @property
    def loss(self) -> Tensor:
        """(batch,) float, half the logarithms of both."""
        return (
            0.5 * (self.object_error + LEAST_OBJECT_ERROR).log() + 0.5 * (self.photon_error + LEAST_PHOTON_ERROR).log()
        )


@torch.no_grad()
def reconstruct(
    network: Blind,
    batch: TrainingScan,
    settings: PretrainingSettings,
    generator: torch.Generator,
    learned: bool = True,
    rates_offset: Tensor | None = None,
    iterations: int | None = None,
    kept: int = 0,
) -> tuple[Ending, States | None]:
    """Reconstruct scans, and keep states on the way.

    Parameters
    ----------
    network : Blind
        As it is.
    batch : TrainingScan
        Scans.
    settings : PretrainingSettings
        Numbers of iterations, modes and frames that judge.
    generator : torch.Generator
        Draws them, and the order of the frames; on the CPU.
    learned : bool
        Whether corrections are made.
    rates_offset : Tensor, optional
        (batch, 6, 5) of the rates.
    iterations : int, optional
        How many; drawn if not given.
    kept : int
        States of each scan to keep.
    """
    fewest, most = settings.iterations
    drawn = int(torch.randint(fewest, most + 1, (), generator=generator))
    modes = int(torch.randint(1, settings.probe_modes + 1, (), generator=generator))
    iterations = iterations or drawn
    device = batch.scale.device
    frames = ScanFrames(
        batch.amplitudes, batch.positions, batch.mask, batch.scale, Propagator(batch.amplitudes.shape[-1]).to(device)
    )
    order = torch.randperm(batch.amplitudes.shape[1], generator=generator).to(device)
    judges, fitted = order[: settings.judges], order[settings.judges :]
    # The end is always among the states: it is what is seen.
    chosen = {iterations - 1, *torch.randperm(iterations, generator=generator)[: max(0, kept - 1)].tolist()}
    state = BlindState.start(batch.probe[:, :modes], tuple(batch.truth.shape[-2:]))
    states = []
    for number in range(iterations):
        progress = number / iterations
        passes = subsets(fitted, progress, generator, photons_per_pixel(state, frames))
        state = network.iterate(state, frames, passes, progress, rates_offset=rates_offset)
        if kept and number in chosen:
            states.append(_states(state, frames, batch, progress))
        if learned:
            state = network.corrected(state, network.learned_change(state, frames, progress))
    weight = _weight(state)
    seen = truth_as_seen(state.objects, batch.truth, weight, state.probes, batch.true_probe)
    photons = _photon_error(state, frames, batch, judges)
    return Ending(relative_error(state.objects, seen, weight), photons), States.joined(states) if states else None


def _states(state: BlindState, frames: ScanFrames, batch: TrainingScan, progress: float) -> States:
    """Those scans of a batch that are not lost."""
    weight = _weight(state)
    truth = truth_as_seen(state.objects, batch.truth, weight, state.probes, batch.true_probe)
    seen, turn, level = correction_input(state, frames, progress)
    found = relative_error(state.objects, truth, weight) < LOST
    return States(seen[found], level[found], (truth * turn)[found], weight[found])


def _weight(state: BlindState) -> Tensor:
    """(batch, H, W) float: where light fell, alike from a tenth of the largest on."""
    return (state.light / state.light.amax(dim=(-2, -1), keepdim=True)).clamp_max(0.1) / 0.1


def _photon_error(state: BlindState, frames: ScanFrames, batch: TrainingScan, judges: Tensor) -> Tensor:
    propagator = frames.propagator
    modelled = modelled_frames(state.objects, state.probes, batch.positions[:, judges], propagator, state.background)
    # Without the noise that the measured ones have, and so with less of it in what is learned.
    places = batch.true_positions[:, judges]
    true = modelled_frames(batch.truth, batch.true_probe, places, propagator, batch.background)
    squares = torch.where(batch.mask, (modelled.sqrt() - true.sqrt()).square(), 0)
    return squares.sum(dim=(1, 2, 3)) / torch.where(batch.mask, true, 0).sum(dim=(1, 2, 3))


class StateCrops(torch.utils.data.Dataset):
    """Parts of states, turned, mirrored and conjugated at random: none of that is special.

    Each index has one part: so an epoch is the same whenever it is drawn.

    Parameters
    ----------
    states : States
        On the device of the training.
    crop : int
        Edge in pixels.
    passes : int
        Parts of each state.
    seed : int
        Fixes what is drawn.
    """

    def __init__(self, states: States, crop: int, passes: int, seed: int) -> None:
        self.states, self.crop, self.passes, self.seed = states, crop, passes, seed

    def __len__(self) -> int:
        return self.passes * len(self.states.level)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        states, number = self.states, index % len(self.states.level)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % 2**62)
        draws = torch.rand(6, generator=generator)
        # Where light fell, not at the dark border of the canvas.
        lit = states.weight[number] > 0.5
        rows, columns = lit.any(dim=1).nonzero()[:, 0], lit.any(dim=0).nonzero()[:, 0]
        top, left = (
            _corner(line, share, self.crop, lit.shape[0]) for line, share in ((rows, draws[0]), (columns, draws[1]))
        )
        box = (..., slice(top, top + self.crop), slice(left, left + self.crop))
        seen, truth = states.seen[number][box], states.truth[number][box]
        level, weight = states.level[number][box], states.weight[number][box]
        if draws[2] < 0.5:
            seen, truth = seen * seen.new_tensor([1, -1, 1, -1] + [1] * (CHANNELS - 4))[:, None, None], truth.conj()
        turns, mirrored = int(4 * draws[3]), draws[4] < 0.5
        fields = []
        for one in (seen, level, truth, weight):
            one = torch.rot90(one, turns, dims=(-2, -1))
            fields.append((one.flip(-1) if mirrored else one).resolve_conj().contiguous())
        return tuple(fields)


def _corner(lit: Tensor, share: Tensor, crop: int, edge: int) -> int:
    """First row or column of a part that lies over lit ones (lit,) int64 as far as it can."""
    low, high = (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, edge)
    room = high - low - crop
    start = low + int(share * (room + 1)) if room > 0 else (low + high - crop) // 2
    return max(0, min(start, edge - crop))
