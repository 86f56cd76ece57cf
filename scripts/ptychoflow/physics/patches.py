"""Patches of an object at sub-pixel scan positions, and their merging into one object.

Positions are (row, column) pixels of the patch centre in the object frame; the centre of an N×N patch is its pixel
N // 2. Fractional parts are carried out as Fourier shifts, so extracting and merging lose no resolution.
"""

import torch
from jaxtyping import Complex, Float, Inexact, Int, Shaped
from torch import Tensor
from torch.autograd.function import FunctionCtx

MARGIN = 8
"""Pixels over which a patch fades to zero before it is shifted, so that the periodic transform rings nowhere."""


def fourier_shift(
    images: Complex[Tensor, "*#axes H W"], shifts: Float[Tensor, "*#axes 2"]
) -> Complex[Tensor, "*axes H W"]:
    """Move images by a fraction of a pixel through the Fourier shift theorem.

    Parameters
    ----------
    images : Tensor
        (..., H, W) complex, periodic at their edges.
    shifts : Tensor
        (..., 2) float, (row, column) pixels; the content moves towards larger indices.

    Returns
    -------
    Tensor
        (..., H, W) complex.
    """
    return torch.fft.ifft2(torch.fft.fft2(images) * shift_factors(images.shape[-2:], shifts))


def shift_factors(
    shape: tuple[int, int], shifts: Float[Tensor, "*axes 2"]
) -> Complex[Tensor, "*axes {shape[0]} {shape[1]}"]:
    """Factors (..., H, W) complex by which a shift (..., 2) in pixels multiplies a Fourier transform."""
    rows, columns = (_line_factors(length, shift) for length, shift in zip(shape, shifts.unbind(-1), strict=True))
    # A product of complex numbers takes far less time than a sine and a cosine.
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)


def _line_factors(length: int, shifts: Tensor) -> Tensor:
    """exp(−2πi q s) of frequencies q and shifts (...) along an axis of so many pixels, (..., length)."""
    angles = shifts.unsqueeze(-1) * torch.fft.fftfreq(
        length, -1 / (2 * torch.pi), device=shifts.device, dtype=shifts.dtype
    )
    return torch.polar(torch.ones_like(angles), angles)


def extract_patches(
    objects: Complex[Tensor, "batch H W"], positions: Float[Tensor, "batch patches 2"], size: int
) -> Complex[Tensor, "batch patches {size} {size}"]:
    """Cut patches out of objects at sub-pixel positions.

    Parameters
    ----------
    objects : Tensor
        (batch, H, W) complex; taken as zero outside.
    positions : Tensor
        (batch, patches, 2) float, (row, column) pixels of the patch centres.
    size : int
        Edge length N of a patch in pixels.

    Returns
    -------
    Tensor
        (batch, patches, N, N) complex.
    """
    corner, fraction = split_positions(positions, size)
    padded = torch.nn.functional.pad(objects, [MARGIN] * 4)
    # In the padded frame the margin's corner has the index of the patch's own corner in the object.
    wide = size + 2 * MARGIN
    crops = crop_patches(padded, corner, wide) * fade(wide, torch.zeros_like(positions[:1, :1]))
    return fourier_shift(crops, -fraction)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def accumulate_patches(
    patches: Complex[Tensor, "batch patches N N"],
    weight: Float[Tensor, "#batch 1 N N"],
    positions: Float[Tensor, "batch patches 2"],
    shape: tuple[int, int],
) -> tuple[Complex[Tensor, "batch {shape[0]} {shape[1]}"], Float[Tensor, "batch {shape[0]} {shape[1]}"]]:
    """Add weighted patches into one object each, and their weights beside them.

    Each patch, faded over its outermost pixels, is shifted by its sub-pixel fraction; only then it is weighted, so
    that fine fringes of the probe cannot alias into the object. The coverage fades alike and divides that out again.

    Parameters
    ----------
    patches : Tensor
        (batch, patches, N, N) complex.
    weight : Tensor
        (batch or 1, 1, N, N) real, the probe intensity; its maximum counts as 1.
    positions : Tensor
        (batch, patches, 2) float, (row, column) pixels of the patch centres.
    shape : tuple of int
        (H, W) of the objects.

    Returns
    -------
    total : Tensor
        (batch, H, W) complex, the weighted sum.
    coverage : Tensor
        (batch, H, W) float, the accumulated weight.
    """
    corner, fraction = split_positions(positions, patches.shape[-1])
    lit, light = lit_patches(patches, weight, fraction)
    return add_patches(lit, corner, shape), add_patches(light, corner, shape)


def lit_patches(
    patches: Complex[Tensor, "batch patches N N"],
    weight: Float[Tensor, "#batch 1 N N"],
    fraction: Float[Tensor, "batch patches 2"],
) -> tuple[Complex[Tensor, "batch patches N N"], Float[Tensor, "batch patches N N"]]:
    """Fade patches out, move them by fractions (batch, patches, 2) of a pixel, and weight them; the weights beside.

    Other parameters are those of `accumulate_patches`.
    """
    size = patches.shape[-1]
    weight = weight / weight.amax(dim=(-2, -1), keepdim=True)
    moved = fourier_shift(patches * fade(size, torch.zeros_like(fraction[:1, :1])), fraction)
    return moved * weight, fade(size, fraction) * weight


def weighted_mean(
    total: Complex[Tensor, "*axes H W"], coverage: Float[Tensor, "*axes H W"], floor: float = 1e-3
) -> Complex[Tensor, "*axes H W"]:
    """Divide accumulated patches by their coverage; far below the floor the object falls back to 1, an empty place.

    The way there is smooth, so that a sub-pixel cut does not carry ringing from the dark into the light.

    Parameters and shapes are what `accumulate_patches` returns.
    """
    return divided(total + floor, coverage + floor)


def divided(values: Complex[Tensor, "*#axes"], by: Float[Tensor, "*#axes"]) -> Complex[Tensor, "*axes"]:
    """Divide complex values by real ones, which torch would take for complex numbers: those take five times as long."""
    return values * by.reciprocal()


def fade(size: int, shifts: Float[Tensor, "*axes 2"]) -> Float[Tensor, "*axes {size} {size}"]:
    """Window that falls from 1 to 0 as a squared cosine over the outermost pixels of a patch moved by `shifts`.

    Parameters
    ----------
    size : int
        Edge length N in pixels.
    shifts : Tensor
        (..., 2) float, (row, column) pixels, below 1.

    Returns
    -------
    Tensor
        (..., N, N) float.
    """
    middle = size / 2
    distance = middle - (torch.arange(size, device=shifts.device) + 0.5 - middle - shifts[..., None]).abs()
    line = torch.sin(torch.pi / 2 * (distance / MARGIN).clamp(0, 1)) ** 2
    return line[..., 0, :, None] * line[..., 1, None, :]


def crop_patches(
    objects: Shaped[Tensor, "batch H W"], corner: Int[Tensor, "batch patches 2"], size: int
) -> Shaped[Tensor, "batch patches {size} {size}"]:
    """Cut (batch, patches, size, size) out of objects (batch, H, W) at corners (batch, patches, 2) int64 pixels."""
    return crop_rows(objects, row_index(corner, size, objects.shape))


def crop_rows(
    objects: Shaped[Tensor, "batch H W"], rows: Int[Tensor, "batch patches N"]
) -> Shaped[Tensor, "batch patches N N"]:
    """Cut patches out of objects (batch, H, W) whose rows begin at an index of `row_index`."""
    return _Crop.apply(objects, rows) if objects.requires_grad else take_rows(objects, rows)


def add_patches(
    values: Inexact[Tensor, "batch patches N N"], corner: Int[Tensor, "batch patches 2"], shape: tuple[int, int]
) -> Inexact[Tensor, "batch {shape[0]} {shape[1]}"]:
    """Add (batch, patches, N, N) real or complex values into (batch, H, W): the adjoint of `crop_patches`."""
    canvas = values.new_zeros(len(values), *shape)
    return add_at(canvas, patch_index(corner, values.shape[-1], canvas.shape), values)


class _Crop(torch.autograd.Function):
    """`crop_rows`, which torch itself would differentiate by a far longer way than its adjoint."""

    @staticmethod
    def forward(ctx: FunctionCtx, objects: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = objects.shape
        return take_rows(objects, rows)

    @staticmethod
    def backward(ctx: FunctionCtx, change: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return add_at(change.new_zeros(ctx.shape), pixel_index(rows), change), None


def take_rows(
    objects: Shaped[Tensor, "batch H W"], rows: Int[Tensor, "batch patches N"]
) -> Shaped[Tensor, "batch patches N N"]:
    """Values of objects (batch, H, W) in rows of N pixels that begin at an index of `row_index`; without gradient."""
    size = rows.shape[-1]
    flat = objects.contiguous().view(-1)
    # A row is copied as a whole, in a third of the time that its pixels take.
    windows = flat.as_strided((len(flat) - size + 1, size), (1, 1))
    return windows.index_select(0, rows.reshape(-1)).view(*rows.shape, size)


def add_at(
    canvas: Inexact[Tensor, "batch H W"],
    index: Int[Tensor, "batch patches N N"],
    values: Inexact[Tensor, "#batch #patches N N"],
) -> Inexact[Tensor, "batch H W"]:
    """Add values at an index of `patch_index` to a canvas (batch, H, W), in place and in the order of the patches."""
    # In one dimension this takes a third of the time that channels side by side take, and half of what `index_add_`
    # does. It is deterministic on the CPU, and has a deterministic kernel on CUDA.
    flat = values.expand(index.shape).reshape(-1)
    return canvas.view(-1).scatter_add_(0, index.reshape(-1), flat).view(canvas.shape)


def split_positions(
    positions: Float[Tensor, "*axes 2"], size: int
) -> tuple[Int[Tensor, "*axes 2"], Float[Tensor, "*axes 2"]]:
    """Split patch centres into whole-pixel top-left corners, int64, and the fraction in [-0.5, 0.5] that remains."""
    corner = positions - size // 2
    whole = corner.round()
    return whole.long(), corner - whole


def patch_index(
    corner: Int[Tensor, "batch patches 2"], size: int, shape: tuple[int, int, int]
) -> Int[Tensor, "batch patches {size} {size}"]:
    """Index (batch, patches, size, size) of the pixels of patches in flattened (batch, H, W) objects."""
    return pixel_index(row_index(corner, size, shape))


def pixel_index(rows: Int[Tensor, "batch patches N"]) -> Int[Tensor, "batch patches N N"]:
    """Index (batch, patches, N, N) of the pixels of patches from that of the first pixels of their rows."""
    return rows[..., None] + torch.arange(rows.shape[-1], device=rows.device)


def row_index(
    corner: Int[Tensor, "batch patches 2"], size: int, shape: tuple[int, int, int]
) -> Int[Tensor, "batch patches {size}"]:
    """Index (batch, patches, size) of the first pixels of the rows of patches in flattened (batch, H, W) objects."""
    batch, height, width = shape
    # A patch outside would silently touch a neighbour's rows: it is held inside here and refused in validation.
    row, column = (corner[..., axis].clamp(0, shape[1 + axis] - size) for axis in range(2))
    entry = torch.arange(0, batch * height * width, height * width, device=corner.device).unsqueeze(-1)
    first = entry + row * width + column
    return first.unsqueeze(-1) + torch.arange(0, size * width, width, device=corner.device)
