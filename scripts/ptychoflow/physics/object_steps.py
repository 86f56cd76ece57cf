"""What measured frames ask of the objects that they lie on, all together, with its gradient in closed form."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ptychoflow.physics.diffraction import Propagator, exit_waves, sum_of_modes
from ptychoflow.physics.patches import add_at, patch_index, take_rows
from ptychoflow.physics.pieces import slices
from ptychoflow.physics.steps import missing_share

PIXELS_AT_ONCE = 2**17
"""Of frames and modes that a CPU works on at a time: beyond its cache, more at once take longer."""


@dataclass
class PlacedFrames:
    """Some frames made ready to say, again and again, what they ask of objects.

    Parameters
    ----------
    amplitudes : Tensor
        (batch, frames, N, N) float, zero at bad pixels.
    good : Tensor
        (batch or 1, 1, N, N) float, 1 for good pixels and 0 for bad ones.
    probes : Tensor
        (batch, frames, modes, N, N) complex, moved by each frame's fraction of a pixel, and weaker by what `propagator`
        amplifies: so neither way of the waves need be scaled, which takes a pass over all of them.
    conjugates : Tensor
        Their conjugates, which torch would work out anew for each product.
    index : Tensor
        (batch, frames, N, N) int64, of their pixels in flattened objects, as `patch_index` gives it.
    propagator : Propagator
        Of waves that were moved so.
    """

    amplitudes: Float[Tensor, "batch frames N N"]
    good: Float[Tensor, "#batch 1 N N"]
    probes: Complex[Tensor, "batch frames modes N N"]
    conjugates: Complex[Tensor, "batch frames modes N N"]
    index: Int[Tensor, "batch frames N N"]
    propagator: Propagator

    def waves_on(self, objects: Complex[Tensor, "batch H W"]) -> Complex[Tensor, "batch frames modes N N"]:
        """Detector waves (batch, frames, modes, N, N) complex that the probes make of objects (batch, H, W)."""
        return self.propagator.amplified(exit_waves(take_rows(objects, self.index[..., 0]), self.probes))

    def lead_back(self, waves: Complex[Tensor, "batch frames modes N N"], total: Complex[Tensor, "batch H W"]) -> None:
        """Add to a total (batch, H, W), in place, what changes of the detector waves come to on the objects."""
        add_at(total, self.index, sum_of_modes(self.propagator.amplified_adjoint(waves).mul_(self.conjugates)))


def placed_frames(
    amplitudes: Float[Tensor, "batch frames N N"],
    probes: Complex[Tensor, "batch frames modes N N"],
    mask: Bool[Tensor, "#batch N N"],
    corner: Int[Tensor, "batch frames 2"],
    fraction: Float[Tensor, "batch frames 2"],
    shape: tuple[int, int],
    propagator: Propagator,
) -> Iterator[PlacedFrames]:
    """Make frames ready, as many at a time as a CPU's cache holds the waves of.

    Parameters
    ----------
    amplitudes : Tensor
        (batch, frames, N, N) float measured amplitudes, zero frequency or middle in the corner.
    probes : Tensor
        (batch, frames, modes, N, N) complex, moved by the fractions.
    mask : Tensor
        (batch or 1, N, N) bool, True for good pixels.
    corner, fraction : Tensor
        (batch, frames, 2) int64 and float, whole pixels and what remains of them, as `split_positions` gives them.
    shape : tuple of int
        (H, W) of the objects.
    propagator : Propagator
        Of waves that were not moved.
    """
    batch, frames, modes, size, _ = probes.shape
    at_once = frames
    if probes.device.type == "cpu":
        at_once = max(1, PIXELS_AT_ONCE // (batch * modes * size**2))
    mask = mask[:, None]
    good = mask.to(amplitudes.dtype)
    for some in slices(frames, at_once):
        weaker = probes[:, some] * (1 / propagator.gain)
        yield PlacedFrames(
            torch.where(mask, amplitudes[:, some], 0),
            good,
            weaker,
            weaker.conj().resolve_conj(),
            patch_index(corner[:, some], size, (batch, *shape)),
            propagator.moved(fraction[:, some]),
        )


def total_change(objects: Complex[Tensor, "batch H W"], frames: Iterable[PlacedFrames]) -> Complex[Tensor, "batch H W"]:
    """Add up what frames ask of objects: Σ conj(P) Δψ at their places, minus the gradient of Σ (|D ψ| − √n)².

    Derivatives are known by the objects alone.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex.
    frames : iterable of PlacedFrames
        The frames.

    Returns
    -------
    Tensor
        (batch, H, W) complex.
    """
    frames = tuple(frames)
    if any(part.requires_grad for some in frames for part in (some.probes, some.amplitudes)):
        raise ValueError("probes or amplitudes ask for a gradient: expected them detached")
    return _TotalChange.apply(objects, frames)


class _TotalChange(torch.autograd.Function):
    """`total_change` with its derivative, which is symmetric: it takes the same way there and back.

    With the detector waves w, r = √(n / I) − 1 and what a change of the objects makes of the waves, dw, the change that
    is led back is r dw − √n I^(−3/2) Σ_m Re(conj(w_m) dw_m) w.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, objects: Tensor, frames: tuple[PlacedFrames, ...]) -> Tensor:
        total, kept = torch.zeros_like(objects), []
        for some in frames:
            waves = some.waves_on(objects)
            ratio, inverse = missing_share(waves, some.amplitudes, some.good)
            some.lead_back(ratio.unsqueeze(-3) * waves, total)
            if ctx.needs_input_grad[0]:
                kept += [waves, inverse]
        ctx.frames = frames
        ctx.save_for_backward(*kept)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, asked: Tensor) -> tuple[Tensor, None]:
        slope, kept = torch.zeros_like(asked), iter(ctx.saved_tensors)
        for some, waves, inverse in zip(ctx.frames, kept, kept, strict=False):
            change, share = some.waves_on(asked), some.amplitudes * inverse
            along = sum_of_modes(torch.addcmul(waves.real * change.real, waves.imag, change.imag))
            along.mul_(share).mul_(inverse).mul_(inverse)
            change.mul_((share - some.good).unsqueeze(-3)).sub_(along.unsqueeze(-3) * waves)
            some.lead_back(change, slope)
        return slope, None
