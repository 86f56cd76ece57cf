"""Convolutional building blocks shared by the models."""

import math
from collections.abc import Iterator
from itertools import chain, pairwise

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ptychoflow.physics.diffraction import Propagator

LARGE = 20481
"""Values of an image whose convolution torch leaves to oneDNN whatever the number of threads."""


class ConvolutionBlock(nn.Module):
    """Two 3×3 convolutions with SiLU and a residual connection, (batch, inputs, H, W) to (batch, outputs, H, W).

    The connection begins before the normalisation, and after the SiLU where there is none. The normalisation has no
    batch statistics: a frame's image does not depend on its neighbours in the batch.
    """

    def __init__(self, inputs: int, outputs: int, normalise: bool = True) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, outputs) if normalise else nn.Identity()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "batch inputs H W"]) -> Float[Tensor, "batch outputs H W"]:
        x = self.first(x)
        # In place only where torch need not copy for a gradient what is overwritten.
        active = nn.functional.silu(self.norm(x), inplace=not torch.is_grad_enabled())
        return self.second(active).add_(active if isinstance(self.norm, nn.Identity) else x)


class FewOutputs(nn.Conv2d):
    """A 3×3 convolution to a few channels, (batch, inputs, H, W) to (batch, outputs, H, W), whose gradient is fast.

    oneDNN, which computes convolutions on CPUs, finds the gradient of the weights several times as fast where few
    channels come in as where few go out. It is the same but for the order of the weights: in Σ_p g(p) x(p + k), either
    may be taken for what came in.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "batch inputs H W"]) -> Float[Tensor, "batch outputs H W"]:
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return _FewOutputs.apply(x, self.weight, self.bias)


class _FewOutputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return nn.functional.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, change: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x = _gradient(change, x, weight, 0) if ctx.needs_input_grad[0] else None
        # A small image, on one thread, torch leaves to slow code of its own: empty channels make it large enough.
        batch, outputs, *shape = change.shape
        empty = [0, 0, 0, 0, 0, max(0, -(-LARGE // (batch * math.prod(shape))) - outputs)]
        wide, exchanged = (nn.functional.pad(part, empty) for part in (change, weight.transpose(0, 1)))
        of_weight = _gradient(x, wide, exchanged.contiguous(), 1)[:, :outputs].transpose(0, 1).flip(2, 3)
        return of_x, of_weight, change.sum(dim=(0, 2, 3))


def _gradient(change: Tensor, x: Tensor, weight: Tensor, which: int) -> Tensor:
    """Gradient of a 3×3 convolution by what came in (0) or by the weights (1)."""
    # torch.nn.grad knows it too, but would make up an input that is not channels last, which takes twice as long.
    wanted = [number == which for number in range(3)]
    pair = [1, 1]
    return torch.ops.aten.convolution_backward(change, x, weight, None, pair, pair, pair, False, [0, 0], 1, wanted)[
        which
    ]


class EncoderDecoder(nn.Module):
    """U-Net (Ronneberger et al., MICCAI 2015) with additive skip connections, or a plain encoder-decoder without them.

    (batch, inputs, H, W) to (batch, outputs, H, W); H and W must be multiples of 2**depth.
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, depth: int, skips: bool, normalise: bool = True
    ) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(depth + 1)]
        self.skips = skips
        self.entry = ConvolutionBlock(inputs, widths[0], normalise)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.encode = nn.ModuleList(ConvolutionBlock(width, width, normalise) for width in widths[1:])
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.decode = nn.ModuleList(ConvolutionBlock(width, width, normalise) for width in widths[:-1])
        self.exit = FewOutputs(widths[0], outputs)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the half that halves the resolution."""
        return chain(*(part.parameters() for part in (self.entry, self.down, self.encode)))

    def forward(self, x: Float[Tensor, "batch inputs H W"]) -> Float[Tensor, "batch outputs H W"]:
        x = self.entry(x.contiguous(memory_format=torch.channels_last))
        levels = []
        for down, encode in zip(self.down, self.encode, strict=True):
            levels.append(x)
            x = encode(down(x))
        for up, decode, level in zip(reversed(self.up), reversed(self.decode), reversed(levels), strict=True):
            x = up(x)
            x = decode(x.add_(level) if self.skips else x)
        return self.exit(x)


class AmplitudePhaseHead(nn.Module):
    """Complex patches from amplitude in (0, 1.2) and phase in (−π, π): (batch, 2C, H, W) to (batch, C, H, W) complex.

    Amplitudes start near 1, an empty object, from which both loss and gradients are finite.
    """

    def forward(self, x: Float[Tensor, "batch parts H W"]) -> Complex[Tensor, "batch parts//2 H W"]:
        # Polar form in float32: torch has no complex bfloat16.
        amplitude, phase = x.float().chunk(2, dim=1)
        return torch.polar(1.2 * torch.sigmoid(amplitude + 1.6), torch.pi * torch.tanh(phase))


def normalised_frames(
    amplitudes: Float[Tensor, "batch C N N"],
    probe: Complex[Tensor, "#batch modes N N"],
    mask: Bool[Tensor, "#batch N N"],
    propagator: Propagator,
) -> Float[Tensor, "batch C N N"]:
    """Centre amplitudes (batch, C, N, N) and divide them by the empty beam's largest, zero where masked."""
    empty_beam = propagator(probe).abs().square().sum(dim=-3, keepdim=True).sqrt()
    scaled = torch.where(mask[:, None], amplitudes, 0) / empty_beam.amax(dim=(-2, -1), keepdim=True)
    return torch.fft.fftshift(scaled, dim=(-2, -1))


def real_channels(field: Complex[Tensor, "batch H W"]) -> Float[Tensor, "batch 2 H W"]:
    """(batch, H, W) complex to (batch, 2, H, W) real and imaginary parts."""
    return torch.view_as_real(field).permute(0, 3, 1, 2)
