"""Probes to simulate: complex wave fields at the sample with Σ|P|² = photons in the empty beam."""

import numpy as np
from scipy import ndimage

from ptychoflow.errors import InputError
from ptychoflow.settings.simulation import ProbeSettings

EDGE = 1 / 64
"""Standard deviation of the blur that makes the edge of a disk soft, as a fraction of the frame."""


def make_probe(
    settings: ProbeSettings,
    size: int,
    pixel_size: float,
    wavelength: float,
    random: np.random.Generator | None = None,
) -> np.ndarray:
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
    random : numpy.random.Generator, optional
        Source of the aberrations, where there are any; always the same ones if not given.
    """
    random = np.random.default_rng(0) if random is None else random
    if settings.kind in ("zone_plate", "mirror"):
        pupil = zone_plate_pupil if settings.kind == "zone_plate" else mirror_pupil
        spectrum = pupil(settings, size, pixel_size, wavelength)
        if settings.phase_error:
            spectrum = spectrum * np.exp(1j * smooth_phase(np.abs(spectrum) ** 2, settings.phase_error, random))
        mode = np.fft.fftshift(np.fft.ifft2(spectrum))
    else:
        if settings.kind == "disk":
            mode = disk_probe(size, settings.disk_diameter, settings.disk_curvature)
        else:
            mode = diffuser_probe(size, settings.diffuser_phase, settings.diffuser_grain, settings.diffuser_seed)
        if settings.phase_error:
            mode = mode * np.exp(1j * smooth_phase(np.abs(mode) ** 2, settings.phase_error, random))
    return with_modes(mode, settings.modes, settings.flux)


def with_modes(mode: np.ndarray, count: int, flux: float) -> np.ndarray:
    """Make a probe (count, N, N) complex128 with Σ|P|² = flux of its first mode (N, N) and of its derivatives."""
    modes = [mode]
    while len(modes) < count:
        modes.append(np.gradient(modes[-1], axis=len(modes) % 2))
    powers = 0.5 ** np.arange(count)
    scale = np.sqrt(flux * powers / powers.sum())
    return np.stack([s * mode / np.linalg.norm(mode) for s, mode in zip(scale, modes, strict=True)])


def smooth_phase(weight: np.ndarray, rms: float, random: np.random.Generator) -> np.ndarray:
    """Draw a smooth phase, (N, N) float64 radians, of a root mean square about its mean where the light is.

    Parameters
    ----------
    weight : ndarray
        (N, N) intensity of the light, whose width gives the scale of the phase.
    rms : float
        Radians.
    random : numpy.random.Generator
        Source of randomness.
    """
    width = np.sqrt(weight.sum() / weight.max())
    phase = ndimage.gaussian_filter(random.standard_normal(weight.shape), width / 5, mode="wrap")
    phase -= np.average(phase, weights=weight)
    return rms * phase / np.sqrt(np.average(phase**2, weights=weight))


def disk_probe(size: int, diameter: float, curvature: float = 0.0) -> np.ndarray:
    """Disk with soft edges, (N, N) complex128; the diameter is a fraction of N, the curvature the phase at its edge."""
    axis = np.arange(size) - size // 2
    radius = np.hypot(axis[:, None], axis[None, :]) / (diameter * size / 2)
    disk = ndimage.gaussian_filter((radius < 1).astype(float), size * EDGE)
    return disk * np.exp(1j * curvature * radius**2)


def diffuser_probe(size: int, phase: float, grain: float, seed: int = 0) -> np.ndarray:
    """Full field behind a diffuser, (N, N) complex128, which ends softly in the outer eighth of the frame.

    Parameters
    ----------
    size : int
        Edge length N in pixels.
    phase : float
        Root mean square in radians.
    grain : float
        Standard deviation in pixels of the blur that makes it smooth.
    seed : int
        Which diffuser it is.
    """
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), grain, mode="wrap")
    edge = np.minimum(np.arange(size), size - np.arange(size)) / (size / 8)
    window = np.sin(np.pi / 2 * edge.clip(0, 1)) ** 2
    return window[:, None] * window[None, :] * np.exp(1j * phase * rough / rough.std())


def zone_plate_pupil(settings: ProbeSettings, size: int, pixel_size: float, wavelength: float) -> np.ndarray:
    """Annular pupil of a zone plate with the phase of its way to the sample, as `annular_pupil` gives it.

    The pupil at radius u has spatial frequency q = u / (λ f).

    Raises
    ------
    InputError
        Where the pixels are too coarse for the zone plate's aperture or the beam overfills the frame.
    """
    cutoff = _cutoff(settings, "zone_plate_diameter", settings.zone_plate_diameter, size, pixel_size, wavelength)
    return annular_pupil(cutoff, settings.central_stop, settings.defocus, size, pixel_size, wavelength)


def annular_pupil(
    cutoff: float, central_stop: float | None, defocus: float, size: int, pixel_size: float, wavelength: float
) -> np.ndarray:
    """Annular pupil with the phase of its way from the focus to the sample, (N, N) complex128, zero frequency first.

    Defocus multiplies it by exp(−iπ λ z q²) (Goodman, Introduction to Fourier Optics, 4th ed., section 5.2).

    Parameters
    ----------
    cutoff : float
        Highest spatial frequency in 1/m, the sine of half the cone's angle over the wavelength.
    central_stop : float, optional
        Share of the cutoff below which no light is; its edge takes half of the zero frequency where it is 0.
    defocus : float
        Metres from the focus to the sample; the beam is divergent where it is positive.
    size : int
        Edge length N in pixels.
    pixel_size, wavelength : float
        Metres.
    """
    frequency = np.fft.fftfreq(size, pixel_size)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    # Soft edges one frequency sample wide keep the probe from ringing across the frame.
    sample = 1 / (size * pixel_size)
    aperture = np.clip((cutoff - radius) / sample + 0.5, 0, 1)
    if central_stop is not None:
        aperture = aperture - np.clip((central_stop * cutoff - radius) / sample + 0.5, 0, 1)
    return aperture * np.exp(-1j * np.pi * wavelength * defocus * radius**2)


def mirror_pupil(settings: ProbeSettings, size: int, pixel_size: float, wavelength: float) -> np.ndarray:
    """Rectangular pupil of crossed mirrors (Kirkpatrick and Baez), (N, N) complex128, otherwise as a zone plate's."""
    cutoffs = tuple(
        _cutoff(settings, "mirror_aperture", width, size, pixel_size, wavelength) for width in settings.mirror_aperture
    )
    return rectangular_pupil(cutoffs, settings.defocus, size, pixel_size, wavelength)


def rectangular_pupil(
    cutoffs: tuple[float, float], defocus: float, size: int, pixel_size: float, wavelength: float
) -> np.ndarray:
    """Rectangular pupil, as `annular_pupil`, with a cutoff along the rows and one along the columns."""
    frequency, sample = np.fft.fftfreq(size, pixel_size), 1 / (size * pixel_size)
    lines = []
    for cutoff in cutoffs:
        edge = np.clip((cutoff - np.abs(frequency)) / sample + 0.5, 0, 1)
        lines.append(edge * np.exp(-1j * np.pi * wavelength * defocus * frequency**2))
    return lines[0][:, None] * lines[1][None, :]


def _cutoff(settings: ProbeSettings, key: str, width: float, size: int, pixel_size: float, wavelength: float) -> float:
    """Highest spatial frequency in 1/m of light from a pupil of a width in metres, once frame and pixels bear it."""
    cutoff = width / (2 * wavelength * settings.focal_length)
    if cutoff * pixel_size > 0.5:
        raise InputError(
            f"probe.{key} {width} m needs pixels of at most {0.5 / cutoff:.3g} m, found {pixel_size:.3g} m"
        )
    spread = abs(settings.defocus) * width / settings.focal_length
    if spread > 0.8 * size * pixel_size:
        raise InputError(
            f"probe.defocus {settings.defocus} m spreads the beam over {spread / pixel_size:.0f} pixels: "
            f"expected at most 80 % of the frame's {size}"
        )
    return cutoff
