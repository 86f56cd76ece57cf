"""Windows of an object that grows while frames come in: what some frames reach, and their light there."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptychoflow.blind.verdicts import Verdict
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.losses import poisson_deviance

Window = tuple[slice, slice]
"""Rows and columns of an object."""
MARGIN_PIXELS = 4
"""Round the frames of a pass, within the border."""
IN_PLACE = ("objects", "object_momentum", "light")
"""Parts of the state that have the object's shape."""
LIT = 1e-3
"""Share of the largest light from which a pixel takes part in a pass."""


@dataclass
class LiveImage:
    """What is drawn.

    Parameters
    ----------
    object : Tensor
        (H, W) complex64.
    coverage : Tensor
        (H, W) float32, accumulated light; one frame's peak counts as 1.
    """

    object: Tensor
    coverage: Tensor


class LiveFrames(ScanFrames):
    """Frames as they came, with photons that are brought to scale when they are needed."""

    def subset(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        amplitudes, positions = super().subset(frames)
        return amplitudes / self.scale[:, None, None, None], positions

    def deviance(self, state: BlindState, judges: Tensor) -> float:
        """Poisson deviance per good pixel of the frames (chosen,) int64 that judge a state of one object."""
        told = self.photons(state.objects, state.probes, state.background, judges)
        return float(poisson_deviance(*told, self.mask[0]))

    def verdict(self, state: BlindState, judges: Tensor, fitted: Tensor) -> Verdict:
        """What frames (chosen,) int64 that judge say of a state of one object, beside the mean of those fitted."""
        amplitudes, _ = self.subset(fitted)
        mean = amplitudes[0].square().mean(dim=0) * self.scale[0] ** 2
        told = self.photons(state.objects, state.probes, state.background, judges)
        return Verdict(*told, self.mask[0, 0], mean)


def window_of(positions: Tensor, size: int, shape: tuple[int, int]) -> Window:
    """The part of an object of some shape (H, W) that patches reach, and a margin that none does.

    Parameters
    ----------
    positions : Tensor
        (frames, 2) float, pixels of the patch centres.
    size : int
        Edge length N of a patch in pixels.
    shape : tuple of int
        (H, W) of the object.
    """
    low = (positions.amin(dim=0).floor().long() - size // 2 - MARGIN_PIXELS).clamp_min(0)
    high = positions.amax(dim=0).ceil().long() + size // 2 + MARGIN_PIXELS
    rows, columns = (
        slice(first, min(last, length)) for first, last, length in zip(low.tolist(), high.tolist(), shape, strict=True)
    )
    return rows, columns


def everywhere(state: BlindState) -> Window:
    """All of an object."""
    height, width = state.objects.shape[-2:]
    return slice(0, height), slice(0, width)


def light_of(positions: Tensor, intensity: Tensor, window: Window) -> Tensor:
    """Light (h, w) float on a window, to the pixel, of a probe's intensity (N, N) at positions (frames, 2)."""
    size = len(intensity)
    # Frames round the window reach into it; what is folded over at the edges stays within their border.
    shape = [part.stop - part.start + 2 * size for part in window]
    corner = torch.tensor([part.start - size for part in window], device=positions.device)
    places = positions.round().long() - corner
    inside = (places >= 0) & (places < torch.tensor(shape, device=positions.device))
    rows, columns = places[inside.all(dim=1)].T
    hits = torch.zeros(shape, device=positions.device)
    hits.index_put_((rows, columns), torch.ones(len(rows), device=positions.device), accumulate=True)
    beam = torch.zeros(shape, device=positions.device)
    beam[:size, :size] = intensity
    beam = torch.roll(beam, [-(size // 2)] * 2, dims=(0, 1))
    light = torch.fft.irfft2(torch.fft.rfft2(hits) * torch.fft.rfft2(beam), s=shape)
    return light.clamp_min(0)[size:-size, size:-size]


def cut_out(whole: BlindState, window: Window, touched: Tensor) -> BlindState:
    """The state on a window, its corner set to 1: no frame reaches it, so that it tells what `divided_by` asks.

    Parameters
    ----------
    whole : BlindState
        Of the whole object.
    window : Window
        Rows and columns.
    touched : Tensor
        (h, w) bool, where frames of the pass lie.
    """
    state = replace(whole, **{name: getattr(whole, name)[..., *window] for name in IN_PLACE})
    # Where no frame of the pass lies, nothing corrects what momentum would go on with.
    state.object_momentum = state.object_momentum * touched
    state.objects = state.objects.clone()
    state.objects[0, 0, 0] = 1
    return state


def divided_by(state: BlindState, whole: BlindState, window: Window) -> Tensor:
    """What an iteration divided the object of a window by, as the rest of it must be; its corner comes back."""
    factor = 1 / state.objects[0, 0, 0].real
    state.objects[0, 0, 0] = whole.objects[0][window][0, 0] / factor
    return factor


def put_back(state: BlindState, whole: BlindState, window: Window, factor: Tensor) -> BlindState:
    """The state with the whole object again, divided by a factor outside the window."""
    changed = {name: getattr(whole, name) / factor for name in IN_PLACE}
    for name, values in changed.items():
        values[..., *window] = getattr(state, name)
    return replace(state, **changed)


def filled(state: BlindState, window: Window, light: Tensor) -> BlindState:
    """The state with the mean phase of a window where hardly any light (h, w) has fallen."""
    objects = state.objects.clone()
    part = objects[0][window]
    mean = (part * light).sum()
    if mean.abs() == 0:
        return state
    objects[0][window] = torch.where(light <= LIT * light.amax(), mean / mean.abs(), part)
    return replace(state, objects=objects)


def grown(state: BlindState, padding: list[int]) -> BlindState:
    """The state of an object that is larger by so many pixels: left, right, above, below."""
    fill = {"objects": 1.0, "object_momentum": 0.0, "light": 0.0}
    values = {name: torch.nn.functional.pad(getattr(state, name), padding, value=fill[name]) for name in IN_PLACE}
    return replace(state, **values)
