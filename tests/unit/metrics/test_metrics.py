"""Scores against scikit-image, closed forms and known limits; alignment undoes what diffraction cannot tell."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.metrics.alignment import align, probe_radius, scored_area
from ptychoflow.metrics.doubts import LARGEST_MISFIT, doubts, report
from ptychoflow.metrics.resolution import ring_correlation
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.scoring import score
from ptychoflow.settings.simulation import ObjectSettings
from ptychoflow.simulation.objects import make_object

EVERYWHERE = np.ones((120, 120), bool)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    image = make_object(ObjectSettings(), (120, 120), np.random.default_rng(0))
    return ndimage.gaussian_filter(image.real, 1) + 1j * ndimage.gaussian_filter(image.imag, 1)


@pytest.fixture
def perfect(small_dataset: Dataset) -> Reconstruction:
    coverage = np.zeros(small_dataset.object_shape, np.float32)
    rows, columns = small_dataset.positions.round().astype(int).T
    np.add.at(coverage, (rows, columns), 1)
    return Reconstruction(
        object=small_dataset.truth,
        coverage=ndimage.gaussian_filter(coverage, 4),
        halves=np.stack([small_dataset.truth] * 2),
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.ones(64, bool),
        pixel_size=1e-8,
        provenance={"inference_seconds": 1.0, "stitching_seconds": 0.5},
    )


def test_alignment_undoes_factor_ramp_and_shift(truth: np.ndarray):
    rows, columns = np.indices(truth.shape)
    spoilt = truth * 0.6 * np.exp(1j * (2.1 + 0.013 * rows - 0.021 * columns))
    area = EVERYWHERE.copy()
    np.testing.assert_allclose(align(spoilt, truth, area), truth, atol=1e-3)
    moved = ndimage.shift(truth.real, (0.7, -1.3), order=5) + 1j * ndimage.shift(truth.imag, (0.7, -1.3), order=5)
    area[:8], area[-8:], area[:, :8], area[:, -8:] = False, False, False, False
    before = np.linalg.norm((moved - truth)[area])
    after = np.linalg.norm((align(moved * 1j, truth, area) - truth)[area])
    assert after < 0.1 * before


def test_alignment_adds_nothing_to_noise(truth: np.ndarray):
    random = np.random.default_rng(1)
    noise = random.normal(size=truth.shape) + 1j * random.normal(size=truth.shape)
    error = np.linalg.norm(align(noise, truth, EVERYWHERE) - truth) / np.linalg.norm(truth)
    assert error > 0.95


def test_ssim_is_that_of_scikit_image(truth: np.ndarray):
    noisy = truth + 0.05 * np.random.default_rng(0).normal(size=truth.shape)
    scores = similarity_scores(noisy, truth, EVERYWHERE)
    amplitude, reference = np.abs(noisy), np.abs(truth)
    span = np.ptp(reference)
    _, uniform = structural_similarity(amplitude, reference, win_size=7, data_range=span, full=True)
    assert scores["amplitude_ssim_uniform"] == pytest.approx(uniform.mean())
    blurred = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, gaussian = structural_similarity(amplitude, reference, data_range=span, full=True, **blurred)
    assert scores["amplitude_ssim"] == pytest.approx(gaussian.mean())


def test_errors_worked_out_by_hand(truth: np.ndarray):
    scores = similarity_scores(truth * 1.1, truth, EVERYWHERE)
    assert scores["complex_nrmse"] == pytest.approx(0.1)
    assert scores["amplitude_mae"] == pytest.approx(0.1 * np.abs(truth).mean())
    assert scores["amplitude_psnr"] == pytest.approx(-10 * np.log10(0.01 * np.mean(np.abs(truth) ** 2)))
    assert scores["amplitude_psnr_legacy"] - scores["amplitude_psnr"] == pytest.approx(48.13, abs=0.005)
    assert scores["phase_mae"] == pytest.approx(0, abs=1e-12)


def test_a_flat_phase_has_no_similarity(truth: np.ndarray):
    assert similarity_scores(np.abs(truth), np.abs(truth), EVERYWHERE)["phase_ssim"] is None


def test_an_image_correlates_with_itself_everywhere_and_noise_nowhere(truth: np.ndarray):
    same = ring_correlation(truth, truth, EVERYWHERE)
    np.testing.assert_allclose(same.correlation, 1)
    assert same.crossing("half") == 1
    random = np.random.default_rng(0)
    noises = [random.normal(size=truth.shape) + 0j for _ in range(2)]
    apart = ring_correlation(*noises, EVERYWHERE)
    assert np.abs(apart.correlation[10:]).mean() < 0.15
    assert apart.crossing("one_seventh") < 0.2


def test_correlation_falls_where_the_signal_ends():
    random = np.random.default_rng(0)

    def low_passed(cutoff: float) -> np.ndarray:
        spectrum = np.fft.fft2(common)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(120), np.fft.fftfreq(120)))
        return np.fft.ifft2(np.where(frequency < cutoff / 2, spectrum, 0))

    common = random.normal(size=(120, 120))
    noisy = [low_passed(0.5) + 0.05 * random.normal(size=(120, 120)) for _ in range(2)]
    crossing = ring_correlation(*noisy, EVERYWHERE).crossing("half")
    assert crossing == pytest.approx(0.5, abs=0.05)


def test_half_bit_threshold_tends_to_its_limit(truth: np.ndarray):
    rings = dataclasses.replace(ring_correlation(truth, truth, EVERYWHERE), samples=np.full(60, 10**10))
    np.testing.assert_allclose(rings.threshold("half_bit"), 0.2071 / 1.2071, rtol=1e-3)


def test_half_the_power_of_a_disk_lies_within_its_radius_over_root_two():
    axis = np.arange(64) - 31.5
    disk = (np.hypot(axis[:, None], axis[None, :]) < 20).astype(complex)
    assert probe_radius(disk[None]) == pytest.approx(20 / np.sqrt(2), abs=1)


def test_the_scored_area_lies_inside_the_light(perfect: Reconstruction):
    area = scored_area(perfect.coverage, perfect.probe, perfect.positions)
    assert 0 < area.sum() < (perfect.coverage > 0).sum()
    assert perfect.coverage[area].min() > 0


def test_the_truth_scores_as_the_truth(perfect: Reconstruction, small_dataset: Dataset):
    scores, _ = score(perfect, small_dataset)
    assert scores["amplitude_ssim"] == pytest.approx(1, abs=1e-6)
    assert scores["phase_ssim"] == pytest.approx(1, abs=1e-6)
    assert scores["complex_nrmse"] < 1e-3
    assert scores["frc_half"] == 1
    assert scores["frc_half_nm"] == pytest.approx(10)
    assert 0.5 < scores["deviance"] < 1.3
    assert (scores["frames"], scores["seconds"]) == (64, 1.5)


def test_without_truth_the_halves_are_correlated_and_the_rest_is_null(perfect: Reconstruction, small_dataset: Dataset):
    scores, rings = score(perfect, dataclasses.replace(small_dataset, truth=None))
    assert scores["amplitude_ssim"] is None
    assert scores["complex_nrmse"] is None
    np.testing.assert_allclose(rings["halves"].correlation, 1, atol=1e-6)
    assert (scores["frc_half"], scores["split_frc_half"]) == (None, 1)
    assert scores["deviance"] is not None


def test_without_held_out_frames_the_deviance_is_called_that_of_fitted_ones(
    perfect: Reconstruction, small_dataset: Dataset
):
    fitted = score(dataclasses.replace(perfect, held_out=np.zeros(64, bool)), small_dataset)[0]
    left_out = score(perfect, small_dataset)[0]
    assert (fitted["deviance"], left_out["fitted_deviance"]) == (None, None)
    assert fitted["fitted_deviance"] == left_out["deviance"]
    assert fitted["misfit"] == left_out["misfit"]


def test_the_truth_has_no_misfit_and_a_wrong_model_has(perfect: Reconstruction, small_dataset: Dataset):
    scores = score(perfect, small_dataset)[0]
    assert scores["misfit"] == pytest.approx(1, abs=0.03)
    assert scores["misfit"] == pytest.approx(scores["deviance"] / scores["expected_deviance"])
    assert doubts(scores) == []
    assert scores["explained_share"] == pytest.approx(1, abs=0.01)
    wrong = score(dataclasses.replace(perfect, probe=0.8 * perfect.probe), small_dataset)[0]
    assert wrong["misfit"] > LARGEST_MISFIT
    *_, sentence = doubts(wrong)
    assert "likely causes are the probe, the positions" in sentence
    assert f"{wrong['deviance']:.3g}" in sentence


def test_what_is_doubtful_is_warned_of(perfect: Reconstruction, small_dataset: Dataset, caplog):
    scores = score(perfect, small_dataset)[0]
    caplog.set_level("INFO")
    report(scores)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert f"misfit {scores['misfit']:.3g}" in caplog.text
    caplog.clear()
    report(
        scores
        | {
            "misfit": 1.6,
            "explained_share": 0.9,
            "lattice_share": 0.12,
            "amplitude_lattice_share": 0.01,
            "collapsed": True,
        }
    )
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [sentence.split(":")[0].split(",")[0] for sentence in warned] == [
        "the image does not explain its photons",
        "the phase shows the lattice of the scan",
        "the image has collapsed",
    ]
    assert "12.0%" in warned[1]


def test_a_misfit_that_leaves_next_to_nothing_unexplained_is_not_warned_of(
    perfect: Reconstruction, small_dataset: Dataset
):
    scores = score(perfect, small_dataset)[0] | {"misfit": 3.0}
    assert doubts(scores | {"explained_share": 0.99}) == []
    # However little is left, a misfit of hundreds is said.
    (sentence,) = doubts(scores | {"explained_share": 0.99, "misfit": 387.0})
    assert "387 times that of a perfect model" in sentence
    assert doubts(scores | {"explained_share": 0.9})[0].startswith("the image does not explain its photons")


def test_an_object_that_moved_with_its_probe_scores_as_well(perfect: Reconstruction, small_dataset: Dataset):
    rows, columns = np.indices(perfect.object.shape)
    tilt = np.exp(0.05j * rows - 0.12j * columns)
    # P(r − s) · O(r − s) is the exit wave moved by s, and a tilt of the one is undone by the other's: the same photons.
    away = dataclasses.replace(
        perfect,
        object=(1.3 * tilt * np.roll(perfect.object, (6, -5), (0, 1))).astype(np.complex64),
        probe=(np.roll(perfect.probe, (6, -5), (1, 2)) / (1.3 * tilt[:32, :32])).astype(np.complex64),
        coverage=np.roll(perfect.coverage, (6, -5), (0, 1)),
        positions=perfect.positions.round(),
    )
    stays = dataclasses.replace(perfect, positions=perfect.positions.round())
    expected, found = score(stays, small_dataset)[0], score(away, small_dataset)[0]
    assert found["deviance"] == pytest.approx(expected["deviance"], rel=1e-3)
    assert found["amplitude_ssim"] > 0.99
    assert found["phase_ssim"] > 0.99
    assert found["collapsed"] is False
    # Where the probe that was given is a wrong guess, the true one tells the place of the true object.
    guess = np.roll(small_dataset.probe, (-9, 8), (1, 2))
    guessed = dataclasses.replace(small_dataset, probe=guess, true_probe=small_dataset.probe)
    assert score(away, guessed)[0]["phase_ssim"] == pytest.approx(found["phase_ssim"], abs=1e-9)
    compared = score(away, small_dataset, perfect)[0]
    assert compared["reference_phase_pearson"] > 0.99


def test_a_reconstruction_of_other_data_is_refused(perfect: Reconstruction, small_dataset: Dataset):
    foreign = dataclasses.replace(perfect, object=perfect.object[2:])
    with pytest.raises(InputError, match="expected those of the dataset"):
        score(foreign, small_dataset)
