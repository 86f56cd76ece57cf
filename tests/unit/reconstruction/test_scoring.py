"""All scores of one reconstruction, and the deviance of its frames against plain NumPy and scipy."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.truth import true_patches
from ptychoflow.reconstruction import photons, scoring
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.scoring import SCORES, score, write_scores
from ptychoflow.reconstruction.stitching import Portion, stitch


@pytest.fixture(scope="module")
def stitched(small_dataset: Dataset) -> Reconstruction:
    positions, probe = torch.from_numpy(small_dataset.positions), torch.from_numpy(small_dataset.probe)
    portion = Portion(torch.arange(64), true_patches(small_dataset))
    result = stitch(lambda: [portion], positions, probe, small_dataset.object_shape)
    canvas, coverage, halves = (array.numpy() for array in result)
    return Reconstruction(
        object=canvas,
        coverage=coverage,
        halves=halves,
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.arange(64) % 4 == 0,
        pixel_size=2e-8,
    )


def test_every_score_is_there_and_the_stitched_truth_scores_well(stitched: Reconstruction, small_dataset: Dataset):
    scores, _ = score(stitched, small_dataset)
    assert set(scores) == set(SCORES)
    assert scores["amplitude_ssim"] > 0.99
    assert scores["phase_ssim"] > 0.99
    assert scores["complex_nrmse"] < 0.02
    assert scores["seconds"] is None


def test_where_an_image_belongs_is_told_by_the_true_probe_not_by_the_guess(
    stitched: Reconstruction, small_dataset: Dataset
):
    def rolled(array: np.ndarray, by: tuple[int, int]) -> np.ndarray:
        return np.roll(array, by, axis=(-2, -1))

    shift = (9, -9)
    solved = dataclasses.replace(
        stitched,
        object=rolled(stitched.object, shift),
        coverage=rolled(stitched.coverage, shift),
        probe=rolled(small_dataset.probe, shift),
    )
    # The file's probe lies where the solved one does, so it would leave the image where it is.
    misled = dataclasses.replace(
        small_dataset, probe=rolled(small_dataset.probe, shift), true_probe=small_dataset.probe
    )
    assert score(solved, misled)[0]["amplitude_ssim"] > 0.99


def test_resolution_against_the_truth_and_between_halves_have_names_of_their_own(
    stitched: Reconstruction, small_dataset: Dataset
):
    scores, rings = score(stitched, small_dataset)
    assert rings.keys() == {"truth", "halves"}
    assert scores["frc_half"] == rings["truth"].crossing("half")
    assert scores["split_frc_half"] == rings["halves"].crossing("half")
    measured = dataclasses.replace(small_dataset, truth=None)
    scores, rings = score(stitched, measured)
    assert rings.keys() == {"halves"}
    assert scores["frc_half"] is None
    assert scores["split_frc_half"] > 0
    joined = dataclasses.replace(stitched, halves=np.full_like(stitched.halves, np.nan))
    scores, rings = score(joined, small_dataset)
    assert scores["frc_half"] > 0
    assert scores["split_frc_half_nm"] is None
    scores, rings = score(joined, measured)
    assert (scores["frc_half"], scores["split_frc_one_seventh"], rings) == (None, None, {})
    assert scores["deviance"] > 0


def test_halves_that_were_solved_for_apart_are_brought_together(stitched: Reconstruction, small_dataset: Dataset):
    even, odd = stitched.halves
    measured = dataclasses.replace(small_dataset, truth=None)
    apart = dataclasses.replace(
        stitched,
        halves=np.stack([np.roll(even, (7, 3), (0, 1)), np.roll(odd, (-2, -4), (0, 1))]),
        provenance={"half_displacements": [[7.0, 3.0], [-2.0, -4.0]]},
    )
    together = score(stitched, measured)[0]["split_frc_half"]
    assert score(apart, measured)[0]["split_frc_half"] == pytest.approx(together, abs=0.1)


def test_a_reference_is_compared_with_where_the_network_saw_nothing(stitched: Reconstruction, small_dataset: Dataset):
    unseen = dataclasses.replace(stitched, trained=np.zeros(64, bool))
    assert not scoring.trained_area(unseen).any()
    assert score(unseen, small_dataset, stitched)[0]["reference_phase_pearson"] == pytest.approx(1)


def test_no_frames_have_no_light_and_no_deviance(stitched: Reconstruction, small_dataset: Dataset):
    assert photon_deviance(stitched, small_dataset, np.zeros(0, int)) is None
    empty = dataclasses.replace(stitched, positions=stitched.positions[:0], held_out=stitched.held_out[:0])
    dark = dataclasses.replace(stitched, coverage=0 * stitched.coverage)
    for nothing in (empty, dark):
        with pytest.raises(InputError, match="expected at least one frame with some"):
            score(nothing, small_dataset)


def test_a_turned_tilted_and_scaled_reconstruction_scores_the_same(stitched: Reconstruction, small_dataset: Dataset):
    rows, columns = np.indices(stitched.object.shape)
    free = 0.7 * np.exp(1j * (1.1 + 0.02 * rows - 0.01 * columns))
    turned = dataclasses.replace(stitched, object=(stitched.object * free).astype(np.complex64))
    expected, found = score(stitched, small_dataset)[0], score(turned, small_dataset)[0]
    for name in ("amplitude_ssim", "phase_ssim", "complex_nrmse", "frc_half"):
        assert found[name] == pytest.approx(expected[name], abs=2e-3), name


def test_an_empty_or_unlike_object_has_collapsed(stitched: Reconstruction, small_dataset: Dataset):
    assert score(stitched, small_dataset)[0]["collapsed"] is False
    assert score(stitched, small_dataset)[0]["amplitude_pearson"] > 0.99
    noise = np.random.default_rng(0).normal(0, 1, (2, *stitched.object.shape))
    empty = dataclasses.replace(stitched, object=(1 + 1e-3 * noise[0]).astype(np.complex64))
    unlike = dataclasses.replace(stitched, object=np.exp(0.3 * (noise[0] + 1j * noise[1])).astype(np.complex64))
    assert score(empty, small_dataset)[0]["variation"] < 0.02
    assert score(unlike, small_dataset)[0]["variation"] > 0.1
    for collapsed in (empty, unlike):
        assert score(collapsed, small_dataset)[0]["collapsed"] is True
    # Without the truth an empty object is still told, another one is not.
    measured = dataclasses.replace(small_dataset, truth=None)
    assert score(empty, measured)[0]["collapsed"] is True
    assert score(unlike, measured)[0]["collapsed"] is False


def test_a_reference_is_compared_with_where_no_frame_was_trained_on(stitched: Reconstruction, small_dataset: Dataset):
    columns = small_dataset.positions[:, 1]
    trained_left = dataclasses.replace(stitched, trained=columns <= np.median(columns))
    seen = scoring.trained_area(trained_left)
    assert seen[:, : int(columns.min()) + 4].any()
    assert not seen[:, int(columns.max()) - 2 :].any()
    spoilt = stitched.object.copy()
    spoilt[seen] = 3j
    scores, _ = score(dataclasses.replace(trained_left, object=spoilt), small_dataset, stitched)
    assert scores["reference_phase_pearson"] > 0.99
    assert scores["amplitude_pearson"] < 0.9
    assert score(trained_left, small_dataset)[0]["reference_phase_pearson"] is None


def test_half_periods_follow_from_the_pixel(stitched: Reconstruction, small_dataset: Dataset):
    noisy = dataclasses.replace(stitched, object=stitched.object + np.random.default_rng(0).normal(0, 0.2, (1, 1)))
    scores, rings = score(noisy, small_dataset)
    for name in ("half", "half_bit", "one_seventh"):
        for kind, correlated in (("frc", "truth"), ("split_frc", "halves")):
            assert scores[f"{kind}_{name}"] == rings[correlated].crossing(name)
            assert scores[f"{kind}_{name}_nm"] == pytest.approx(20 / scores[f"{kind}_{name}"])


def test_the_deviance_is_that_of_scipy_over_good_pixels(
    stitched: Reconstruction, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(photons, "FRAMES_AT_ONCE", 4)
    mask = np.random.default_rng(0).random((32, 32)) > 0.2
    frames = np.array([1, 5, 8, 30, 31, 40, 41, 50, 63])
    whole = dataclasses.replace(
        stitched, object=small_dataset.truth, positions=small_dataset.positions.round(), held_out=np.ones(64, bool)
    )
    deviances = []
    for frame in frames:
        row, column = whole.positions[frame].astype(int)
        patch = small_dataset.truth[row - 16 : row + 16, column - 16 : column + 16]
        wave = np.fft.fftshift(np.fft.fft2(small_dataset.probe[0] * patch)) / 32
        expected = np.maximum(np.abs(wave) ** 2, 1e-2)[mask]
        counts = small_dataset.frames[frame][mask]
        deviances.append(2 * (stats.poisson.logpmf(counts, counts) - stats.poisson.logpmf(counts, expected)).mean())
    computed = photon_deviance(whole, dataclasses.replace(small_dataset, mask=mask), frames)
    assert computed == pytest.approx(np.mean(deviances), rel=1e-4)


def test_the_deviance_counts_the_held_out_frames_alone(stitched: Reconstruction, small_dataset: Dataset):
    spoilt = small_dataset.frames.copy()
    spoilt[1::4] *= 30
    expected = score(stitched, small_dataset)[0]["deviance"]
    assert score(stitched, dataclasses.replace(small_dataset, frames=spoilt))[0]["deviance"] == expected
    spoilt[0::4] *= 30
    assert score(stitched, dataclasses.replace(small_dataset, frames=spoilt))[0]["deviance"] > 10 * expected


def test_a_reconstruction_of_more_frames_than_there_are_is_refused(stitched: Reconstruction, small_dataset: Dataset):
    fewer = dataclasses.replace(small_dataset, frames=small_dataset.frames[:10])
    with pytest.raises(InputError, match="the reconstruction has 64 frames"):
        score(stitched, fewer)


def test_scores_are_json_without_nan(stitched: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    scores, _ = score(stitched, dataclasses.replace(small_dataset, truth=None))
    write_scores(tmp_path / "scores.json", scores)
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_scores(tmp_path / "nan.json", {"deviance": float("nan")})
    assert not (tmp_path / "nan.json").exists()
