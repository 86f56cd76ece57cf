"""The probe that optics make at the sample, on the pixels of a dataset."""

import math

import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.settings.optics import OpticsSettings
from ptychoflow.simulation.probes import annular_pupil, disk_probe, rectangular_pupil

LARGEST_SHARE = 0.8
"""Of the frame, that a beam out of focus may fill."""
LARGEST_LOSS = 0.01
"""Share of the light behind a pinhole that may leave the frame on its way to the sample."""


def probe_of(settings: OpticsSettings, size: int, pixel: float, wavelength: float) -> np.ndarray:
    """Compute the probe of known optics, (1, N, N) complex128 of any power.

    Parameters
    ----------
    settings : OpticsSettings
        The optics.
    size : int
        Edge length N of a frame.
    pixel : float
        Metres at the sample.
    wavelength : float
        Metres.

    Raises
    ------
    InputError
        Where detector or field are too small for the beam, or the field too large.
    """
    if settings.kind == "pinhole":
        return _pinhole(settings, size, pixel, wavelength)[None]
    cutoffs = [sine / wavelength for sine in numerical_apertures(settings, wavelength)]
    for cutoff in cutoffs:
        _require_fit(settings, cutoff, size, pixel, wavelength)
    if settings.kind == "mirrors":
        pupil = rectangular_pupil(tuple(cutoffs), settings.defocus, size, pixel, wavelength)
    else:
        stop = settings.central_stop / settings.diameter if settings.central_stop else None
        pupil = annular_pupil(cutoffs[0], stop, settings.defocus, size, pixel, wavelength)
    return np.fft.fftshift(np.fft.ifft2(pupil))[None]


def numerical_apertures(settings: OpticsSettings, wavelength: float) -> list[float]:
    """Sine of half the angle of the cone: one of round optics, and one along rows and columns each of mirrors.

    A zone plate sends its first order to λ / (2 Δr) at most, Δr its outermost zone (Attwood, Soft X-Rays and Extreme
    Ultraviolet Radiation, section 9.2).
    """
    if settings.kind == "zone_plate":
        return [wavelength / (2 * settings.outer_zone_width)]
    if settings.kind == "lens":
        return [math.sin(settings.convergence_angle)]
    pairs = zip(settings.aperture, settings.focal_lengths, strict=True)
    return [math.sin(math.atan(width / (2 * focal_length))) for width, focal_length in pairs]


def _require_fit(settings: OpticsSettings, cutoff: float, size: int, pixel: float, wavelength: float) -> None:
    aperture, most, least = cutoff * wavelength, wavelength / (2 * pixel), wavelength / (size * pixel)
    if not least <= aperture <= most:
        raise InputError(
            f"optics: the cone of the {settings.kind} has a half-angle of {aperture:.3g} rad, the detector reaches to "
            f"{most:.3g} in steps of {2 * most / size:.3g}: expected one between (optics, energy or voltage, "
            "detector_distance, detector_pixel_size)"
        )
    width = 2 * aperture * abs(settings.defocus)
    if width > LARGEST_SHARE * size * pixel:
        raise InputError(
            f"optics.defocus of {settings.defocus:g} m spreads the beam over {width / pixel:.0f} pixels: expected at "
            f"most {LARGEST_SHARE:.0%} of the frame's {size}"
        )


def _pinhole(settings: OpticsSettings, size: int, pixel: float, wavelength: float) -> np.ndarray:
    """A soft disk, propagated from the hole to the sample, (N, N) complex128."""
    share = settings.diameter / (size * pixel)
    if not 2 / size <= share <= LARGEST_SHARE:
        raise InputError(
            f"optics.diameter of {settings.diameter:g} m is {share * size:.3g} pixels: expected 2 to "
            f"{LARGEST_SHARE:.0%} of the frame's {size}"
        )
    spectrum = np.fft.fft2(np.fft.ifftshift(disk_probe(size, share)))
    if not settings.defocus:
        return np.fft.fftshift(np.fft.ifft2(spectrum))
    frequency = np.fft.fftfreq(size, pixel)
    square = frequency[:, None] ** 2 + frequency[None, :] ** 2
    # Light of higher frequencies leaves the frame (Matsushima and Shimobaba, Optics Express 17, 19662, 2009).
    kept = np.abs(frequency) <= (1 - share) * size * pixel / (2 * wavelength * abs(settings.defocus))
    held = spectrum * kept[:, None] * kept[None, :]
    lost = 1 - np.sum(np.abs(held) ** 2) / np.sum(np.abs(spectrum) ** 2)
    if lost > LARGEST_LOSS:
        raise InputError(
            f"optics.defocus of {settings.defocus:g} m sends {lost:.0%} of the light behind a hole of "
            f"{settings.diameter:g} m out of the frame of {size * pixel:.3g} m: expected at most {LARGEST_LOSS:.0%}"
        )
    return np.fft.fftshift(np.fft.ifft2(held * np.exp(-1j * np.pi * wavelength * settings.defocus * square)))
