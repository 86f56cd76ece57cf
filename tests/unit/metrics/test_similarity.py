"""Scores of aligned images are those of scikit-image, over the scored pixels alone."""

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage import metrics

from ptychoflow.metrics.similarity import complex_nrmse, mean_ssim, pearson, similarity_scores, unwrapped

AREA = np.zeros((64, 72), bool)
AREA[12:-12, 10:-14] = True


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    absorbing, shifting = (ndimage.gaussian_filter(random.normal(size=AREA.shape), 2) for _ in range(2))
    truth = (0.8 + absorbing) * np.exp(2j * shifting)
    return truth + 0.03 * (random.normal(size=AREA.shape) + 1j * random.normal(size=AREA.shape)), truth


def test_peak_signal_to_noise_is_that_of_scikit_image(pair: tuple):
    scores = similarity_scores(*pair, AREA)
    amplitudes = (np.abs(image)[AREA] for image in pair)
    assert scores["amplitude_psnr"] == pytest.approx(
        metrics.peak_signal_noise_ratio(*reversed(list(amplitudes)), data_range=1)
    )
    phases = [np.angle(image)[AREA] for image in pair]
    assert scores["phase_psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(phases[1], phases[0], data_range=1))
    assert scores["phase_psnr_legacy"] == pytest.approx(
        metrics.peak_signal_noise_ratio(phases[1], phases[0], data_range=255)
    )


def test_complex_nrmse_is_that_of_scikit_image_on_real_and_imaginary_parts(pair: tuple):
    estimate, truth = (np.stack([image[AREA].real, image[AREA].imag]) for image in pair)
    expected = metrics.normalized_root_mse(truth, estimate, normalization="euclidean")
    assert complex_nrmse(*pair, AREA) == pytest.approx(expected)


def test_phase_similarity_is_that_of_scikit_image(pair: tuple):
    # Structural similarity depends on the mean: phases count from that of the reference.
    phases = [np.angle(image * np.conj(np.mean(pair[1][AREA]))) for image in pair]
    span = np.ptp(phases[1][AREA])
    _, similarity = metrics.structural_similarity(*phases, win_size=7, data_range=span, full=True)
    assert similarity_scores(*pair, AREA)["phase_ssim_uniform"] == pytest.approx(similarity[AREA].mean())


def test_a_common_phase_does_not_change_the_scores_even_across_the_wrap(pair: tuple):
    expected = similarity_scores(*pair, AREA)
    turned = similarity_scores(*(image * np.exp(1j * np.pi) for image in pair), AREA)
    for name, value in expected.items():
        assert turned[name] == pytest.approx(value, rel=1e-9), name


def test_a_phase_error_worked_out_by_hand(pair: tuple):
    truth = pair[1]
    scores = similarity_scores(truth * np.exp(0.1j), truth, AREA)
    assert scores["phase_mae"] == pytest.approx(0.1)
    assert scores["phase_psnr"] == pytest.approx(20)
    assert scores["amplitude_mae"] == pytest.approx(0, abs=1e-12)
    assert scores["complex_nrmse"] == pytest.approx(2 * np.sin(0.05))


def test_pixels_far_outside_the_area_do_not_count(pair: tuple):
    estimate, truth = pair
    spoilt = estimate.copy()
    spoilt[:3], spoilt[:, -3:] = 40, -7j
    expected = similarity_scores(estimate, truth, AREA)
    # Running sums of the uniform window round differently.
    assert similarity_scores(spoilt, truth, AREA) == pytest.approx(expected, rel=1e-9)


def test_more_noise_scores_worse_everywhere(pair: tuple):
    estimate, truth = pair
    good, bad = (similarity_scores(truth + factor * (estimate - truth), truth, AREA) for factor in (1, 3))
    for name in good:
        falls = name.endswith(("ssim", "ssim_uniform", "psnr", "psnr_legacy", "pearson"))
        assert (bad[name] < good[name]) if falls else (bad[name] > good[name]), name


def test_correlation_is_pearsons(pair: tuple):
    estimate, truth = (np.abs(image[AREA]) for image in pair)
    assert pearson(estimate, truth) == pytest.approx(stats.pearsonr(estimate, truth).statistic)
    assert pearson(-2 * truth + 5, truth) == pytest.approx(-1)
    assert pearson(2j * truth + 1, truth + 0j) == pytest.approx(1)
    assert pearson(np.ones_like(truth), truth) is None
    rounded = np.float32(1.7) + 6e-8 * np.random.default_rng(0).standard_normal(truth.shape)
    assert pearson(truth + 0j, (rounded * np.exp(0.3j)).astype(np.complex64)) is None


def test_an_image_is_wholly_similar_to_itself_and_a_flat_reference_to_nothing(pair: tuple):
    amplitude = np.abs(pair[1])
    assert mean_ssim(amplitude, amplitude, AREA, win_size=7) == pytest.approx(1)
    assert mean_ssim(amplitude, np.ones_like(amplitude), AREA, win_size=7) is None


ROWS, COLUMNS = np.indices(AREA.shape)
WEDGE = 0.4 * ROWS + 0.15 * COLUMNS + np.sin(COLUMNS / 5)
"""A phase of some six turns."""


def test_a_phase_of_several_turns_scores_as_one_without_wraps():
    random = np.random.default_rng(4)
    amplitude = 1 + 0.2 * ndimage.gaussian_filter(random.normal(size=AREA.shape), 2)
    noise = 0.2 * random.normal(size=AREA.shape)
    truth, estimate = (amplitude * np.exp(1j * phase) for phase in (WEDGE, WEDGE + noise))
    scores = similarity_scores(estimate, truth, AREA)
    assert scores["phase_mae"] == pytest.approx(np.abs(noise[AREA]).mean())
    assert scores["phase_pearson"] == pytest.approx(stats.pearsonr((WEDGE + noise)[AREA], WEDGE[AREA]).statistic)
    _, similarity = metrics.structural_similarity(
        WEDGE + noise, WEDGE, win_size=7, data_range=np.ptp(WEDGE[AREA]), full=True
    )
    # The mean, which structural similarity depends on, is free.
    assert scores["phase_ssim_uniform"] == pytest.approx(similarity[AREA].mean(), abs=0.01)
    assert similarity_scores(truth, truth, AREA)["phase_ssim"] == pytest.approx(1)


def test_an_image_that_shows_nothing_is_not_given_the_turns_of_its_reference():
    truth = np.exp(1j * WEDGE)
    noise = np.random.default_rng(5).normal(size=(2, *AREA.shape))
    for unlike in (np.exp(0.01j * noise[0]), noise[0] + 1j * noise[1], np.exp(1j * (3 * COLUMNS / 7 - ROWS / 9))):
        scores = similarity_scores(unlike, truth, AREA)
        assert abs(scores["phase_pearson"]) < 0.5
        assert scores["phase_ssim"] < 0.3
        assert scores["phase_mae"] > 2


@pytest.mark.parametrize("reach", [0.4, 1.2, 2.9])
def test_a_phase_within_one_turn_is_compared_as_it_is(reach: float):
    random = np.random.default_rng(6)
    smooth = ndimage.gaussian_filter(random.normal(size=AREA.shape), 2)
    phase = reach * smooth / np.abs(smooth).max()
    estimate = (1 + 0.1 * random.normal(size=AREA.shape)) * np.exp(1j * (phase + 0.02 * random.normal(size=AREA.shape)))
    truth = np.exp(1j * phase)
    turn = np.exp(-1j * np.angle(truth[AREA].mean()))
    plain, other = np.angle(estimate * turn), np.angle(truth * turn)
    scores = similarity_scores(estimate, truth, AREA)
    assert scores["phase_pearson"] == pytest.approx(stats.pearsonr(plain[AREA], other[AREA]).statistic, abs=1e-9)
    assert scores["phase_mae"] == pytest.approx(np.abs(plain - other)[AREA].mean(), abs=1e-9)
    span = np.ptp(other[AREA])
    _, similarity = metrics.structural_similarity(plain, other, win_size=7, data_range=span, full=True)
    assert scores["phase_ssim_uniform"] == pytest.approx(similarity[AREA].mean(), abs=1e-9)


def test_unwrapping_takes_out_whole_turns_and_keeps_parts_where_they_were():
    area = AREA.copy()
    area[:, 36:39] = False
    found = unwrapped(np.angle(np.exp(1j * WEDGE)), area)
    for part in (np.s_[12:-12, 10:36], np.s_[12:-12, 39:-14]):
        off = (found - WEDGE)[part]
        np.testing.assert_allclose(off, off[0, 0], atol=1e-9)
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * WEDGE), atol=1e-9)
    # Beside the area there is no jump either, which windows would see.
    assert np.abs(np.diff(found, axis=0))[11:-11, 12:34].max() < 1
