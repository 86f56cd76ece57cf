"""What another size, another place or other pixels of a detector mean for frames and probe."""

import logging
from collections.abc import Sequence

import numpy as np

from ptychoflow.errors import InputError

log = logging.getLogger(__name__)

LARGEST_LOSS = 0.005
"""Share of the light of a probe outside the field of binned frames that is worth a warning; 0.008 cost 5 %."""


def resampled_probe(probe: np.ndarray, width: int, fine: int, size: int) -> np.ndarray:
    """Bring a probe onto the sample pixels of another detector.

    A detector of another width has another pixel at the sample over the same field: the probe's spectrum is cropped or
    padded. A coarser one has a smaller field: the probe itself is cropped. Both keep the photons of every far-field
    pixel that remains. A warning tells where the probe is too large for its field.

    Parameters
    ----------
    probe : ndarray
        (modes, M, M) complex, on the sample pixels λ z / (width p).
    width : int
        Width of the frames that the probe belongs to, in detector pixels p.
    fine : int
        Width of the new frames in those same detector pixels.
    size : int
        Edge length N of the new frames.

    Returns
    -------
    ndarray
        (modes, N, N) complex128.
    """
    axes = (-2, -1)
    field = centred_window(np.asarray(probe, complex), width)
    if fine != width:
        spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(field, axes=axes), norm="ortho"), axes=axes)
        spectrum = np.fft.ifftshift(centred_window(spectrum, fine), axes=axes)
        field = np.fft.fftshift(np.fft.ifft2(spectrum, norm="ortho"), axes=axes)
    light, field = np.linalg.norm(field) ** 2, centred_window(field, size)
    lost = 1 - np.linalg.norm(field) ** 2 / light if light else 0.0
    if lost > LARGEST_LOSS:
        log.warning("a binned field of %d pixels leaves out %.0f %% of the probe's light", size, 100 * lost)
    return field


def tilted(probe: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
    """Tilt a probe (modes, N, N), so that its far field moves by a distance (row, column) in pixels of the frames."""
    if not any(offset):
        return probe
    size = probe.shape[-1]
    axis = (np.arange(size) - size // 2) / size
    return probe * np.exp(2j * np.pi * (offset[0] * axis[:, None] + offset[1] * axis[None, :]))


def centred_window(field: np.ndarray, size: int) -> np.ndarray:
    """Crop or zero-pad (..., M, M) to (..., size, size), so that pixel M // 2 becomes pixel size // 2."""
    return window(field, [length // 2 - size // 2 for length in field.shape[-2:]], size)


def window(field: np.ndarray, start: Sequence[int], size: int) -> np.ndarray:
    """Cut (..., size, size) out of (..., H, W) from a pixel on that may lie outside; zero where there is nothing."""
    ends = [(low, low + size, length) for low, length in zip(start, field.shape[-2:], strict=True)]
    inside = field[..., *(slice(max(low, 0), max(min(high, length), 0)) for low, high, length in ends)]
    if inside.shape[-2:] == (size, size):
        return inside
    margins = [(max(-low, 0), max(high - length, 0)) for low, high, length in ends]
    return np.pad(inside, [(0, 0)] * (field.ndim - 2) + margins)


def largest_size(pixel: tuple[int, ...], shape: tuple[int, int], binning: int) -> int:
    """Largest even edge length, in binned pixels, of a square about a pixel of frames (H, W) that lies within them."""
    size = 2 * min(min(place, length - place) // binning for place, length in zip(pixel, shape, strict=True))
    if size < 8:
        raise InputError(
            f"about pixel {pixel} the frames of {shape} hold {size} pixels of binning {binning}: "
            "expected at least 8, or detector.size"
        )
    return size


def binned_weight(good: np.ndarray, saturated: np.ndarray, start: Sequence[int], size: int, binning: int) -> np.ndarray:
    """What sums of good pixels are multiplied by, (N, N) float32; 0 for bad ones.

    Half of the pixels may be missing in a sum, but none for too much light: the others tell too little of it.
    """
    parts = (size, binning, size, binning)
    present = window(good, start, size * binning).reshape(parts).sum(axis=(1, 3))
    spoilt = window(saturated, start, size * binning).reshape(parts).any(axis=(1, 3))
    usable = (2 * present >= binning**2) & ~spoilt
    return np.where(usable, binning**2 / np.maximum(present, 1), 0).astype(np.float32)
