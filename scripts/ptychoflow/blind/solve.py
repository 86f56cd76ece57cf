"""From the frames of a scan to its object, probe and all that was unknown beside them, at any time with an image."""

import time
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.brightness import brightened, left_by_light, light_changes
from ptychoflow.blind.frames import mean_frame, scan_frames, split_of
from ptychoflow.blind.judged import SMOOTHED_FROM, at_home, home_of, judged_correction, judged_smoothing, settled
from ptychoflow.blind.modes import enough_frames, judged_mixture, judged_modes
from ptychoflow.blind.positions import FRAMES_AT_ONCE, moved_positions
from ptychoflow.blind.result import BlindResult, Progress
from ptychoflow.blind.search import Start
from ptychoflow.blind.sparse import MOST_VALUES, judged_least_squares, overlap_little, tell_by_themselves
from ptychoflow.blind.start import start_of_scan
from ptychoflow.blind.verdicts import Verdict
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.errors import InputError
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState, photons_per_pixel
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.losses import expected_deviance, poisson_deviance
from ptychoflow.physics.modes import coherence_modes
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

BORDER = 8
"""Pixels round the dataset's object frame, for what object and probe move by together before they are moved back."""
JUDGES = 64
"""Held-out frames that are looked at after each iteration, at most; all of them are at the end."""
STILL_FALLING = 0.002
"""Relative gain of the held-out deviance in an iteration below which more of them are not worth it."""
PATIENCE = 3
"""Iterations without such a gain after which it ends."""
WORTH_A_ROUND = 0.05
"""Share of their deviance by which a round of iterations must have helped the judges for one more."""
SPARE_MODES, SPARE_UNTIL = 2, 0.3
"""Modes beyond those asked for, where some are to be found, and progress until which. A source that is wide along one
axis has none of the other's modes, and what begins as one of those hardly becomes what is there."""
MIXED_FROM = 0.1
"""Progress from which further modes are given the light that frames tell: before, it stands for what is still wrong."""
POSITIONS_FROM = 0.3
"""Progress from which positions are solved for: before, the object says nothing of them."""
SEARCHED_EACH = 4
"""Iterations from one search for lost frames to the next."""
JOINTLY_FROM, JOINTLY_EACH = 0.3, 5
"""Progress from which object and probe are solved for together, and iterations from one such step to the next."""
FADED = 1 / 64
"""Share of the learned correction below which it is no longer asked for: it takes a sixth of an iteration."""
BRIGHTNESS_FROM, BRIGHTNESS_ASKED = 0.1, 0.5
"""Progress from which the light of each frame is solved for, and from which on, if nobody says whether it is, frames
are asked: before, they differ from the model by far more than their light."""
Best = tuple[float, BlindState, Tensor, Tensor | None]
"""Deviance of the judges, state, positions and brightness."""


class BlindReconstruction:
    """A scan on its way to an image.

    Parameters
    ----------
    network : Blind
        Learned iterations, or untrained ones for the plain engine.
    dataset : Dataset
        Validated dataset.
    settings : BlindReconstructionSettings
        What is solved for, and for how long.
    seed : int
        Fixes which frames are held out, their order, and further probe modes.
    device : torch.device, optional
        Where to reconstruct; the CPU if not given.
    split : tuple of ndarray, optional
        (fitted,) and (judges,) int64, rising: frames that are used for each; drawn by the seed if not given.
    start : Start, optional
        Where it starts, if that is known.
    """

    def __init__(
        self,
        network: Blind,
        dataset: Dataset,
        settings: BlindReconstructionSettings,
        seed: int = 0,
        device: torch.device | None = None,
        split: tuple[np.ndarray, np.ndarray] | None = None,
        start: Start | None = None,
    ) -> None:
        self.began = time.perf_counter()
        self.device = device or torch.device("cpu")
        self.network, self.settings, self.seed = network.to(self.device), settings, seed
        self.used, self.held_out = split or split_of(dataset, settings, seed)
        self.mean = mean_frame(dataset, self.used)
        # Mean photons of a frame, by which the object has a mean amplitude of about 1 from the beginning.
        photons = self.mean[torch.fft.ifftshift(torch.from_numpy(dataset.mask))].sum()
        if not photons > 0:
            raise InputError(
                f"none of the {len(self.used)} frames to be fitted has a photon on a good pixel, of "
                f"{len(dataset.frames)} with {len(self.held_out)} held out: expected some "
                f"(held_out is {settings.held_out})"
            )
        self.start = start or start_of_scan(self.network, dataset, self.used, self.mean, settings, seed, self.device)
        # With its positions as the start found them to run.
        self.dataset = turned_dataset(dataset, self.start.candidate.orientation)
        self.border = BORDER + (int(np.ceil(settings.position_bound)) if settings.solve_positions else 0)
        self.frames = scan_frames(self.dataset, self.border, self.mean, self.device)
        shape = tuple(length + 2 * self.border for length in self.dataset.object_shape)
        given = self.start.probe.cpu().numpy()
        self.modes = settings.probe_modes or len(given)
        spare = SPARE_MODES if self.modes > len(given) else 0
        probe = torch.from_numpy(coherence_modes(given, self.modes + spare))
        probe = with_power(probe, photons).to(self.device) / self.frames.scale
        self.state = BlindState.start(probe[None], shape)
        known = torch.from_numpy(dataset.probe).to(self.device) if dataset.probe_known else None
        self.home = home_of(known, photons.to(self.device), self.frames.propagator)
        self.state = at_home(self.state, self.home)
        self.given = self.frames.positions.clone()
        self.generator = torch.Generator().manual_seed(seed)
        self.fitted = torch.from_numpy(self.used)
        judges = self.held_out if len(self.held_out) else self.used
        self.judges = torch.from_numpy(judges[:: -(-len(judges) // JUDGES)])
        self.deciding = self.judges
        self.gain, self.smoothing, self.history = 1.0, 1.0, []
        self.corrections, self.brightens = 0, bool(settings.solve_brightness)

    @torch.no_grad()
    def run(self, shown: Callable[[Progress], None] | None = None) -> BlindResult:
        """Iterate as planned, on while the held-out frames are explained better, and anew while much of them is not.

        Anew as well where frames turn out to have a light of their own only then.
        """
        best, before = self._round(shown), np.inf
        while len(self.history) + self.settings.iterations <= self.settings.most_iterations and (
            self._finds_light() or (best[0] < before * (1 - WORTH_A_ROUND) and self.verdict(self.state).unfinished)
        ):
            before = best[0]
            best = min(best, self._round(shown), key=lambda one: one[0])
            # At few photons, later iterations may begin to fit the noise.
            _, self.state, self.frames.positions, self.frames.brightness = best
        self.state = self.state.strongest(self.modes)
        return self.result()

    def _round(self, shown: Callable[[Progress], None] | None) -> Best:
        """Iterate from many subsets to few, and give the best state on the way, which is the reconstruction's then."""
        best, waited, planned, number, done = None, 0, self.settings.iterations, 0, len(self.history)
        while number < planned or (waited < PATIENCE and done + number < self.settings.most_iterations):
            decided = self.deciding
            deviance = self.iterate(min(1.0, number / planned))
            number += 1
            if number == int(BRIGHTNESS_ASKED * planned):
                self._finds_light()
            left_out = deviance if self.deciding is self.judges else self.deviance(self.state, self.judges)
            seconds = time.perf_counter() - self.began
            self.history.append(Progress(done + number, done + max(planned, number), left_out, seconds, self.gain))
            if shown is not None:
                shown(self.history[-1])
            if best is None or self.deciding is not decided or len(best[1].probes[0]) > len(self.state.probes[0]):
                best, waited = None, 0  # more modes than asked for explain more
            elif deviance < best[0] * (1 - STILL_FALLING):
                waited = 0
            else:
                waited += 1
            # Frames that decide on steps to themselves do not tell from which on these follow noise: the last is taken.
            if best is None or deviance <= best[0] or self.deciding is not self.judges:
                best = (deviance, self.state, self.frames.positions, self.frames.brightness)
        _, self.state, self.frames.positions, self.frames.brightness = best
        return best if self.deciding is self.judges else (self.history[-1].deviance, *best[1:])

    def iterate(self, progress: float) -> float:
        """Make an iteration, with as much of the learned correction as helps the frames that are left out.

        Returns the deviance of the frames that decide, mostly those.
        """
        settings = self.settings
        order = subsets(self.fitted, progress, self.generator, photons_per_pixel(self.state, self.frames))
        state = self.network.iterate(
            self.state,
            self.frames,
            order,
            progress,
            settings.solve_background,
            learned_rates=settings.learned and settings.learned_rates,
        )
        told = None
        little = progress >= JOINTLY_FROM and overlap_little(state, self.frames)
        self.deciding = self.fitted_judges if little and tell_by_themselves(state, self.frames) else self.judges
        if progress >= SPARE_UNTIL:
            state = state.strongest(self.modes)
        if state.probes.shape[1] > 1 and progress >= MIXED_FROM:
            few = self.fitted[torch.randperm(len(self.fitted), generator=self.generator)]
            few = few[: enough_frames(len(few), self.dataset.size)]
            state, told = judged_mixture(state, self.frames, few, self.deviance)
            if progress >= SPARE_UNTIL:
                state, told = judged_modes(state, self.frames, few, self.deviance, told)
        due = little and (len(self.history) + 1) % JOINTLY_EACH == 0
        if due and len(self.fitted) * state.probes[0].numel() <= MOST_VALUES:
            state, told = judged_least_squares(state, self.frames, self.fitted, self.deviance, told)
        judged = self.deciding is self.judges
        if settings.learned and self.gain >= FADED and judged:
            args = self.network, state, self.frames, progress, self.gain, self.verdict
            corrected, self.gain, told = judged_correction(*args)
            self.corrections += corrected is not state
            state = corrected
        if settings.smoothing and progress >= SMOOTHED_FROM:
            # Any smoothing explains fitted frames worse: it may while they are explained no worse than those left out.
            most = told if judged else self.deviance(state, self.judges)
            args = state, self.frames, self.smoothing, self.deviance
            smooth, self.smoothing, after = judged_smoothing(*args, most=most)
            told = after if judged or smooth is not state else told
            state = smooth
        self.state = at_home(state, self.home)
        if self.state is not state:
            told = None
        if settings.solve_positions and progress >= POSITIONS_FROM:
            self.frames.positions = moved_positions(
                self.state,
                self.frames,
                self.given,
                (self.fitted, torch.from_numpy(self.held_out)),
                settings.position_bound,
                searched=len(self.history) % SEARCHED_EACH == 0,
            )
            told = None
        if self.brightens and progress >= BRIGHTNESS_FROM:
            self.state, self.frames.brightness = brightened(self.state, self.frames, self.fitted)
            told = None
        return self.deviance(self.state) if told is None else told

    def _finds_light(self) -> bool:
        """Find out whether the light of each frame is to be solved for from now on, if nobody has said so."""
        if self.brightens or self.settings.solve_brightness is not None:
            return False
        looked_at = self.judges, self.fitted_judges
        judging, fitted = (
            left_by_light([self._photons(self.state, some)], self.frames.mask[0, 0]) for some in looked_at
        )
        self.brightens = light_changes(judging, fitted)
        return self.brightens

    @property
    def smoothed(self) -> float:
        """How strongly the object was smoothed in the end, in units of what a pixel may be wrong by."""
        return self.smoothing if self.settings.smoothing else 0.0

    @cached_property
    def fitted_judges(self) -> Tensor:
        """Frames (at most `JUDGES`,) int64 of those that are fitted: where frames hardly overlap, they decide.

        Those that are left out see there what no other has lit, and an image that is better where there is light is
        often worse for them. They may decide where photons are so few that steps begin to fit noise.
        """
        return self.fitted[:: -(-len(self.fitted) // JUDGES)]

    def deviance(self, state: BlindState, frames: Tensor | None = None) -> float:
        """Poisson deviance per good pixel of frames (chosen,) int64, by default those that decide."""
        return self._mean(state, self.deciding if frames is None else frames, poisson_deviance)

    def verdict(self, state: BlindState, frames: Tensor | None = None) -> Verdict:
        """What frames (chosen,) int64, by default those that judge, say of a state."""
        told = self._photons(state, self.judges if frames is None else frames)
        return Verdict(*told, self.frames.mask[0, 0], self.mean.to(self.device))

    def _mean(self, state: BlindState, frames: Tensor, measure: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
        """Mean over frames (chosen,) int64 of what modelled and measured photons and the mask tell."""
        parts = [
            measure(*self._photons(state, some), self.frames.mask[0]) * len(some)
            for some in frames.split(FRAMES_AT_ONCE)
        ]
        return float(sum(parts) / len(frames))

    def _photons(self, state: BlindState, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Modelled and measured photons of frames, both (chosen, N, N)."""
        return self.frames.photons(state.objects, state.probes, state.background, frames)

    def result(self) -> BlindResult:
        """The image as it is now, in the dataset's own frame."""
        judges = torch.from_numpy(self.held_out) if len(self.held_out) else self.judges
        state = settled(self.state, self.home, partial(self.deviance, frames=judges))
        probe, canvas = state.probes[0] * self.frames.scale, state.objects[0]
        edge, solved = self.border, self.frames.positions[0]  # in single precision
        inner = canvas[edge:-edge, edge:-edge]
        return BlindResult(
            object=inner.contiguous().cpu(),
            probe=probe.cpu(),
            background=float(state.background[0] * self.frames.scale[0] ** 2),
            positions=solved.double().cpu().numpy() - edge if self.settings.solve_positions else self.dataset.positions,
            brightness=None if self.frames.brightness is None else self.frames.brightness[0].cpu().numpy(),
            used=self.used,
            held_out=self.held_out,
            deviance=self.deviance(state, judges),
            expected_deviance=self._mean(state, judges, lambda intensity, _, mask: expected_deviance(intensity, mask)),
            start=self.start,
            history=self.history,
            object_shape=tuple(self.dataset.object_shape),
        )
