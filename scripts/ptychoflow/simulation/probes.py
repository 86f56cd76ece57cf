"""Probes to simulate: complex wave fields at the sample with Σ|P|² = photons in the empty beam."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from ptychoflow.errors import InputError


@dataclass
class ProbeSettings:
    """The simulated probe.

    Parameters
    ----------
    kind : {"zone_plate", "disk", "diffuser"}
        The defocused, curved probe of a zone plate, a smoothed disk, or the full field behind a diffuser.
    flux : float
        Photons in the empty beam for each frame.
    modes : int
        Mutually incoherent modes: Hermite-Gauss derivatives of the first, each with half the power of the one before.
    disk_diameter : float
        Diameter of `disk` as a fraction of the frame.
    disk_curvature : float
        Phase of `disk` at its edge in radians, growing as the square of the radius; 0 is the ideal, flat disk.
    zone_plate_diameter : float
        Metres.
    focal_length : float
        Metres.
    defocus : float
        Distance from focus to sample in metres; the beam is divergent where it is positive.
    central_stop : float
        Diameter of the central stop as a fraction of the zone plate's.
    diffuser_phase : float
        Root mean square phase of `diffuser` in radians; it is always the same one.
    diffuser_grain : float
        Standard deviation in pixels of the blur that makes it smooth.
    """

    kind: Literal["zone_plate", "disk", "diffuser"] = "zone_plate"
    flux: float = 1e6
    modes: int = 1
    disk_diameter: float = 0.4
    disk_curvature: float = 0.0
    zone_plate_diameter: float = 160e-6
    focal_length: float = 20e-3
    defocus: float = 40e-6
    central_stop: float = 0.3
    diffuser_phase: float = 1.5
    diffuser_grain: float = 3.0

    def __post_init__(self) -> None:
        # Poisson counts are drawn as 64-bit integers.
        if not 0 < self.flux <= 1e18:
            raise InputError(f"probe.flux is {self.flux}: expected a positive number of photons, at most 1e18")
        if not 0 < self.disk_diameter <= 1:
            raise InputError(f"probe.disk_diameter is {self.disk_diameter}: expected a fraction above 0, at most 1")
        if not 0 <= self.central_stop < 1:
            raise InputError(f"probe.central_stop is {self.central_stop}: expected at least 0 and below 1")
        if not self.diffuser_grain > 0:
            raise InputError(f"probe.diffuser_grain is {self.diffuser_grain}: expected a positive number of pixels")
        if self.modes < 1:
            raise InputError(f"probe.modes is {self.modes}: expected at least 1")


def make_probe(settings: ProbeSettings, size: int, pixel_size: float, wavelength: float) -> np.ndarray:
    """Compute the probe, (modes, N, N) complex128, Σ|P|² = flux.

    Parameters
    ----------
    settings : ProbeSettings
        Kind and dimensions.
    size : int
        Edge length N in pixels.
    pixel_size : float
        Pixel at the sample in metres.
    wavelength : float
        Metres.
    """
    if settings.kind == "disk":
        mode = disk_probe(size, settings.disk_diameter, settings.disk_curvature)
    elif settings.kind == "diffuser":
        mode = diffuser_probe(size, settings.diffuser_phase, settings.diffuser_grain)
    else:
        mode = zone_plate_probe(settings, size, pixel_size, wavelength)
    modes = [mode]
    while len(modes) < settings.modes:
        modes.append(np.gradient(modes[-1], axis=len(modes) % 2))
    powers = 0.5 ** np.arange(settings.modes)
    scale = np.sqrt(settings.flux * powers / powers.sum())
    return np.stack([s * mode / np.linalg.norm(mode) for s, mode in zip(scale, modes, strict=True)])


def disk_probe(size: int, diameter: float, curvature: float = 0.0) -> np.ndarray:
    """Disk with soft edges, (N, N) complex128; the diameter is a fraction of N, the curvature the phase at its edge."""
    axis = np.arange(size) - size // 2
    radius = np.hypot(axis[:, None], axis[None, :]) / (diameter * size / 2)
    disk = ndimage.gaussian_filter((radius < 1).astype(float), size / 64)
    return disk * np.exp(1j * curvature * radius**2)


def diffuser_probe(size: int, phase: float, grain: float) -> np.ndarray:
    """Full field behind a diffuser, (N, N) complex128, which ends softly in the outer eighth of the frame.

    Parameters
    ----------
    size : int
        Edge length N in pixels.
    phase : float
        Root mean square in radians.
    grain : float
        Standard deviation in pixels of the blur that makes it smooth.
    """
    rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(size, size)), grain, mode="wrap")
    edge = np.minimum(np.arange(size), size - np.arange(size)) / (size / 8)
    window = np.sin(np.pi / 2 * edge.clip(0, 1)) ** 2
    return window[:, None] * window[None, :] * np.exp(1j * phase * rough / rough.std())


def zone_plate_probe(settings: ProbeSettings, size: int, pixel_size: float, wavelength: float) -> np.ndarray:
    """Annular pupil of a zone plate carried to the sample by Fresnel propagation, (N, N) complex128.

    The pupil at radius u has spatial frequency q = u / (λ f); defocus multiplies it by exp(−iπ λ z q²) (Goodman,
    Introduction to Fourier Optics, 4th ed., section 5.2).

    Raises
    ------
    InputError
        Where the pixels are too coarse for the zone plate's aperture or the beam overfills the frame.
    """
    cutoff = settings.zone_plate_diameter / (2 * wavelength * settings.focal_length)
    if cutoff * pixel_size > 0.5:
        raise InputError(
            f"probe.zone_plate_diameter {settings.zone_plate_diameter} m needs pixels of at most {0.5 / cutoff:.3g} m, "
            f"found {pixel_size:.3g} m"
        )
    width = abs(settings.defocus) * settings.zone_plate_diameter / settings.focal_length
    if width > 0.8 * size * pixel_size:
        raise InputError(
            f"probe.defocus {settings.defocus} m spreads the beam over {width / pixel_size:.0f} pixels: "
            f"expected at most 80 % of the frame's {size}"
        )
    frequency = np.fft.fftfreq(size, pixel_size)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    # Soft edges one frequency sample wide keep the probe from ringing across the frame.
    sample = 1 / (size * pixel_size)
    aperture = np.clip((cutoff - radius) / sample + 0.5, 0, 1)
    stop = np.clip((settings.central_stop * cutoff - radius) / sample + 0.5, 0, 1)
    pupil = (aperture - stop) * np.exp(-1j * np.pi * wavelength * settings.defocus * radius**2)
    return np.fft.fftshift(np.fft.ifft2(pupil))
