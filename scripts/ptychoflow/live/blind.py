"""The image of a scan while it is being measured, and its probe, of which little or nothing need be known.

The first frames tell where to start, as they do for a whole scan. Then new frames are iterated on together with those
of their neighbours that came before, for which they say something new, and with a random share of all earlier ones, so
that the probe stays one that explains the whole scan. The work for a frame does not grow with the scan.
"""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.candidates import GIVEN
from ptychoflow.blind.frames import amplitudes_of
from ptychoflow.blind.judged import at_home, home_of, judged_correction, judged_smoothing, object_at_home, probe_at_home
from ptychoflow.blind.search import Start
from ptychoflow.blind.start import FRAMES, find_start, middle_of
from ptychoflow.live import windows
from ptychoflow.live.incoming import IncomingFrames
from ptychoflow.live.network import GrowingFrame, Seen
from ptychoflow.live.windows import LIT, LiveFrames, LiveImage, Window, light_of, window_of
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState, photons_per_pixel
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import with_power
from ptychoflow.physics.modes import coherence_modes
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

log = logging.getLogger(__name__)

BORDER = 8
"""Pixels round the object frame, for what object and probe move by together before they are moved back."""
ENOUGH = 32
"""Frames that a start is looked for on."""
AGAIN = (128, 512)
"""Frames at which it is looked for once more, if need be: the first ones may lie on one line and tell little."""
SUSPECT = 1.5
"""Misfit, in units of what noise alone makes, from which there is need."""
FRAMES_AGAIN = 36
"""On which it is looked for then: a square of them in the middle of the scan tells more than a line."""
BETTER = 0.8
"""Of the error of the probe so far: another one with less takes its place."""
SETTLING = 12
"""Passes over the frames from a start on."""
PASSES = 3
"""Over each portion of new frames."""
WAITING = 10
"""Passes over frames drawn from all, at most, while no new ones come."""
MOST_IN_PASS = 384
"""Frames of a pass right after a start."""
SETTLED = 0.8
"""Progress that passes end with: steps stay large enough for what is new."""


class BlindLiveReconstruction:
    """Object and probe of a scan whose frames come in little by little.

    Parameters
    ----------
    network : Blind
        Learned iterations, or untrained ones for the plain engine.
    settings : BlindReconstructionSettings
        What is solved for; its numbers of iterations are those of whole scans and are not used.
    mask : Tensor
        (N, N) bool, True for good pixels, zero frequency in the centre.
    guess : Tensor, optional
        (modes, N, N) complex64, the probe that the scan's file names.
    shape : tuple of int, optional
        (H, W) of the object frame; without it, and where positions lie outside, the frame grows.
    seed : int
        Fixes which frames are held out, the order of frames, and further probe modes.
    device : torch.device, optional
        The CPU if not given.
    """

    most_frames = 256

    def __init__(
        self,
        network: Blind,
        settings: BlindReconstructionSettings,
        mask: Tensor,
        guess: Tensor | None = None,
        shape: tuple[int, int] | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.network, self.settings, self.seed = network.to(self.device), settings, seed
        self.size = mask.shape[-1]
        self.mask = torch.fft.ifftshift(mask).to(self.device)
        self.guess = None if guess is None or settings.start == "photons" else guess.to(self.device)
        self.propagator = Propagator(self.size).to(self.device)
        self.frame = GrowingFrame(self.size, shape)
        self.incoming = IncomingFrames(self.mask, settings.held_out, seed)
        self.state: BlindState | None = None
        self.start: Start | None = None
        self.scale, self.home = torch.ones(()), home_of(None, torch.ones(()), self.propagator)
        self.passes, self.tried, self.waited = 0, 0, 0
        self.gain, self.smoothing = 1.0, 1.0

    @property
    def seen(self) -> Seen:
        """All frames that have come in."""
        return self.incoming.seen

    @property
    def held_out(self) -> np.ndarray:
        """(frames,) bool, which of them only judge."""
        return self.incoming.held_out

    @property
    def origin(self) -> Tensor:
        """(2,) float64, where the origin of the positions lies in the object frame."""
        return self.frame.origin

    @property
    def begun(self) -> bool:
        """Whether there is an image."""
        return self.state is not None

    @torch.no_grad()
    def add(self, frames: np.ndarray, positions: np.ndarray) -> None:
        """Take new frames in, and iterate; parameters as in `ptychoflow.live.network.LiveReconstruction.add`."""
        places = torch.from_numpy(positions)
        padding = self.frame.make_room(places)
        if padding is not None:
            self._grow(padding)
        first = self.seen.count
        inside = (places + self.origin + BORDER).float()
        self.incoming.append(amplitudes_of(frames, self.device), inside.to(self.device))
        if self.state is None:
            if self.seen.count >= ENOUGH:
                self.begin()
            return
        due = sum(count <= self.seen.count for count in AGAIN)
        if due > self.tried:
            self.tried = due
            if float(self.state.misfit[0]) > SUSPECT and self._started_anew():
                return
        new = torch.arange(first, self.seen.count)
        self.waited = 0
        self._fill_unlit(new)
        for _ in range(PASSES):
            self._pass(torch.cat([new, self.incoming.companions(new)]))

    @torch.no_grad()
    def begin(self) -> None:
        """Start with the frames that are there, few as they may be; nothing where an image has begun or none is."""
        if self.state is not None or self.seen.count == 0:
            return
        if self.settings.start == "dataset" and self.guess is not None:
            self.start = Start.given(self.guess)
        else:
            self.start = self._found(self.guess, FRAMES)
            log.info("start: %s", self.start.describe())
        self.tried = sum(count <= self.seen.count for count in AGAIN)
        counts = self.incoming.mean_counts()
        self.scale = counts[self.mask].mean().sqrt()
        self.home = home_of(self.guess, counts[self.mask].sum(), self.propagator)
        self._settle(self.start.probe)

    @torch.no_grad()
    def improve(self) -> bool:
        """Make a pass over some of all frames while no new ones come; tells whether there was one worth making."""
        if self.state is None or self.waited >= WAITING:
            return False
        self.waited += 1
        self._pass(self.incoming.somewhere())
        return True

    def _found(self, guess: Tensor | None, frames: int) -> Start:
        used = self.incoming.fitted().numpy()
        near = used[middle_of(self.seen.positions[used].double().cpu().numpy(), frames)]
        return find_start(
            self.network,
            self.seen.amplitudes[near].square(),
            self.seen.positions[near].double().cpu().numpy(),
            self.mask,
            self.incoming.mean_counts(),
            self.propagator,
            guess,
            seed=self.seed,
        )

    def _started_anew(self) -> bool:
        """Look for a start again, and give up the probe so far where another one explains frames clearly better."""
        if self.settings.start == "dataset" and self.guess is not None:
            return False
        found = self._found(self.probe, FRAMES_AGAIN)
        given = [error for name, error in found.errors.items() if name.startswith(GIVEN)]
        if found.candidate.given or found.errors[found.candidate.name] > BETTER * min(given):
            return False
        log.info("a better start, with %d frames: %s", self.seen.count, found.describe())
        errors = {name.replace(GIVEN, "the probe so far"): error for name, error in found.errors.items()}
        self.start = replace(found, errors=errors)
        self._settle(found.probe)
        return True

    @torch.no_grad()
    def _settle(self, probe: Tensor) -> None:
        """Begin with an empty object under a probe, and make passes over what is there."""
        modes = torch.from_numpy(coherence_modes(probe.cpu().numpy(), self.settings.probe_modes)).to(self.device)
        power = self.incoming.mean_counts()[self.mask].sum() / self.scale**2
        shape = tuple(length + 2 * BORDER for length in self.frame.shape)
        self.state, self.passes = BlindState.start(with_power(modes, power)[None], shape), 0
        self.gain, self.smoothing = 1.0, 1.0
        for _ in range(SETTLING):
            self._pass(self.incoming.drawn(MOST_IN_PASS))

    def _grow(self, padding: list[int]) -> None:
        self.seen.positions[: self.seen.count] += torch.tensor(padding[2::-2], device=self.device)
        if self.state is None:
            return
        self.state = windows.grown(self.state, padding)

    def _pass(self, group: Tensor) -> None:
        """Iterate once on some frames (chosen,) int64, of which those held out only judge."""
        group = group[~torch.from_numpy(self.held_out)[group]]
        if not len(group):
            return
        window, progress = self._window(group), SETTLED * min(1.0, self.passes / (2 * SETTLING))
        whole, frames = self.state, self._frames(window)
        touched = self._light(group, window)
        touched = touched > LIT * touched.amax()
        state = windows.cut_out(whole, window, touched)
        order = subsets(group, progress, self.incoming.generator, photons_per_pixel(state, frames))
        state = self.network.iterate(
            state, frames, order, progress, self.settings.solve_background, learned_rates=self.settings.learned_rates
        )
        factor = windows.divided_by(state, whole, window)
        state.light = self._light(self.incoming.fitted(), window, state)[None]
        judges = self.incoming.judges(window)
        deviance, told = partial(frames.deviance, judges=judges), None
        if self.settings.learned:
            args = self.network, state, frames, progress, self.gain
            state, self.gain, told = judged_correction(*args, partial(frames.verdict, judges=judges, fitted=group))
        if self.settings.smoothing and self.passes >= SETTLING // 2:
            # Where no frame of the pass lies, nothing would bring back what smoothing takes each time.
            state, self.smoothing, _ = judged_smoothing(state, frames, self.smoothing, deviance, touched, told)
        self.state = at_home(windows.put_back(state, whole, window, factor), self.home)
        self.passes += 1

    def _window(self, group: Tensor) -> Window:
        return window_of(self.seen.positions[group], self.size, self.state.objects.shape[-2:])

    def _fill_unlit(self, new: Tensor) -> None:
        """Begin where no light has fallen yet with the mean phase of the rest, which the probe has taken part of."""
        window, before = self._window(new), self.incoming.fitted()
        light = self._light(before[before < int(new[0])], window)
        self.state = windows.filled(self.state, window, light)

    def _light(self, chosen: Tensor, window: Window, state: BlindState | None = None) -> Tensor:
        """Light (h, w) float that frames (chosen,) int64 let fall on a window of the object."""
        probes = (self.state if state is None else state).probes[0]
        return light_of(self.seen.positions[chosen], incoherent_sum(probes), window)

    def _frames(self, window: Window) -> LiveFrames:
        return self.incoming.frames_in(window, self.scale, self.propagator)

    @torch.no_grad()
    def deviance(self) -> float:
        """Poisson deviance per good pixel of the latest frames that are held out."""
        window = windows.everywhere(self.state)
        return self._frames(window).deviance(self.state, self.incoming.judges(window))

    @property
    @torch.no_grad()
    def probe(self) -> Tensor:
        """(modes, N, N) complex64, orthogonal, Σ|P|² = photons in the empty beam, where it was at the start."""
        return probe_at_home(self.state, self.home) * self.scale

    @property
    @torch.no_grad()
    def object(self) -> Tensor:
        """(H, W) complex64, mean amplitude 1 where light fell."""
        return object_at_home(self.state, self.home)[BORDER:-BORDER, BORDER:-BORDER]

    @property
    @torch.no_grad()
    def coverage(self) -> Tensor:
        """(H, W) float32, accumulated light; one frame's peak counts as 1."""
        peak = self.state.probes[0].abs().square().sum(dim=0).amax()
        return (
            self._light(self.incoming.fitted(), windows.everywhere(self.state))[BORDER:-BORDER, BORDER:-BORDER] / peak
        )

    @property
    def background(self) -> float:
        """Counts in each pixel that are no diffraction."""
        return float(self.state.background[0] * self.scale**2)

    @property
    def shown(self) -> "LiveImage":
        """The image as it is."""
        return LiveImage(self.object, self.coverage)
