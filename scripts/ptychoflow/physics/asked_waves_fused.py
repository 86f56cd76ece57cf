"""`ask_of_waves` as one kernel of a GPU: each wave is read twice and written once, where torch makes some 25 passes.

What torch computes is the reference, and what runs wherever there is no Triton.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.steps import DARK, FEW

BLOCK = 1024
"""Pixels of a program."""
SUMS = 4
"""Slope, curvature, misfit and noise."""


# Sizes are no reason to compile anew.
@triton.jit(do_not_specialize=["frames", "modes", "pixels", "amplitude_step", "good_step", "scale_step"])
def _ask(
    waves,
    amplitudes,
    good,
    dark,
    scale,
    sums,
    frames,
    modes,
    pixels,
    amplitude_step,
    good_step,
    scale_step,
    many_photons,
    few: tl.constexpr,
    faint: tl.constexpr,
    unbiased: tl.constexpr,
    with_background: tl.constexpr,
    block: tl.constexpr,
    numbers: tl.constexpr,
):
    place = tl.program_id(0).to(tl.int64)
    scan, frame = place // frames, place % frames
    pixel = tl.program_id(1) * block + tl.arange(0, block)
    inside = pixel < pixels
    first = waves + 2 * (place * modes * pixels + pixel)
    intensity = tl.zeros((block,), tl.float32) + tl.load(dark + scan)
    for mode in range(modes):
        wave = first + 2 * mode * pixels
        real, imaginary = tl.load(wave, mask=inside, other=0.0), tl.load(wave + 1, mask=inside, other=0.0)
        intensity += real * real + imaginary * imaginary
    amplitude = tl.load(amplitudes + scan * amplitude_step + frame * pixels + pixel, mask=inside, other=0.0)
    bright = tl.load(good + scan * good_step + pixel, mask=inside, other=0.0)
    root = tl.load(scale + scan * scale_step)
    per_photon = root * root
    ratio = (amplitude * tl.rsqrt(intensity) - 1) * bright
    photons = intensity * per_photon

    total = sums + (place * tl.num_programs(1) + tl.program_id(1)) * numbers
    if with_background:
        inverse = 1 / (intensity + 0.1 / per_photon)
        weight = intensity * inverse
        relative = ratio * (ratio + 2) * weight
        tl.store(total, tl.sum(relative, axis=0))
        tl.store(total + 1, tl.sum((relative + bright * weight) * inverse, axis=0))
    tl.store(total + 2, tl.sum(ratio * ratio * intensity, axis=0))
    few_photons = tl.minimum(photons, many_photons)
    above = ((2.3332 * few_photons + 0.9355) * few_photons + 2) * few_photons
    below = ((4 * 2.3332 * few_photons - 4.8359) * few_photons + 5.9017) * few_photons + 1
    tl.store(total + 3, tl.sum(above / below * bright, axis=0))

    if unbiased:
        by_photons = tl.minimum((1 + 0.5 * ratio) * (photons / (photons + faint)), 2.0) - 1
        ratio += ratio * by_photons / (1 + photons * photons / (few * few))
    for mode in range(modes):
        wave = first + 2 * mode * pixels
        tl.store(wave, tl.load(wave, mask=inside, other=0.0) * ratio, mask=inside)
        tl.store(wave + 1, tl.load(wave + 1, mask=inside, other=0.0) * ratio, mask=inside)


def fused_sums(
    waves: Complex[Tensor, "batch frames modes N N"],
    amplitudes: Float[Tensor, "#batch frames N N"],
    mask: Bool[Tensor, "#batch 1 N N"],
    dark: Float[Tensor, "batch"],
    scale: Float[Tensor, "#batch"],
    unbiased: bool,
    with_background: bool,
    many_photons: float,
) -> tuple[Complex[Tensor, "batch frames modes N N"], Float[Tensor, "batch sums"]]:
    """Make waves complex64 their changes, in place, and give those and (batch, SUMS) float32, noise in photons.

    Parameters are those of `ptychoflow.physics.asked_waves.ask_of_waves`, and the photons whose noise that of more is.
    """
    waves, amplitudes = waves.contiguous(), amplitudes.contiguous()
    batch, frames, modes, height, width = waves.shape
    pixels = height * width
    good = mask.to(torch.float32).contiguous()
    blocks = triton.cdiv(pixels, BLOCK)
    sums = waves.real.new_zeros(batch, frames * blocks, SUMS)
    _ask[(batch * frames, blocks)](
        torch.view_as_real(waves),
        amplitudes,
        good,
        dark.contiguous(),
        scale.contiguous(),
        sums,
        frames,
        modes,
        pixels,
        0 if len(amplitudes) == 1 else frames * pixels,
        0 if len(good) == 1 else pixels,
        0 if len(scale) == 1 else 1,
        many_photons,
        few=FEW,
        faint=DARK,
        unbiased=unbiased,
        with_background=with_background,
        block=BLOCK,
        numbers=SUMS,
    )
    return waves, sums.sum(dim=1)
