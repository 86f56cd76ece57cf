"""Probes that are known by their far field: of a pupil out of focus, and of a coarser or finer frame."""

import torch
from torch import Tensor

from ptychoflow.physics.linearised import curvatures


def pupil_of(counts: Tensor) -> Tensor:
    """Amplitude (N, N) float of the probe's far field, from mean counts (N, N), zero frequency in the corner."""
    return counts.clamp_min(0).sqrt()


def defocused(pupil: Tensor, defocus: float) -> Tensor:
    """Probe (N, N) complex64 of a pupil out of focus, F⁻¹[pupil exp(−iπ c q²)] with q in cycles per pixel.

    Parameters
    ----------
    pupil : Tensor
        (N, N) float, zero frequency in the corner.
    defocus : float
        c in pixels², λ z over the square of a pixel (Goodman, Introduction to Fourier Optics, 4th ed., section 5.2).
    """
    square = curvatures(len(pupil), pupil.device)[0]
    phase = torch.polar(torch.ones_like(square), -torch.pi * defocus * square).to(torch.complex64)
    return torch.fft.fftshift(torch.fft.ifft2(pupil * phase, norm="ortho"))


def pupil_radius(pupil: Tensor, share: float = 0.9) -> float:
    """Frequency in cycles per pixel within which a share of a pupil's power lies, at least half of the least one."""
    frequency = torch.fft.fftfreq(len(pupil), device=pupil.device)
    radius = torch.hypot(frequency[:, None], frequency[None, :]).flatten()
    order = radius.argsort()
    power = pupil.square().flatten()[order].cumsum(0)
    found = float(radius[order][torch.searchsorted(power, share * power[-1]).clamp_max(len(order) - 1)])
    return max(found, 0.5 / len(pupil))


def disk(size: int, diameter: float) -> Tensor:
    """Flat disk with soft edges, (N, N) complex64; the diameter is a share of N."""
    axis = torch.arange(size) - size // 2
    distance = diameter * size / 2 - torch.hypot(axis[:, None].float(), axis[None, :].float())
    return torch.sigmoid(2 * distance).to(torch.complex64)


def cropped(counts: Tensor, size: int) -> Tensor:
    """Low frequencies of frames (..., N, N) whose zero frequency is in the corner, (..., size, size)."""
    half = size // 2
    keep = torch.cat([torch.arange(half), torch.arange(counts.shape[-1] - half, counts.shape[-1])])
    return counts[..., keep[:, None], keep]


def embedded(probe: Tensor, size: int) -> Tensor:
    """The probe (modes, n, n) of cropped far fields in a finer frame, (modes, N, N): its far field is 0 beyond."""
    far = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(probe, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.ifft2(padded(far, size), norm="ortho"), dim=(-2, -1))


def padded(images: Tensor, size: int) -> Tensor:
    """Zeros round images (..., N, N) whose middle is their zero frequency, (..., size, size) with it in the corner."""
    before = size // 2 - images.shape[-1] // 2
    wide = torch.nn.functional.pad(images, [before, size - images.shape[-1] - before] * 2)
    return torch.fft.ifftshift(wide, dim=(-2, -1))


def coarse_probe(probe: Tensor, size: int) -> Tensor:
    """Low frequencies of a probe (modes, N, N), (modes, size, size)."""
    far = torch.fft.fft2(torch.fft.ifftshift(probe, dim=(-2, -1)))
    return torch.fft.fftshift(torch.fft.ifft2(cropped(far, size)), dim=(-2, -1))


def refocused(probe: Tensor, defocus: float, upright: float = 0.0, oblique: float = 0.0) -> Tensor:
    """The probe (..., N, N) complex farther from its focus by a defocus in pixels², see `defocused`.

    Or by two astigmatisms: what rows are farther than columns, and what both are in the directions between.
    """
    squares = curvatures(probe.shape[-1], probe.device)
    turns = torch.einsum("c,cij->ij", squares.new_tensor([defocus, upright, oblique]), squares)
    phase = torch.polar(torch.ones_like(turns), -torch.pi * turns).to(probe.dtype)
    far = torch.fft.fft2(torch.fft.ifftshift(probe, dim=(-2, -1)))
    return torch.fft.fftshift(torch.fft.ifft2(phase * far), dim=(-2, -1))


def focus_of(probe: Tensor) -> float:
    """Defocus in pixels² of a probe (N, N) complex: that which makes the sharpest focus when it is taken out.

    The sharpest is the brightest point of light whose far field has no other phase but a tilt, so that neither the
    shape of the pupil nor where the probe lies counts.
    """
    size = probe.shape[-1]
    square = curvatures(size, probe.device)[0]
    far = torch.fft.fft2(torch.fft.ifftshift(probe, dim=(-2, -1)))
    weighted = far * far.abs()
    # Beyond, the beam would be wider than its frame; a step turns the rim of the pupil by a third of a radian.
    radius = pupil_radius(far.abs())
    step = 1 / (3 * torch.pi * radius**2)
    reach = int(size / (2 * radius) / step) + 1

    def brightest(defocus: float) -> float:
        phase = torch.polar(torch.ones_like(square), torch.pi * defocus * square).to(far.dtype)
        # Finer than a pixel, so that it does not matter where the focus falls.
        return float(torch.fft.ifft2(padded(torch.fft.fftshift(phase * weighted), 2 * size)).abs().max())

    peaks = [brightest(step * number) for number in range(-reach, reach + 1)]
    best = max(range(len(peaks)), key=peaks.__getitem__)
    if not 0 < best < len(peaks) - 1:
        return step * (best - reach)
    low, top, high = peaks[best - 1 : best + 2]
    return step * (best - reach + 0.5 * (low - high) / (low - 2 * top + high))
