"""Simulated datasets follow the statistics, the optics and the seed that they were asked for."""

import dataclasses

import numpy as np
import pytest

from ptychoflow.errors import InputError
from ptychoflow.simulation.dataset import expected_photons, simulate
from ptychoflow.simulation.objects import ObjectSettings, make_object
from ptychoflow.simulation.probes import ProbeSettings, make_probe
from ptychoflow.simulation.scans import ScanSettings, make_scan
from ptychoflow.simulation.settings import SimulationSettings

SMALL = SimulationSettings(scan=ScanSettings(frames=36), seed=5)


@pytest.mark.parametrize("kind", ["lines", "image", "siemens_star"])
def test_objects_transmit_at_most_all_and_have_the_asked_contrast(kind: str):
    settings = ObjectSettings(kind=kind, absorption=0.4, phase_shift=0.8)
    made = make_object(settings, (200, 180), np.random.default_rng(0))
    assert made.shape == (200, 180)
    assert np.abs(made).max() <= 1 + 1e-12
    assert np.abs(made).min() == pytest.approx(0.6, abs=0.05)
    assert np.angle(made).min() >= -1e-12
    assert np.angle(made).max() == pytest.approx(0.8, abs=0.1)


def test_phase_lines_may_be_others_than_amplitude_lines():
    settings = ObjectSettings(independent_phase=True)
    made = make_object(settings, (150, 150), np.random.default_rng(0))
    assert abs(np.corrcoef(np.abs(made).ravel(), np.angle(made).ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("kind", ["zone_plate", "disk"])
@pytest.mark.parametrize("modes", [1, 3])
def test_the_probe_holds_the_flux(kind: str, modes: int):
    probe = make_probe(ProbeSettings(kind=kind, flux=4e5, modes=modes), 64, 1e-8, 1.4e-10)
    powers = (np.abs(probe) ** 2).sum(axis=(1, 2))
    assert powers.sum() == pytest.approx(4e5)
    np.testing.assert_allclose(powers[1:] / powers[:-1], 0.5)


def test_the_far_field_of_a_zone_plate_is_its_annulus():
    settings = ProbeSettings(central_stop=0.4)
    probe = make_probe(settings, 64, 1e-8, 1.4e-10)[0]
    intensity = np.abs(np.fft.fft2(probe)) ** 2
    frequency = np.fft.fftfreq(64, 1e-8)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    cutoff = settings.zone_plate_diameter / (2 * 1.4e-10 * settings.focal_length)
    sample = 1 / (64 * 1e-8)
    inside = (radius > 0.4 * cutoff + sample) & (radius < cutoff - sample)
    outside = (radius > cutoff + sample) | (radius < 0.4 * cutoff - sample)
    np.testing.assert_allclose(intensity[inside], intensity[inside][0], rtol=1e-6)
    assert intensity[outside].max() < 1e-9 * intensity.max()


def test_defocus_spreads_the_beam_as_geometry_says():
    settings = ProbeSettings(central_stop=0.0, defocus=40e-6)
    intensity = np.abs(make_probe(settings, 64, 1e-8, 1.4e-10)[0]) ** 2
    axis = np.arange(64) - 32
    radius = np.sqrt((intensity * (axis[:, None] ** 2 + axis[None, :] ** 2)).sum() / intensity.sum())
    # A uniform disk of diameter z D / f has an rms radius of its diameter over 2 √2.
    geometric = 40e-6 * 160e-6 / 20e-3 / 1e-8 / (2 * np.sqrt(2))
    assert radius == pytest.approx(geometric, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"zone_plate_diameter": 5e-4}, "needs pixels of at most"), ({"defocus": 2e-4}, "spreads the beam over")],
)
def test_a_probe_that_does_not_fit_is_refused(changes: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        make_probe(ProbeSettings(**changes), 64, 1e-8, 1.4e-10)


@pytest.mark.parametrize("kind", ["raster", "fermat", "random"])
def test_a_scan_has_the_asked_density(kind: str):
    positions = make_scan(ScanSettings(kind=kind, frames=900, step=5.0), np.random.default_rng(0))
    assert positions.shape == (900, 2)
    inner = (np.abs(positions) < 50).all(axis=1).sum()
    assert inner == pytest.approx(100 * 100 / 25, rel=0.15)


def test_counts_follow_poisson_statistics():
    dataset = simulate(dataclasses.replace(SMALL, scan=ScanSettings(frames=100)))
    expected = expected_photons(dataset.truth, dataset.positions, dataset.probe)
    bright = expected > 5
    deviates = (dataset.frames - expected)[bright] / np.sqrt(expected[bright])
    assert deviates.mean() == pytest.approx(0, abs=0.02)
    assert deviates.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(dataset.frames, np.round(dataset.frames))


def test_without_noise_the_frames_are_the_expectation():
    dataset = simulate(dataclasses.replace(SMALL, noise=False))
    expected = expected_photons(dataset.truth, dataset.positions, dataset.probe)
    np.testing.assert_allclose(dataset.frames, expected, rtol=1e-4, atol=1e-2)


def test_the_seed_fixes_everything_and_scan_and_object_have_streams_of_their_own():
    first, again = simulate(SMALL), simulate(SMALL)
    np.testing.assert_array_equal(first.frames, again.frames)
    other = simulate(dataclasses.replace(SMALL, seed=6))
    assert not np.array_equal(first.frames, other.frames)
    brighter = simulate(dataclasses.replace(SMALL, probe=ProbeSettings(flux=1e7)))
    np.testing.assert_array_equal(first.truth, brighter.truth)
    np.testing.assert_array_equal(first.positions, brighter.positions)


def test_the_pixel_follows_from_the_geometry():
    dataset = simulate(SMALL).validate("simulation")
    wavelength = 6.62607015e-34 * 299792458 / (8850 * 1.602176634e-19)
    assert dataset.pixel_size == pytest.approx(wavelength * 0.343 / (64 * 75e-6))
