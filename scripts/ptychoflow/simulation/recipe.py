"""Scans of every kind, drawn by number from ranges: what a network that is to meet any scan is trained on.

Lengths are drawn in units of the frame and of the probe, so that the ranges mean the same for all pixels and sizes.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.settings.recipe import WIDEST, RecipeSettings
from ptychoflow.settings.simulation import (
    WITH_OUTLINES,
    GuessSettings,
    ObjectSettings,
    Picture,
    ProbeSettings,
    ScanSettings,
    SimulationSettings,
)

PICTURES = get_args(Picture)
SMOOTH_KINDS = ("wedge", "smooth")
"""Objects without edges, at which many turns of phase would be more than pixels can hold."""
EDGE_PHASE = 5.0
"""Largest phase in radians of the other objects."""


@dataclass
class _Light:
    """A probe that was drawn, and its width and its pupil's as shares of the frame; no pupil where it has none."""

    probe: ProbeSettings
    width: float
    pupil: float | None = None


def draw(settings: RecipeSettings, number: int) -> SimulationSettings:
    """Draw scan `number` of a recipe: the same one whenever and in whatever order scans are drawn.

    Parameters
    ----------
    settings : RecipeSettings
        Ranges.
    number : int
        From 0.
    """
    random = np.random.default_rng([settings.seed, number])
    size = int(random.choice(settings.sizes))
    scan = SimulationSettings(size=size, seed=int(random.integers(2**31)))
    scan.object = _draw_object(settings, size, random)
    light = _draw_light(settings, scan, random)
    # The range is that of the photons that come through.
    light.probe.flux /= scan.object.transmission**2
    scan.probe = light.probe
    scan.scan = _draw_scan(settings, light.width * size, size, random)
    scan.guess = _draw_guess(settings, light, size, random)

    mean_counts = light.probe.flux / size**2
    if random.random() < settings.impaired:
        scan.background = _log_uniform(settings.background, random) * mean_counts
    if random.random() < settings.impaired:
        scan.dead_pixels = _log_uniform(settings.dead_pixels, random)
    if random.random() < settings.impaired and light.pupil is not None:
        # Over a wider share of the pupil next to no light would be left.
        scan.beam_stop = random.uniform(0.1, 0.4) * light.pupil
    if random.random() < settings.impaired:
        scan.flicker = random.uniform(*settings.flicker)
    return scan


def _draw_object(settings: RecipeSettings, size: int, random: np.random.Generator) -> ObjectSettings:
    kind, scale = str(random.choice(settings.objects)), size / 64
    couplings = ["material", "independent"] + ["shapes"] * (kind in WITH_OUTLINES)
    weak = random.random() < settings.weak
    low, high = settings.weak_phase if weak else settings.phase
    phase = _log_uniform((low, high if kind in SMOOTH_KINDS else max(low, min(high, EDGE_PHASE))), random)
    absorption = random.uniform(0, settings.absorption) * (random.random() < 0.8)
    # The phase of a ramp changes over the field, that of all others over a feature.
    feature = (16.0, 48.0) if kind == "wedge" else (8.0, 40.0)
    return ObjectSettings(
        kind=kind,
        coupling=str(random.choice(couplings)),
        phase_shift=phase * _sign(random),
        absorption=absorption * 0.1 if weak else absorption,
        transmission=_log_uniform(settings.transmission, random),
        offset_phase=random.uniform(-np.pi, np.pi),
        feature_size=max(3.0, scale * _log_uniform(feature, random)),
        spectral_slope=random.uniform(2.5, 4.0),
        lines_per_kilopixel=_log_uniform((1.0, 3.0), random) / scale,
        line_width=scale * _log_uniform((2.0, 6.0), random),
        amplitude_image=str(random.choice(PICTURES)),
        phase_image=str(random.choice(PICTURES)),
        spokes=int(random.integers(10, 40)),
    )


def _draw_light(settings: RecipeSettings, scan: SimulationSettings, random: np.random.Generator) -> _Light:
    kind = str(random.choice(settings.probes))
    shares = np.array(settings.modes)
    width, pupil = _log_uniform(settings.probe_width, random), random.uniform(*settings.pupil_width)
    probe = ProbeSettings(
        kind=kind,
        flux=_log_uniform(settings.flux, random),
        modes=1 + int(random.choice(len(shares), p=shares / shares.sum())),
        phase_error=random.uniform(*settings.phase_error) if random.random() < settings.impaired else 0.0,
    )
    if kind == "disk":
        # More curvature would turn by over half a circle a pixel where its guess is two and a half times as curved.
        steepest = min(20.0, 0.3 * width * scan.size)
        probe.disk_diameter = width
        probe.disk_curvature = random.uniform(-steepest, steepest) * (random.random() < 0.7)
        return _Light(probe, width)
    if kind == "diffuser":
        # It fills the frame, but a share of the frame itself would be steps far apart.
        probe.diffuser_phase, probe.diffuser_seed = random.uniform(0.5, 2.5), int(random.integers(2**31))
        probe.diffuser_grain = scan.size / 64 * random.uniform(2.5, 6.0)
        return _Light(probe, settings.probe_width[1])
    # A pupil of diameter D has the frequencies D / (λ f); the beam is |z| D / f wide at a distance z from its focus.
    wavelength, pixel = wavelength_of(scan.energy), scan.pixel_size
    opening = pupil * wavelength / pixel
    probe.defocus = _sign(random) * width * scan.size * pixel / opening
    probe.zone_plate_diameter = opening * probe.focal_length
    probe.central_stop = random.uniform(0.1, 0.6)
    other = random.uniform(0.5, 1.0)
    sides = [opening * probe.focal_length, other * opening * probe.focal_length]
    probe.mirror_aperture = tuple(float(side) for side in random.permutation(sides))
    return _Light(probe, width, pupil)


def _draw_scan(settings: RecipeSettings, diameter: float, size: int, random: np.random.Generator) -> ScanSettings:
    kind = str(random.choice(["raster", "jittered", "fermat", "spiral", "random"]))
    wrong = random.random() < settings.impaired
    return ScanSettings(
        kind="raster" if kind == "jittered" else kind,
        frames=settings.frames,
        step=max(1.0, _log_uniform(settings.step, random) * diameter),
        jitter=random.uniform(0.05, 0.4) if kind == "jittered" else 0.0,
        position_error=random.uniform(*settings.position_error) * size if wrong else 0.0,
    )


def _draw_guess(settings: RecipeSettings, light: _Light, size: int, random: np.random.Generator) -> GuessSettings:
    choice = random.random()
    if choice < settings.right_guess:
        return GuessSettings()
    guess = GuessSettings()
    modes = int(random.integers(1, len(settings.modes) + 1))
    if choice < settings.right_guess + settings.disk_guess + settings.no_guess:
        guess.kind = "disk" if choice < settings.right_guess + settings.disk_guess else "none"
        guess.amplitude = _log_uniform(settings.amplitude, random)
        guess.modes = modes
        return guess
    low, high = settings.defocus_factor
    if light.pupil is not None:
        low, high = max(low, -WIDEST / light.width), min(high, WIDEST / light.width)
    errors = {
        "defocus_factor": random.uniform(low, high),
        "shift": _pair(size * settings.shift, random),
        "tilt": _pair(size * settings.shift, random),
        "amplitude": _log_uniform(settings.amplitude, random),
        "phase_error": random.uniform(*settings.phase_error),
        "modes": modes,
    }
    if light.probe.kind == "diffuser":
        del errors["defocus_factor"]
    chosen = [key for key in errors if random.random() < settings.guess_errors] or [str(random.choice(list(errors)))]
    return GuessSettings(**{key: errors[key] for key in chosen})


def _log_uniform(between: tuple[float, float], random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(*np.log(between))))


def _sign(random: np.random.Generator) -> float:
    return float(random.choice([-1.0, 1.0]))


def _pair(largest: float, random: np.random.Generator) -> tuple[float, float]:
    return random.uniform(-largest, largest), random.uniform(-largest, largest)
