"""Patterns of objects have the statistics of what they are named after, and stay within the band of their pixels."""

from itertools import pairwise
from typing import get_args, get_type_hints

import numpy as np
import pytest

from ptychoflow.errors import InputError
from ptychoflow.settings.simulation import WITH_OUTLINES, ObjectSettings
from ptychoflow.simulation.objects import make_object
from ptychoflow.simulation.patterns import BLUR, cells, dead_leaves, grains, smooth_field, wedge

KINDS = get_args(get_type_hints(ObjectSettings)["kind"])
NEW = ["grains", "cells", "wedge", "smooth", "texture"]


def spectrum(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequency in cycles per pixel and power of an image under a window without edges."""
    window = np.hanning(len(image))[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    return np.hypot(*np.meshgrid(*map(np.fft.fftfreq, image.shape), indexing="ij")), power


def slope(images: list[np.ndarray], low: float, high: float) -> float:
    """By which power of the frequency the power of images changes, their blur divided out."""
    frequency = spectrum(images[0])[0]
    power = sum(spectrum(image)[1] for image in images) / np.exp(-4 * (np.pi * BLUR * frequency) ** 2)
    edges = np.geomspace(low, high, 9)
    rings = [(frequency >= a) & (frequency < b) for a, b in pairwise(edges)]
    middles = [np.log(frequency[ring]).mean() for ring in rings]
    return np.polyfit(middles, [np.log(power[ring].mean()) for ring in rings], 1)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_are_nearly_band_limited(kind: str):
    made = make_object(ObjectSettings(kind=kind, phase_shift=-3.0), (180, 200), np.random.default_rng(1))
    frequency, power = spectrum(made)
    assert power[frequency > 0.45].sum() < 0.02 * power.sum()


@pytest.mark.parametrize("kind", NEW)
def test_contrast_offset_and_scale_are_those_asked_for(kind: str):
    settings = ObjectSettings(
        kind=kind, absorption=0.4, phase_shift=-2.0, offset_phase=0.5, transmission=1.3, coupling="material"
    )
    made = make_object(settings, (120, 90), np.random.default_rng(2))
    assert made.shape == (120, 90)
    assert (np.abs(made).min(), np.abs(made).max()) == pytest.approx((1.3 * 0.6, 1.3))
    assert (np.angle(made).min(), np.angle(made).max()) == pytest.approx((-1.5, 0.5))
    # Of one material, what absorbs more shifts the phase more.
    absorbed = 1 - np.abs(made) / 1.3
    np.testing.assert_allclose(np.angle(made), 0.5 - 2.0 * absorbed / 0.4, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_independent_phase_is_another_pattern(kind: str):
    settings = ObjectSettings(kind=kind, coupling="independent", phase_shift=1.0)
    likeness = []
    for seed in range(8):
        made = make_object(settings, (150, 150), np.random.default_rng(seed))
        likeness.append(np.corrcoef(np.abs(made).ravel(), np.angle(made).ravel())[0, 1])
    assert np.min(np.abs(likeness)) < 0.3


@pytest.mark.parametrize("kind", WITH_OUTLINES)
def test_bodies_may_share_their_outlines_alone(kind: str):
    settings = ObjectSettings(kind=kind, coupling="shapes", phase_shift=1.0, feature_size=20.0)
    made = make_object(settings, (200, 200), np.random.default_rng(3))
    edges = [np.hypot(*np.gradient(part)) for part in (np.abs(made), np.angle(made))]
    apart = make_object(ObjectSettings(kind=kind, coupling="independent"), (200, 200), np.random.default_rng(3))
    others = [np.hypot(*np.gradient(part)) for part in (np.abs(apart), np.angle(apart))]
    assert np.corrcoef(edges[0].ravel(), edges[1].ravel())[0, 1] > 0.5
    assert np.corrcoef(others[0].ravel(), others[1].ravel())[0, 1] < 0.2
    # Not one material: some bodies absorb more and shift less.
    fit = np.polyfit(np.abs(made).ravel(), np.angle(made).ravel(), 1)
    assert np.std(np.angle(made) - np.polyval(fit, np.abs(made))) > 0.03


@pytest.mark.parametrize("power", [2.0, 3.5])
def test_a_smooth_field_has_the_slope_of_its_spectrum(power: float):
    fields = [smooth_field((200, 220), power, np.random.default_rng(seed))[0] for seed in range(6)]
    assert slope(fields, 0.02, 0.3) == pytest.approx(-power, abs=0.15)


def test_dead_leaves_have_the_spectrum_of_natural_images():
    # Field, Relations between the statistics of natural images, J. Opt. Soc. Am. A 4, 2379, 1987: about f⁻².
    fields = [dead_leaves((256, 256), 12.0, np.random.default_rng(seed))[0] for seed in range(6)]
    assert -3.0 < slope(fields, 0.02, 0.2) < -1.7


def test_grains_are_as_many_as_their_size_says():
    pattern = grains((240, 240), 24.0, np.random.default_rng(4))[0]
    # Farther from a boundary than the blur reaches, a grain has one value.
    flat = np.hypot(*np.gradient(pattern)) < 1e-12
    assert flat.mean() > 0.3
    assert len(np.unique(pattern[flat].round(9))) == pytest.approx(120, abs=35)


def test_cells_lie_on_an_empty_ground_and_are_round():
    pattern = cells((200, 200), 20.0, np.random.default_rng(5))[0]
    assert (pattern == 0).mean() > 0.1
    frequency, power = spectrum(pattern)
    along = [power[(frequency < 0.1) & chosen].mean() for chosen in _sectors(power.shape)]
    assert max(along) < 3 * min(along)


def _sectors(shape: tuple[int, int]) -> list[np.ndarray]:
    rows, columns = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    angle = np.mod(np.arctan2(rows, columns), np.pi)
    return [(angle >= n * np.pi / 4) & (angle < (n + 1) * np.pi / 4) for n in range(4)]


def test_a_wedge_of_many_turns_can_be_followed_from_pixel_to_pixel():
    pattern = 20.0 * wedge((150, 200), 16.0, np.random.default_rng(6))[0]
    assert np.ptp(pattern) == pytest.approx(20.0)
    assert max(np.abs(np.diff(pattern, axis=axis)).max() for axis in (0, 1)) < np.pi / 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transmission": 0.0}, "object.transmission is 0.0"),
        ({"phase_shift": float("nan")}, "object.phase_shift is nan"),
        ({"offset_phase": float("inf")}, "object.offset_phase is inf"),
        ({"feature_size": 1.0}, "object.feature_size is 1.0"),
        ({"spectral_slope": -1.0}, "object.spectral_slope is -1.0"),
        ({"kind": "lines", "coupling": "shapes"}, "object.coupling is shapes"),
        ({"independent_phase": True, "coupling": "material"}, "object.coupling is material"),
    ],
)
def test_an_object_that_cannot_be_is_refused(changes: dict, sentence: str):
    with pytest.raises(InputError, match=f"^{sentence}: expected"):
        ObjectSettings(**changes)
