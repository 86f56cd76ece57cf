"""The image of a scan while it is being measured, and its probe, of which little or nothing need be known.

The first frames tell where to start, as they do for a whole scan. Then new frames are iterated on together with those
of their neighbours that came before, for which they say something new, and with a random share of all earlier ones, so
that the probe stays one that explains the whole scan. The work for a frame does not grow with the scan.
"""

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ptychoflow.blind.frames import amplitudes_of
from ptychoflow.blind.judged import at_home, judged_correction, judged_smoothing, object_at_home, probe_at_home
from ptychoflow.blind.live_windows import LiveFrames, LiveImage, Window, light_of, window_of
from ptychoflow.blind.modes import coherence_modes
from ptychoflow.blind.start import FRAMES, GIVEN, Start, find_start, middle_of
from ptychoflow.data.tiles import MARGIN
from ptychoflow.live import GrowingFrame, Seen
from ptychoflow.models.blind import Blind, BlindState, photons_per_pixel, subsets
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import centre_of, with_power
from ptychoflow.physics.losses import poisson_deviance
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
FEWEST = 192
"""Frames in a pass, as long as there are as many: what is not new or next to it is drawn from all before."""
COMPANIONS = 64
"""Neighbours of new frames, and others drawn from all before, so many of each beside however many new ones."""
WAITING = 10
"""Passes over frames drawn from all, at most, while no new ones come."""
MOST_IN_PASS = 384
"""Frames of a pass right after a start."""
SETTLED = 0.8
"""Progress that passes end with: steps stay large enough for what is new."""
JUDGES = 32
"""Held-out frames, the latest, that judge learned corrections."""
REACH = 2
"""Frame widths round new frames within which others are drawn: so a pass does not grow with the object."""
IN_PLACE = ("objects", "object_momentum", "light")
"""Parts of the state that have the object's shape."""
LIT = 1e-3
"""Share of the largest light from which a pixel takes part in a pass."""


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
        self.seen = Seen.none(self.size, self.device)
        self.held_out = np.zeros(0, dtype=bool)
        self.draw, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.state: BlindState | None = None
        self.start: Start | None = None
        self.scale, self.home = torch.ones(()), torch.zeros(2)
        self.passes, self.tried, self.waited = 0, 0, 0
        self.gain, self.smoothing = 1.0, 1.0

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
        """Take new frames in, and iterate; parameters as in `ptychoflow.live.LiveReconstruction.add`."""
        places = torch.from_numpy(positions)
        padding = self.frame.make_room(places)
        if padding is not None:
            self._grow(padding)
        first = self.seen.count
        self.seen.append(amplitudes_of(frames).to(self.device), (places + self.origin + BORDER).float().to(self.device))
        # One number for each frame, however they come.
        self.held_out = np.append(self.held_out, self.draw.random(len(frames)) < self.settings.held_out)
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
            self._pass(torch.cat([new, self._companions(new)]))

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
        counts = self._mean_counts()
        self.scale = counts[self.mask].mean().sqrt()
        known = self.start.probe if self.guess is None else self.guess
        self.home = centre_of(incoherent_sum(with_power(known, counts[self.mask].sum())))
        self._settle(self.start.probe)

    @torch.no_grad()
    def improve(self) -> bool:
        """Make a pass over some of all frames while no new ones come; tells whether there was one worth making."""
        if self.state is None or self.waited >= WAITING:
            return False
        self.waited += 1
        fitted = self._fitted()
        centre = fitted[torch.randint(len(fitted), (1,), generator=self.generator)]
        away = (self.seen.positions[fitted] - self.seen.positions[centre]).abs().amax(dim=1).cpu()
        near = fitted[away <= 2 * REACH * self.size]
        self._pass(near[torch.randperm(len(near), generator=self.generator)[:FEWEST]])
        return True

    def _drawn(self, count: int) -> Tensor:
        fitted = self._fitted()
        return fitted[torch.randperm(len(fitted), generator=self.generator)[:count]]

    def _found(self, guess: Tensor | None, frames: int) -> Start:
        used = self._fitted().numpy()
        near = used[middle_of(self.seen.positions[used].double().cpu().numpy(), frames)]
        return find_start(
            self.network,
            self.seen.amplitudes[near].square(),
            self.seen.positions[near].double().cpu().numpy(),
            self.mask,
            self._mean_counts(),
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
        power = self._mean_counts()[self.mask].sum() / self.scale**2
        shape = tuple(length + 2 * BORDER for length in self.frame.shape)
        self.state, self.passes = BlindState.start(with_power(modes, power)[None], shape), 0
        self.gain, self.smoothing = 1.0, 1.0
        for _ in range(SETTLING):
            self._pass(self._drawn(MOST_IN_PASS))

    def _grow(self, padding: list[int]) -> None:
        self.seen.positions[: self.seen.count] += torch.tensor(padding[2::-2], device=self.device)
        if self.state is None:
            return
        fill = {"objects": 1.0, "object_momentum": 0.0, "light": 0.0}
        grown = {
            name: torch.nn.functional.pad(getattr(self.state, name), padding, value=value)
            for name, value in fill.items()
        }
        self.state = replace(self.state, **grown)

    def _fitted(self) -> Tensor:
        """Numbers (frames,) int64 of the frames that are not held out; all where none else is there."""
        used = np.flatnonzero(~self.held_out)
        return torch.from_numpy(used if len(used) else np.arange(self.seen.count))

    def _companions(self, new: Tensor) -> Tensor:
        """Earlier frames that take part in a pass: neighbours of new ones, and some drawn from all others."""
        old = int(new[0])
        if old == 0:
            return new[:0]
        each = max(COMPANIONS, (FEWEST - len(new)) // 2)
        positions = self.seen.positions
        away = torch.cdist(positions[:old], positions[new], p=float("inf")).amin(dim=1)
        distance, nearest = away.topk(min(old, each), largest=False)
        near = nearest[distance <= MARGIN * self.size].cpu()
        middle = (positions[new].amin(dim=0) + positions[new].amax(dim=0)) / 2
        half = (positions[new].amax(dim=0) - positions[new].amin(dim=0)) / 2 + REACH * self.size
        others = ((positions[:old] - middle).abs() <= half).all(dim=1).cpu()
        others[near] = False
        (others,) = others.nonzero(as_tuple=True)
        wanted = max(COMPANIONS, FEWEST - len(new) - len(near))
        drawn = others[torch.randperm(len(others), generator=self.generator)[:wanted]]
        return torch.cat([near, drawn])

    def _pass(self, group: Tensor) -> None:
        """Iterate once on some frames (chosen,) int64, of which those held out only judge."""
        group = group[~torch.from_numpy(self.held_out)[group]]
        if not len(group):
            return
        window, progress = self._window(group), SETTLED * min(1.0, self.passes / (2 * SETTLING))
        whole, frames = self.state, self._frames(window)
        state = replace(whole, **{name: getattr(whole, name)[..., *window] for name in IN_PLACE})
        touched = self._light(group, window)
        touched = touched > LIT * touched.amax()
        # Where no frame of the pass lies, nothing corrects what momentum would go on with.
        state.object_momentum = state.object_momentum * touched
        state.objects = state.objects.clone()
        corner = state.objects[0, 0, 0].clone()
        state.objects[0, 0, 0] = 1
        order = subsets(group, progress, self.generator, photons_per_pixel(state, frames))
        state = self.network.iterate(
            state, frames, order, progress, self.settings.solve_background, learned_rates=self.settings.learned_rates
        )
        # No frame reaches the corner: it tells what the object was divided by, as the rest of it must be.
        factor = 1 / state.objects[0, 0, 0].real
        state.objects[0, 0, 0] = corner / factor
        state.light = self._light(self._fitted(), window, state)[None]
        judges = self._judges(window)

        def deviance(tried: BlindState) -> float:
            return self._deviance(tried, frames, judges)

        told = None
        if self.settings.learned:
            args = self.network, state, frames, progress, self.gain, deviance
            state, self.gain, told = judged_correction(*args)
        if self.settings.smoothing and self.passes >= SETTLING // 2:
            # Where no frame of the pass lies, nothing would bring back what smoothing takes each time.
            state, self.smoothing, _ = judged_smoothing(state, frames, self.smoothing, deviance, touched, told)
        changed = {name: getattr(whole, name) / factor for name in IN_PLACE}
        for name, values in changed.items():
            values[..., *window] = getattr(state, name)
        self.state = at_home(replace(state, **changed), self.home)
        self.passes += 1

    def _window(self, group: Tensor) -> Window:
        return window_of(self.seen.positions[group], self.size, self.state.objects.shape[-2:])

    def _fill_unlit(self, new: Tensor) -> None:
        """Begin where no light has fallen yet with the mean phase of the rest, which the probe has taken part of."""
        window, before = self._window(new), self._fitted()
        light = self._light(before[before < int(new[0])], window)
        objects = self.state.objects.clone()
        part = objects[0][window]
        mean = (part * light).sum()
        if mean.abs() > 0:
            objects[0][window] = torch.where(light <= LIT * light.amax(), mean / mean.abs(), part)
            self.state = replace(self.state, objects=objects)

    def _light(self, chosen: Tensor, window: Window, state: BlindState | None = None) -> Tensor:
        """Light (h, w) float that frames (chosen,) int64 let fall on a window of the object."""
        probes = (self.state if state is None else state).probes[0]
        return light_of(self.seen.positions[chosen], incoherent_sum(probes), window)

    def _everywhere(self) -> Window:
        height, width = self.state.objects.shape[-2:]
        return slice(0, height), slice(0, width)

    def _frames(self, window: Window) -> ScanFrames:
        """All frames that have come in, with positions in a window of the object."""
        count = self.seen.count
        corner = torch.tensor([part.start for part in window], device=self.device)
        return LiveFrames(
            self.seen.amplitudes[None, :count],
            (self.seen.positions[:count] - corner)[None],
            self.mask[None, None],
            self.scale[None],
            self.propagator,
            unbiased=True,
        )

    def _mean_counts(self) -> Tensor:
        """Mean counts (N, N) float32 of the frames that are fitted, zero frequency in the corner."""
        counts = sum(some.square().sum(dim=0) for some in self.seen.amplitudes[self._fitted()].split(256))
        return counts * self.mask / len(self._fitted())

    def _judges(self, window: Window) -> Tensor:
        """The latest frames (chosen,) int64 in a window that are held out, or of all where none is."""
        low, high = ([getattr(part, end) for part in window] for end in ("start", "stop"))
        places, half = self.seen.positions[: self.seen.count].cpu(), self.size // 2 + 1
        inside = ((places - half >= torch.tensor(low)) & (places + half <= torch.tensor(high))).all(dim=1)
        held_out = inside & torch.from_numpy(self.held_out)
        return (held_out if held_out.any() else inside).nonzero()[:, 0][-JUDGES:]

    @torch.no_grad()
    def deviance(self) -> float:
        """Poisson deviance per good pixel of the latest frames that are held out."""
        window = self._everywhere()
        return self._deviance(self.state, self._frames(window), self._judges(window))

    def _deviance(self, state: BlindState, frames: ScanFrames, judges: Tensor) -> float:
        amplitudes, _ = frames.subset(judges)
        modelled = frames.modelled(state.objects, state.probes, state.background, judges)
        photons = self.scale**2
        measured = amplitudes[0].square() * photons
        return float(poisson_deviance(modelled[0] * photons, measured, self.mask[None]))

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
        return self._light(self._fitted(), self._everywhere())[BORDER:-BORDER, BORDER:-BORDER] / peak

    @property
    def background(self) -> float:
        """Counts in each pixel that are no diffraction."""
        return float(self.state.background[0] * self.scale**2)

    @property
    def shown(self) -> "LiveImage":
        """The image as it is."""
        return LiveImage(self.object, self.coverage)
