"""Alignment takes out a sub-pixel shift, a complex factor and a phase ramp, and nothing else."""

import numpy as np
import pytest
from scipy import ndimage

from ptychoflow.metrics.alignment import (
    LARGEST_SHIFT,
    align,
    between_probes,
    fit_scale_and_ramp,
    moved_area,
    probe_displacement,
    probe_radius,
    register,
    scored_area,
)

SIZE = 96
ROWS, COLUMNS = np.indices((SIZE, SIZE))
AREA = np.zeros((SIZE, SIZE), bool)
AREA[14:-14, 16:-12] = True


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A periodic, smooth transmission that Fourier shifts move without loss."""
    random = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    noise = np.fft.fft2(random.normal(size=(SIZE, SIZE)) + 1j * random.normal(size=(SIZE, SIZE)))
    smooth = np.fft.ifft2(noise * np.exp(-((frequency / 0.08) ** 2)))
    return 1 + 0.3 * smooth / np.abs(smooth).max()


def moved(image: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    frequency = np.fft.fftfreq(SIZE)
    phase = shift[0] * frequency[:, None] + shift[1] * frequency[None, :]
    return np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * phase))


def error(estimate: np.ndarray, truth: np.ndarray) -> float:
    return np.linalg.norm((estimate - truth)[AREA]) / np.linalg.norm(truth[AREA])


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.5), (0.3, -0.7), (2.4, -3.1)])
def test_shift_factor_and_ramp_are_undone_together(shift: tuple[float, float], truth: np.ndarray):
    ramp = np.exp(1j * (2.1 + 0.013 * ROWS - 0.021 * COLUMNS))
    assert error(align(moved(truth, shift) * 0.6 * ramp, truth, AREA), truth) < 1e-4


def test_a_steep_ramp_is_undone(truth: np.ndarray):
    assert error(align(truth * np.exp(0.5j * ROWS - 0.3j * COLUMNS), truth, AREA), truth) < 1e-4


def test_a_ramp_anywhere_between_the_samples_of_the_spectrum_is_undone(truth: np.ndarray):
    # In samples of the padded spectrum, from which the fit starts: a slope that starts at 0 once left it stuck.
    slopes = np.random.default_rng(3).uniform(-1.5, 1.5, (60, 2))
    slopes[::2, 1] *= 0.2
    for row, column in slopes * np.pi / SIZE:
        tilted = truth * np.exp(1j * (row * ROWS + column * COLUMNS))
        assert error(fit_scale_and_ramp(tilted, truth, AREA), truth) < 1e-3, (row, column)


def test_the_fitted_factor_is_that_of_least_squares(truth: np.ndarray):
    random = np.random.default_rng(1)
    estimate = truth + 0.2 * (random.normal(size=truth.shape) + 1j * random.normal(size=truth.shape))
    fitted = fit_scale_and_ramp(estimate, truth, AREA)
    # What is left over is orthogonal to the estimate, and to the estimate's tilt along either axis.
    left = (truth - fitted)[AREA]
    assert abs(np.vdot(fitted[AREA], left)) < 1e-9 * np.linalg.norm(truth[AREA]) ** 2
    for axis in (ROWS, COLUMNS):
        tilt = (1j * (axis - SIZE / 2) * fitted)[AREA]
        assert abs(np.vdot(tilt, left).real) < 1e-3 * np.linalg.norm(tilt) * np.linalg.norm(left)


def test_what_lies_outside_the_area_does_not_matter(truth: np.ndarray):
    spoilt = np.where(AREA, truth, 50 - 30j)
    np.testing.assert_allclose(fit_scale_and_ramp(spoilt, truth, AREA)[AREA], truth[AREA], atol=1e-3)


def test_a_shift_that_no_scan_would_make_is_not_undone(truth: np.ndarray):
    far = moved(truth, (4.0 * LARGEST_SHIFT, 0.0))
    assert error(align(far, truth, AREA), truth) > 0.5 * error(far, truth)


def test_noise_between_estimate_and_truth_is_kept(truth: np.ndarray):
    noise = 0.05 * np.random.default_rng(2).normal(size=truth.shape)
    expected = np.linalg.norm(noise[AREA]) / np.linalg.norm(truth[AREA])
    assert error(align(truth + noise, truth, AREA), truth) == pytest.approx(expected, rel=0.02)


def test_alignment_leaves_its_arguments_alone(truth: np.ndarray):
    estimate, reference = moved(truth, (0.4, 0.2)), truth.copy()
    before = estimate.copy()
    align(estimate, reference, AREA)
    np.testing.assert_array_equal(estimate, before)
    np.testing.assert_array_equal(reference, truth)


def test_half_the_power_of_a_gaussian_beam_lies_within_its_closed_form():
    axis = np.arange(64)
    squared = (axis[:, None] - 30.0) ** 2 + (axis[None, :] - 35.0) ** 2
    probe = np.exp(-squared / (4 * 6.0**2))
    # The intensity has σ = 6 pixels; a share 1 − exp(−r²/2σ²) lies within r.
    assert probe_radius(probe[None]) == pytest.approx(6 * np.sqrt(2 * np.log(2)), abs=0.5)
    assert probe_radius(np.stack([probe, 0.5 * probe])) == pytest.approx(probe_radius(probe[None]))


def test_the_scored_area_ends_half_a_probe_from_the_dark():
    axis = np.arange(16) - 7.5
    disk = (np.hypot(axis[:, None], axis[None, :]) < 6).astype(complex)
    coverage = np.zeros((60, 70))
    coverage[10:50, 15:60] = 3
    positions = np.array([[12.0, 17.0], [47.0, 57.0]])
    area = scored_area(coverage, disk[None], positions)
    expected = ndimage.distance_transform_edt(coverage) > probe_radius(disk[None])
    np.testing.assert_array_equal(area, expected)
    # 40×45 lit pixels, of which half a probe's radius, 4.5 pixels, is lost on every side.
    assert area.sum() == (40 - 2 * 4) * (45 - 2 * 4)


def test_faint_light_below_a_tenth_of_the_median_is_not_scored():
    coverage = np.full((60, 60), 1.0)
    coverage[:, 40:] = 0.05
    area = scored_area(coverage, np.ones((1, 4, 4), complex), np.array([[10.0, 10.0], [50.0, 50.0]]))
    assert area[30, 30]
    assert not area[:, 40:].any()


def test_light_narrower_than_the_probe_is_scored_as_it_is():
    coverage = np.zeros((40, 40))
    coverage[18:22, 18:22] = 1
    area = scored_area(coverage, np.ones((1, 16, 16), complex), np.array([[18.0, 18.0], [21.0, 21.0]]))
    np.testing.assert_array_equal(area, coverage > 0)


def disk(centre: tuple[float, float], radius: float = 9.0, size: int = 48) -> np.ndarray:
    """A smooth disk of light with a tilt, which its intensity does not show."""
    rows, columns = np.indices((size, size))
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return (np.exp(0.3j * rows) / (1 + np.exp(distance - radius)))[None]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (9.3, -7.6), (-14.0, 3.5)])
def test_a_probe_displacement_is_told_to_a_tenth_of_a_pixel(shift: tuple[float, float]):
    reference = disk((24.0, 23.0))
    found = probe_displacement(np.concatenate([0.7 * disk((24.0 + shift[0], 23.0 + shift[1]))] * 2), reference)
    np.testing.assert_allclose(found, shift, atol=0.1)
    start, reach = between_probes(disk((24.0 + shift[0], 23.0 + shift[1])), reference)
    np.testing.assert_allclose(start, -np.array(shift), atol=0.1)
    assert reach == pytest.approx(probe_radius(reference), abs=1)


@pytest.mark.filterwarnings("error")
def test_a_probe_displacement_is_told_of_the_brightest_beams():
    bright = (3e6 * disk((24.0, 23.0))).astype(np.complex64)
    np.testing.assert_allclose(probe_displacement(np.roll(bright, 3, axis=1), bright), (3, 0), atol=0.01)


@pytest.mark.parametrize("shift", [(9.3, -7.6), (-11.8, 10.4)])
def test_a_shift_that_the_probe_made_as_well_is_undone_with_a_tilt(shift: tuple[float, float], truth: np.ndarray):
    tilted = moved(truth, shift) * 0.4 * np.exp(1j * (0.7 + 0.11 * ROWS - 0.23 * COLUMNS))
    start, _ = between_probes(disk((24.0 + shift[0], 23.0 + shift[1])), disk((24.0, 23.0)))
    aligned, found = register(tilted, truth, AREA, start)
    assert error(aligned, truth) < 0.01  # what splines leave of a tilted image
    np.testing.assert_allclose(found, -np.array(shift), atol=0.02)
    assert error(align(tilted, truth, AREA), truth) > 0.04


def test_a_phase_of_several_turns_is_found_by_its_probe(truth: np.ndarray):
    strong = np.exp(1j * np.angle(truth) * 60)
    away = moved(strong, (8.0, -6.0)) * np.exp(1j * (0.09 * ROWS + 0.05 * COLUMNS))
    assert np.ptp(np.unwrap(np.angle(strong[48]))) > 2 * np.pi
    assert error(align(away, strong, AREA, np.array([-8.2, 6.1])), strong) < 0.05


def test_a_wrong_probe_does_not_lead_away(truth: np.ndarray):
    # The dataset's probe may be a guess that lies elsewhere than the true one: then the object decides.
    assert error(align(moved(truth, (0.4, -1.2)), truth, AREA, np.array([9.0, -8.0])), truth) < 1e-3
    aligned, found = register(moved(truth, (7.0, -6.0)), truth, AREA, np.array([9.0, 8.0]), reach=10.0)
    np.testing.assert_allclose(found, (-7.0, 6.0), atol=0.02)
    assert error(aligned, truth) < 0.02


def test_an_area_moves_by_whole_pixels_and_nothing_comes_in():
    area = np.zeros((12, 14), bool)
    area[0:6, 3:8] = True
    expected = np.zeros_like(area)
    expected[2:8, 0:5] = True
    np.testing.assert_array_equal(moved_area(area, (1.6, -3.4)), expected)
    np.testing.assert_array_equal(moved_area(area, (0.4, -0.3)), area)
