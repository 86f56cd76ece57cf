"""Simulated datasets follow the statistics, the optics and the seed that they were asked for."""

import dataclasses
from typing import get_args, get_type_hints

import numpy as np
import pytest

from ptychoflow.errors import InputError
from ptychoflow.loading.truth import true_patches
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate
from ptychoflow.simulation.objects import make_object, siemens_star
from ptychoflow.simulation.probes import make_probe
from ptychoflow.simulation.scans import make_scan

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


@pytest.mark.parametrize("kind", ["zone_plate", "mirror", "disk"])
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


def test_a_diffuser_fills_the_field_and_is_always_the_same():
    settings = ProbeSettings(kind="diffuser", flux=1e4, diffuser_phase=1.5)
    probe = make_probe(settings, 64, 1e-7, 1e-10)[0]
    np.testing.assert_array_equal(probe, make_probe(settings, 64, 2e-7, 1e-10)[0])
    inner = probe[8:-8, 8:-8]
    np.testing.assert_allclose(np.abs(inner), np.abs(inner[0, 0]))
    assert np.abs(probe[0]).max() < 1e-6 * np.abs(probe).max()
    assert 1 < np.abs(np.diff(np.unwrap(np.angle(inner)), axis=1)).max() * 3 < 6


def test_a_near_field_is_the_image_of_the_sample_with_fringes():
    settings = dataclasses.replace(
        SMALL, propagation="near", detector_distance=0.01, detector_pixel_size=1e-6, noise=False
    )
    settings.probe = ProbeSettings(kind="disk", disk_diameter=0.8)
    dataset = simulate(settings).validate("near")
    shadow = np.abs(dataset.probe[0] * true_patches(dataset).numpy()) ** 2
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(shadow, dataset.frames, strict=True)]
    assert min(likeness) > 0.8
    np.testing.assert_allclose(dataset.frames.sum(axis=(1, 2)), shadow.sum(axis=(1, 2)), rtol=1e-4)


def test_positions_are_written_down_as_wrong_as_asked_for():
    scan = dataclasses.replace(SMALL.scan, frames=400, position_error=1.5, position_drift=(6.0, 0.0))
    wrong, right = (
        simulate(dataclasses.replace(SMALL, size=8, probe=ProbeSettings(kind="disk"), scan=scan))
        for scan in (scan, ScanSettings(frames=400))
    )
    assert right.true_positions is None
    error = wrong.positions - wrong.true_positions
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=1e-9)
    assert error[:, 1].std() == pytest.approx(1.5, rel=0.1)
    assert np.polyfit(np.linspace(0, 1, 400), error, 1)[0] == pytest.approx([6, 0], abs=1)
    np.testing.assert_allclose(np.diff(wrong.true_positions, axis=0), np.diff(right.positions, axis=0), atol=1e-9)


@pytest.mark.parametrize("bad", [{"position_error": -1.0}, {"position_drift": (0.0, float("inf"))}])
def test_position_errors_that_cannot_be_are_refused(bad: dict):
    with pytest.raises(InputError, match=next(iter(bad))):
        ScanSettings(**bad)


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


@pytest.mark.parametrize("kind", ["raster", "fermat", "spiral", "random"])
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


def test_expected_photons_equal_plain_numpy():
    random = np.random.default_rng(8)
    truth, probe = (random.normal(size=shape) + 1j * random.normal(size=shape) for shape in ((50, 60), (3, 16, 16)))
    positions = np.array([[20.0, 22.0], [24.0, 31.0], [33.0, 40.0]])
    computed = expected_photons(truth, positions, probe)
    for frame, (row, column) in zip(computed, positions.astype(int), strict=True):
        patch = truth[row - 8 : row + 8, column - 8 : column + 8]
        expected = sum(np.abs(np.fft.fftshift(np.fft.fft2(mode * patch)) / 16) ** 2 for mode in probe)
        np.testing.assert_allclose(frame, expected)


def test_nothing_in_the_beam_lets_the_whole_flux_through():
    probe = make_probe(ProbeSettings(kind="disk", flux=3e5, modes=2), 32, 1e-8, 1.4e-10)
    frames = expected_photons(np.ones((64, 64), complex), np.array([[30.0, 33.0], [32.0, 31.0]]), probe)
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), 3e5)
    assert np.unravel_index(frames[0].argmax(), (32, 32)) == (16, 16)


def test_the_mean_and_the_variance_of_repeated_counts_are_the_expectation():
    # A star on a grid without jitter is the same for every seed: only the counts differ.
    settings = SimulationSettings(
        size=32,
        scan=ScanSettings(frames=2, jitter=0.0),
        probe=ProbeSettings(kind="disk", flux=2e4),
        object=ObjectSettings(kind="siemens_star"),
    )
    still = simulate(dataclasses.replace(settings, noise=False)).frames
    counts = np.stack([simulate(dataclasses.replace(settings, seed=seed)).frames for seed in range(200)])
    bright = still > 5
    assert bright.sum() > 100
    # Over 200 draws the mean is known to √(I/200) and the variance to I √(2/200).
    deviates = (counts.mean(axis=0) - still)[bright] / np.sqrt(still[bright] / 200)
    assert np.abs(deviates).max() < 5
    assert deviates.std() == pytest.approx(1, abs=0.15)
    assert (counts.var(axis=0, ddof=1)[bright] / still[bright]).mean() == pytest.approx(1, abs=0.03)


def test_a_siemens_star_has_its_spokes():
    star = siemens_star((201, 201), 24)
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    ring = star[np.rint(100.5 + 70 * np.sin(angle)).astype(int), np.rint(100.5 + 70 * np.cos(angle)).astype(int)]
    spectrum = np.abs(np.fft.rfft(ring - ring.mean()))
    assert spectrum.argmax() == 24
    assert ring.min() < 0.01
    assert ring.max() > 0.99
    assert star[:8].max() == 0


@pytest.mark.parametrize("name", get_args(get_type_hints(ObjectSettings)["amplitude_image"]))
def test_every_named_picture_is_at_hand(name: str):
    settings = ObjectSettings(kind="image", amplitude_image=name, phase_image=name)
    made = make_object(settings, (70, 600), np.random.default_rng(0))
    assert made.shape == (70, 600)
    assert np.ptp(np.abs(made)) == pytest.approx(0.6)


def test_a_raster_without_jitter_is_a_grid_about_the_middle():
    positions = make_scan(ScanSettings(frames=16, step=5.0, jitter=0.0), np.random.default_rng(0))
    axis = [-7.5, -2.5, 2.5, 7.5]
    np.testing.assert_allclose(positions, [(row, column) for row in axis for column in axis])


def test_jitter_stays_within_its_bound():
    still, moved = (
        make_scan(ScanSettings(frames=400, step=5.0, jitter=jitter), np.random.default_rng(0)) for jitter in (0.0, 0.2)
    )
    assert 0.95 < np.abs(moved - still).max() <= 1


def test_a_spiral_has_the_golden_angle_and_the_area_of_its_steps():
    positions = make_scan(ScanSettings(kind="fermat", frames=300, step=4.0), np.random.default_rng(0))
    radius, angle = np.hypot(*positions.T), np.arctan2(positions[:, 0], positions[:, 1])
    np.testing.assert_allclose(np.pi * radius**2, 16 * np.arange(300), atol=1e-9)
    np.testing.assert_allclose(np.mod(np.diff(angle[1:]), 2 * np.pi), np.pi * (3 - np.sqrt(5)))


@pytest.mark.parametrize("scan", ["raster", "fermat", "spiral", "random"])
@pytest.mark.parametrize("size", [8, 10, 32])
def test_every_scan_fits_into_its_object(scan: str, size: int):
    settings = SimulationSettings(
        size=size, scan=ScanSettings(kind=scan, frames=7), probe=ProbeSettings(kind="disk", modes=2)
    )
    dataset = simulate(settings).validate("simulation")
    assert dataset.truth.shape == dataset.object_shape
    assert len(dataset.frames) == len(dataset.positions) == 7


def test_a_spiral_of_even_turns_has_its_step_between_turns_and_along_them():
    positions = make_scan(ScanSettings(kind="spiral", frames=500, step=4.0), np.random.default_rng(0))
    along = np.hypot(*np.diff(positions[50:], axis=0).T)
    np.testing.assert_allclose(along, 4.0, rtol=0.05)
    radius = np.hypot(*positions.T)
    turns = np.unwrap(np.arctan2(positions[:, 0], positions[:, 1])[1:]) / (2 * np.pi)
    np.testing.assert_allclose(np.polyfit(turns[50:], radius[51:], 1)[0], 4.0, rtol=1e-6)


def test_the_far_field_of_a_mirror_is_its_rectangle_and_its_focus_a_sinc():
    pixel, wavelength, focal = 1e-8, 1.4e-10, 20e-3
    # 16 and 8 samples of the far field wide.
    aperture = tuple(samples / (64 * pixel) * wavelength * focal for samples in (16, 8))
    settings = ProbeSettings(kind="mirror", mirror_aperture=aperture, focal_length=focal, defocus=0.0)
    focus = make_probe(settings, 64, pixel, wavelength)[0]
    far = np.fft.fftshift(np.abs(np.fft.fft2(focus)))
    lit = far > 0.9 * far.max()
    assert (np.ptp(np.flatnonzero(lit.any(axis=1))) + 1, np.ptp(np.flatnonzero(lit.any(axis=0))) + 1) == (15, 7)
    # A sinc has its zeros at multiples of λ f / D, which are 4 pixels along the rows and 8 along the columns.
    peak = np.abs(focus).max()
    assert np.abs(focus[32, 32]) == peak
    assert np.abs(focus[[20, 24, 28, 36, 40, 44], 32]).max() < 1e-9 * peak
    assert np.abs(focus[32, [16, 24, 40, 48]]).max() < 1e-9 * peak
    assert np.abs(focus[34, 32]) == pytest.approx(2 / np.pi * peak, rel=0.02)
    with pytest.raises(InputError, match=r"probe\.mirror_aperture 0.001 m needs pixels of at most"):
        make_probe(ProbeSettings(kind="mirror", mirror_aperture=(1e-3, 1e-4)), 64, pixel, wavelength)


def test_diffusers_of_other_seeds_are_others():
    first, other = (make_probe(ProbeSettings(kind="diffuser", diffuser_seed=s), 64, 1e-7, 1e-10)[0] for s in (0, 1))
    np.testing.assert_allclose(np.abs(first), np.abs(other))
    inner = np.s_[10:-10, 10:-10]
    assert abs(np.corrcoef(np.angle(first[inner]).ravel(), np.angle(other[inner]).ravel())[0, 1]) < 0.3


def test_a_seed_draws_what_it_drew_before_there_was_more_to_draw():
    object_stream, scan_stream, noise_stream, _ = np.random.SeedSequence(SMALL.seed).spawn(4)
    dataset = simulate(SMALL)
    offsets = make_scan(SMALL.scan, np.random.default_rng(scan_stream))
    np.testing.assert_array_equal(dataset.positions, offsets + np.array(dataset.object_shape) / 2)
    truth = make_object(SMALL.object, dataset.object_shape, np.random.default_rng(object_stream))
    np.testing.assert_array_equal(dataset.truth, truth.astype(np.complex64))
    probe = make_probe(SMALL.probe, 64, SMALL.pixel_size, 1.23984198e-6 / SMALL.energy)
    counts = np.random.default_rng(noise_stream).poisson(expected_photons(truth, dataset.positions, probe))
    np.testing.assert_array_equal(dataset.frames, counts)
    assert dataset.mask.all()


def test_what_impairs_a_scan_leaves_the_rest_of_it_as_it_is():
    impaired = dataclasses.replace(SMALL, noise=False, dead_pixels=0.1, beam_stop=0.1, flicker=0.2)
    plain, other = simulate(dataclasses.replace(SMALL, noise=False)), simulate(impaired)
    np.testing.assert_array_equal(plain.truth, other.truth)
    np.testing.assert_array_equal(plain.positions, other.positions)


def test_background_is_added_to_every_pixel_and_counted():
    plain, lit = (simulate(dataclasses.replace(SMALL, noise=False, background=background)) for background in (0.0, 2.5))
    np.testing.assert_allclose(lit.frames - plain.frames, 2.5, rtol=1e-3, atol=1e-3)
    counted = simulate(dataclasses.replace(SMALL, background=2.5)).frames[plain.frames < 1e-2]
    assert counted.size > 3000
    assert counted.mean() == pytest.approx(2.5, abs=5 * np.sqrt(2.5 / counted.size))
    assert counted.var() == pytest.approx(2.5, rel=0.1)


def test_dead_pixels_and_a_beam_stop_count_nothing_and_are_masked():
    dataset = simulate(dataclasses.replace(SMALL, dead_pixels=0.1, beam_stop=0.25, background=5.0))
    stop = np.hypot(*np.meshgrid(*[np.arange(64) - 32] * 2)) < 8
    assert not dataset.mask[stop].any()
    assert (~dataset.mask[~stop]).mean() == pytest.approx(0.1, abs=0.02)
    assert dataset.frames[:, ~dataset.mask].max() == 0
    assert dataset.frames[:, dataset.mask].min(axis=0).max() > 0


def test_light_flickers_by_as_much_as_asked_for():
    scan = ScanSettings(frames=400, step=2.0)
    settings = dataclasses.replace(SMALL, size=8, probe=ProbeSettings(kind="disk"), scan=scan, noise=False)
    still, flickering = (
        simulate(dataclasses.replace(settings, flicker=flicker)).frames.sum(axis=(1, 2)) for flicker in (0.0, 0.2)
    )
    factors = flickering / still
    assert factors.mean() == pytest.approx(1, abs=5 * 0.2 / 20)
    assert factors.std() == pytest.approx(0.2, rel=0.12)
    assert abs(np.corrcoef(factors[1:], factors[:-1])[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        (SimulationSettings, {"background": -1.0}, "background is -1.0"),
        (SimulationSettings, {"dead_pixels": 1.0}, "dead_pixels is 1.0"),
        (SimulationSettings, {"beam_stop": -0.1}, "beam_stop is -0.1"),
        (SimulationSettings, {"beam_stop": 0.1, "propagation": "near"}, "beam_stop is 0.1"),
        (SimulationSettings, {"flicker": float("nan")}, "flicker is nan"),
        (ProbeSettings, {"mirror_aperture": (1e-4,)}, r"probe.mirror_aperture is \[0.0001\]"),
        (ProbeSettings, {"phase_error": -1.0}, "probe.phase_error is -1.0"),
        (ProbeSettings, {"diffuser_seed": -1}, "probe.diffuser_seed is -1"),
        (SimulationSettings, {"size": 31}, "size is 31"),
        (SimulationSettings, {"size": 6}, "size is 6"),
        (SimulationSettings, {"energy": 0.0}, "energy is 0.0"),
        (SimulationSettings, {"detector_distance": -1.0}, "detector_distance is -1.0"),
        (SimulationSettings, {"detector_pixel_size": float("nan")}, "detector_pixel_size is nan"),
        (ProbeSettings, {"flux": 0.0}, "probe.flux is 0.0"),
        (ProbeSettings, {"flux": float("inf")}, "probe.flux is inf"),
        (ProbeSettings, {"flux": 1e30}, "probe.flux is 1e\\+30"),
        (ProbeSettings, {"modes": 0}, "probe.modes is 0"),
        (ProbeSettings, {"disk_diameter": 0.0}, "probe.disk_diameter is 0.0"),
        (ProbeSettings, {"central_stop": 1.0}, "probe.central_stop is 1.0"),
        (ScanSettings, {"frames": 1}, "scan.frames is 1"),
        (ScanSettings, {"step": 0.0}, "scan.step is 0.0"),
        (ScanSettings, {"jitter": -0.1}, "scan.jitter is -0.1"),
        (ObjectSettings, {"absorption": 1.5}, "object.absorption is 1.5"),
        (ObjectSettings, {"spokes": 0}, "object.spokes is 0"),
    ],
)
def test_a_setting_that_cannot_be_simulated_is_refused(kind: type, changes: dict, sentence: str):
    with pytest.raises(InputError, match=f"^{sentence}: expected"):
        kind(**changes)
