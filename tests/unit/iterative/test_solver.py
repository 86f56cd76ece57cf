"""The iterative baseline: pty-chi gets what it expects, and gives what our scores expect."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.iterative.ptychi import GaussianBlur
from ptychoflow.iterative.solver import solve
from ptychoflow.iterative.start import sound_start
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, write_reconstruction
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.scoring import score
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.simulation.dataset import simulate


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """A densely scanned object under a curved disk: any solver should find it."""
    settings = SimulationSettings(
        size=32,
        probe=ProbeSettings(kind="disk", disk_curvature=4.0, flux=1e7),
        scan=ScanSettings(frames=100, step=3.0),
        seed=3,
    )
    dataset = simulate(settings).validate("simulated")
    path = tmp_path_factory.mktemp("scan") / "scan.cxi"
    write_cxi(path, dataset)
    return dataset, path


@pytest.fixture(scope="module")
def solved(scan: tuple[Dataset, Path]) -> Reconstruction:
    return solve(SolverSettings(epochs=40, batch_size=20, held_out=0.1), *scan)


@pytest.mark.slow
def test_the_true_object_is_found_at_its_place(solved: Reconstruction, scan: tuple[Dataset, Path]):
    scores, _ = score(solved, scan[0])
    assert scores["amplitude_ssim"] > 0.95
    assert scores["phase_ssim"] > 0.95
    # The positions count as in the rest of the library: not half a pixel off.
    centre = np.s_[20:-20, 20:-20]
    truth = np.abs(scan[0].truth)[centre]
    here = np.corrcoef(np.abs(solved.object)[centre].ravel(), truth.ravel())[0, 1]
    moved = ndimage.shift(np.abs(solved.object), (0.5, 0.5))[centre]
    assert here > np.corrcoef(moved.ravel(), truth.ravel())[0, 1]


def test_object_and_probe_are_in_photons(solved: Reconstruction, scan: tuple[Dataset, Path]):
    dataset = scan[0]
    assert solved.held_out.sum() == 10
    # In other units the deviance would be millions: the true object itself scores about 1.
    fitted = np.flatnonzero(~solved.held_out)
    assert photon_deviance(solved, dataset, fitted) < 30
    assert photon_deviance(solved, dataset, np.flatnonzero(solved.held_out)) < 300


def test_the_same_seed_gives_the_same_image(scan: tuple[Dataset, Path]):
    settings = SolverSettings(epochs=2, batch_size=20)
    first, again, other = (solve(settings, *scan, seed=seed).object for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_start_near_the_truth_is_better_than_none(solved: Reconstruction, scan: tuple[Dataset, Path], tmp_path: Path):
    write_reconstruction(tmp_path / "start.h5", solved)
    settings = SolverSettings(algorithm="rpie", epochs=1, batch_size=20)
    afresh, refined = solve(settings, *scan), solve(settings, *scan, start=tmp_path / "start.h5")
    assert refined.provenance["method"] == "rpie after lsqml"
    assert refined.provenance["starting_seconds"] == solved.provenance["solving_seconds"]
    assert score(refined, scan[0])[0]["amplitude_ssim"] > score(afresh, scan[0])[0]["amplitude_ssim"] + 0.02


def test_a_start_of_another_dataset_is_refused(solved: Reconstruction, scan: tuple[Dataset, Path], tmp_path: Path):
    write_reconstruction(tmp_path / "start.h5", dataclasses.replace(solved, object=solved.object[:-2]))
    with pytest.raises(InputError, match="has an object of"):
        solve(SolverSettings(epochs=1), *scan, start=tmp_path / "start.h5")


def test_a_start_that_shows_nothing_is_refused(solved: Reconstruction, scan: tuple[Dataset, Path], tmp_path: Path):
    path, scores = tmp_path / "start.h5", tmp_path / "metrics.json"
    noise = np.random.default_rng(0).normal(0, 0.003, (2, *solved.object.shape))
    flat = (1 + noise[0] + 1j * noise[1]).astype(np.complex64)
    write_reconstruction(path, dataclasses.replace(solved, object=flat))
    with pytest.raises(InputError, match=r"start\.h5 is empty, it varies by 0.004\d* of its mean: expected an image"):
        solve(SolverSettings(epochs=1), *scan, start=path)
    write_reconstruction(path, solved)
    scores.write_text(json.dumps({"collapsed": True}))
    with pytest.raises(InputError, match=r"start\.h5 is collapsed, by its scores: expected an image"):
        solve(SolverSettings(epochs=1), *scan, start=path, start_scores=scores)
    write_reconstruction(path, dataclasses.replace(solved, provenance={"collapsed": True}))
    with pytest.raises(InputError, match=r"start\.h5 is collapsed, by its scores"):
        sound_start(path, *scan)
    scores.write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json"):
        sound_start(path, *scan, scores)


def test_a_start_worse_than_nothing_is_warned_of(
    solved: Reconstruction, scan: tuple[Dataset, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "start.h5"
    write_reconstruction(path, solved)
    (tmp_path / "metrics.json").write_text(json.dumps({"collapsed": False}))
    sound_start(path, *scan, tmp_path / "metrics.json")
    assert not caplog.records
    write_reconstruction(path, dataclasses.replace(solved, object=solved.object[::-1].conj()))
    sound_start(path, *scan)
    assert "start.h5 explains the photons worse than nothing: deviance" in caplog.text


def test_a_dark_frame_is_solved_for_as_well(scan: tuple[Dataset, Path]):
    frames = scan[0].frames.copy()
    frames[[0, 50]] = 0
    for algorithm in ("lsqml", "rpie"):
        settings = SolverSettings(algorithm=algorithm, epochs=2)
        found = solve(settings, dataclasses.replace(scan[0], frames=frames), scan[1])
        assert np.isfinite(found.object).all()
        assert np.isfinite(found.probe).all()


@pytest.mark.slow
def test_halves_are_solved_for_where_no_truth_is_known(scan: tuple[Dataset, Path], tmp_path: Path):
    dataset = dataclasses.replace(scan[0], truth=None)
    found = solve(SolverSettings(epochs=20, batch_size=20), dataset, scan[1])
    write_reconstruction(tmp_path / "found.h5", found)
    read = read_reconstruction(tmp_path / "found.h5")
    assert np.abs(read.provenance["half_displacements"]).shape == (2, 2)
    scores, _ = score(read, dataset)
    assert scores["split_frc_half"] > 0.3
    assert scores["amplitude_ssim"] is None


@pytest.mark.slow
def test_positions_that_are_off_are_brought_nearer(scan: tuple[Dataset, Path]):
    dataset = scan[0]
    errors = np.random.default_rng(0).normal(0, 0.7, dataset.positions.shape)
    shaken = dataclasses.replace(dataset, positions=dataset.positions + errors)
    found = solve(SolverSettings(epochs=60, batch_size=20, refine_positions=True), shaken, scan[1])

    def rms(positions: np.ndarray) -> float:
        difference = positions - dataset.positions
        return float((difference - difference.mean(axis=0)).std())

    assert rms(found.positions) < 0.7 * rms(shaken.positions)


def test_a_near_field_is_refused(scan: tuple[Dataset, Path]):
    near = dataclasses.replace(scan[0], propagation="near")
    with pytest.raises(InputError, match="is a near field: expected a far field"):
        solve(SolverSettings(epochs=1), near, scan[1])


def test_coverage_is_the_sum_of_the_probes_light(scan: tuple[Dataset, Path]):
    dataset = scan[0]
    whole = np.round(dataset.positions[:3])
    coverage = coverage_of(dataset.probe, whole, dataset.object_shape)
    expected = np.zeros(dataset.object_shape)
    light = np.abs(dataset.probe[0]) ** 2
    for row, column in whole.astype(int):
        expected[row - 16 : row + 16, column - 16 : column + 16] += light / light.max()
    inside = expected > 0.2
    np.testing.assert_allclose(coverage[inside], expected[inside], rtol=2e-2)


def test_the_stand_in_blurs_as_scipy():
    image = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(0))
    blurred = GaussianBlur((9, 9), (1.5, 1.5))(image)
    np.testing.assert_allclose(blurred[1], ndimage.gaussian_filter(image[1].numpy(), 1.5), rtol=1e-6)


def test_the_image_is_seen_on_its_way(scan: tuple[Dataset, Path]):
    seen = []
    last = solve(
        SolverSettings(epochs=2, batch_size=20, held_out=0.1),
        *scan,
        look=lambda epoch, image: seen.append((epoch, image())),
    )
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert not np.array_equal(seen[0][1].object, last.object)
    np.testing.assert_array_equal(seen[1][1].object, last.object)
    np.testing.assert_array_equal(seen[1][1].held_out, last.held_out)
    assert score(seen[1][1], scan[0])[0]["phase_ssim"] == score(last, scan[0])[0]["phase_ssim"]


def test_halves_are_left_out_where_nobody_asks(scan: tuple[Dataset, Path]):
    measured = dataclasses.replace(scan[0], truth=None)
    found = solve(SolverSettings(epochs=1, batch_size=20), measured, scan[1], halves=False)
    assert np.isnan(found.halves).all()
    assert "half_displacements" not in found.provenance
