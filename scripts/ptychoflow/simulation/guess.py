"""The probe that a simulated file names, where it is not the one that its frames were taken with."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.settings.simulation import GuessSettings, ProbeSettings
from ptychoflow.simulation.probes import EDGE, disk_probe, smooth_phase, with_modes


def guessed_probe(
    guess: GuessSettings,
    settings: ProbeSettings,
    probe: np.ndarray,
    make: Callable[[ProbeSettings], np.ndarray],
    random: np.random.Generator,
) -> np.ndarray:
    """Compute the probe that is written down, (modes, N, N) complex128; the true one itself where nothing is wrong.

    Parameters
    ----------
    guess : GuessSettings
        What is wrong with it.
    settings : ProbeSettings
        Of the true probe.
    probe : ndarray
        (modes, N, N) complex, the true probe.
    make : callable
        Makes a probe of other settings in the same frame, with the same aberrations.
    random : numpy.random.Generator
        Source of its phase error.

    Raises
    ------
    InputError
        For another defocus of a diffuser, or one that spreads the beam over more than the frame.
    """
    count = guess.modes or len(probe)
    size = probe.shape[-1]
    if guess.kind != "probe":
        guessed = with_modes(disk_probe(size, disk_diameter(probe) / size), count, settings.flux)
    elif guess.defocus_factor != 1 or count != len(probe):
        guessed = make(_refocused(replace(settings, modes=count), guess.defocus_factor))
    else:
        guessed = probe
    if guess.phase_error:
        weight = (np.abs(guessed) ** 2).sum(axis=0)
        guessed = guessed * np.exp(1j * smooth_phase(weight, guess.phase_error, random))
    frequency, place = np.fft.fftfreq(size), np.arange(size) - size // 2
    if any(guess.shift):
        ramp = [np.exp(-2j * np.pi * frequency * pixels) for pixels in guess.shift]
        guessed = np.fft.ifft2(np.fft.fft2(guessed) * ramp[0][:, None] * ramp[1])
    if any(guess.tilt):
        ramp = [np.exp(2j * np.pi * place * pixels / size) for pixels in guess.tilt]
        guessed = guessed * ramp[0][:, None] * ramp[1]
    return guessed if guess.amplitude == 1 else guess.amplitude * guessed


def disk_diameter(probe: np.ndarray) -> float:
    """Diameter in pixels of the `disk_probe` that has half of its light as near its middle as a probe has.

    Unlike the rms radius, half of the light is not moved by the faint light far out that focused beams have.
    """
    light = (np.abs(probe) ** 2).sum(axis=0)
    rows, columns = np.indices(light.shape)
    middle = [np.average(axis, weights=light) for axis in (rows, columns)]
    radius = np.hypot(rows - middle[0], columns - middle[1])
    # Rings a pixel wide, into which every pixel goes in two parts: single radii come in steps.
    ring = radius.astype(int)
    part = light * (radius - ring)
    inside = np.cumsum(np.bincount(ring.ravel(), (light - part).ravel(), ring.max() + 2))
    inside += np.append(0, np.cumsum(np.bincount(ring.ravel(), part.ravel(), ring.max() + 1)))
    half = np.interp(inside[-1] / 2, inside, np.arange(len(inside)) + 0.5)
    # The soft edge of its amplitude, σ wide, makes the light of a disk narrower by 2 σ / √π than the disk.
    edge = 2 * len(light) * EDGE / np.sqrt(np.pi)
    return float(np.clip(2 * np.sqrt(2) * half + edge, 2, len(light)))


def _refocused(settings: ProbeSettings, factor: float) -> ProbeSettings:
    if settings.kind == "diffuser" and factor != 1:
        raise InputError(f"guess.defocus_factor is {factor}: expected 1 for a diffuser, which has no focus")
    return replace(settings, defocus=settings.defocus * factor, disk_curvature=settings.disk_curvature * factor)
