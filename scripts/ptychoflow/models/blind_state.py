"""What blind iterations solve for, on its way, and what is known of it: photons on a pixel, and doubt."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptychoflow.models.scan_frames import ScanFrames


@dataclass
class BlindState:
    """What is solved for, on its way.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex64, mean amplitude 1 where light falls.
    probes : Tensor
        (batch, modes, N, N) complex64, in units of the frames' scale, orthogonal, the strongest first.
    background : Tensor
        (batch,) float32, counts in each pixel that are no diffraction, over scale².
    object_momentum, probe_momentum : Tensor
        What the last iterations moved objects and probes by.
    light : Tensor
        (batch, H, W) float32, probe intensity of all frames, added up where it fell.
    misfit : Tensor
        (batch,) float32, Σ (√I − √n)² over what noise alone would make of it.
    """

    objects: Complex[Tensor, "batch H W"]
    probes: Complex[Tensor, "batch modes N N"]
    background: Float[Tensor, "batch"]
    object_momentum: Complex[Tensor, "batch H W"]
    probe_momentum: Complex[Tensor, "batch modes N N"]
    light: Float[Tensor, "batch H W"]
    misfit: Float[Tensor, "batch"]

    @classmethod
    def start(cls, probes: Complex[Tensor, "batch modes N N"], shape: tuple[int, int]) -> "BlindState":
        """Empty objects (batch, H, W) under probes (batch, modes, N, N)."""
        objects = torch.ones(len(probes), *shape, dtype=probes.dtype, device=probes.device)
        none = torch.zeros(len(probes), device=probes.device)
        light = torch.zeros_like(objects, dtype=none.dtype)
        return cls(objects, probes, none, torch.zeros_like(objects), torch.zeros_like(probes), light, none + 1)

    def chosen(self, scans: Int[Tensor, "chosen"]) -> "BlindState":
        """Some of the scans, (chosen,) int64."""
        return replace(self, **{name: value[scans] for name, value in vars(self).items()})

    def strongest(self, modes: int) -> "BlindState":
        """The same without the weaker ones of more than so many probe modes; itself where there are no more."""
        if self.probes.shape[1] <= modes:
            return self
        return replace(self, probes=self.probes[:, :modes], probe_momentum=self.probe_momentum[:, :modes])


def doubt(state: BlindState, frames: ScanFrames) -> Float[Tensor, "batch H W"]:
    """What each pixel of the objects may be wrong by, (batch, H, W) float: for want of photons or of a right model.

    It is 0 where no light fell.
    """
    light = state.light / state.light.amax(dim=(-2, -1), keepdim=True)
    photons = state.light * per_scan(frames.scale, 2) ** 2
    misfit = state.misfit.clamp(1, 1e3)
    return (per_scan(misfit, 2) / (1 + photons)).sqrt().clamp_max(0.5) * (light / (light + 0.01))


def photons_per_pixel(state: BlindState, frames: ScanFrames) -> Float[Tensor, "batch"]:
    """Photons that fell on a pixel of the object from all frames together, (batch,) float, about."""
    # Before the first pass no light is known: the probes' own, spread over the field of the positions.
    intensity = state.probes.detach().abs().square().sum(dim=(-3, -2, -1))
    extent = frames.positions.amax(dim=1) - frames.positions.amin(dim=1) + 0.3 * frames.mask.shape[-1]
    return frames.positions.shape[1] * intensity * frames.scale**2 / extent.prod(dim=1)


def per_scan(values: Float[Tensor, "batch"], axes: int) -> Float[Tensor, "batch ..."]:
    """Values (batch,) to be broadcast against arrays of as many more axes."""
    return values.reshape(-1, *[1] * axes)
