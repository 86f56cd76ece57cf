"""Blind reconstructions as files and records: what is found, doubted, held out, and read from a file piece by piece."""

import dataclasses
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from ptychoflow.blind import frames, pretrained
from ptychoflow.blind.candidates import GIVEN, Candidate
from ptychoflow.blind.doubts import start_doubts
from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.search import Start
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.dataset.position_axes import ingest_settings_of, orientations, turned
from ptychoflow.errors import InputError
from ptychoflow.iterative.start import sound_start, unseen_by
from ptychoflow.metrics.doubts import LEAST_EXPLAINED
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, write_reconstruction
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.scoring import score
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

QUICK = BlindReconstructionSettings(iterations=12, most_iterations=12, probe_modes=1, held_out=0.1)


@pytest.fixture(scope="module")
def curved() -> Dataset:
    """64 frames of 32×32 pixels under a curved disk, which every orientation and defocus tells apart."""
    return simulate(
        SimulationSettings(
            size=32,
            probe=ProbeSettings(kind="disk", disk_diameter=0.5, disk_curvature=4.0),
            scan=ScanSettings(frames=64, step=3.0),
            seed=3,
        )
    ).validate("curved")


@pytest.fixture(scope="module")
def file(curved: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blind") / "curved.cxi"
    write_cxi(path, curved)
    return path


@pytest.fixture(scope="module")
def measured(curved: Dataset, file: Path, blind_weights: Path) -> Reconstruction:
    """A reconstruction of the scan as if its truth were unknown."""
    return reconstruct(dataclasses.replace(curved, truth=None), file, QUICK, blind_weights, seed=1)


def test_the_record_says_what_was_found_and_how(measured: Reconstruction, curved: Dataset):
    record = measured.provenance
    assert record["result"] == "reconstruction"
    assert record["method"] == "pretrained"
    assert record["config"]["reconstruction"] == dataclasses.asdict(QUICK)
    assert record["start"]["name"] == min(record["start"]["errors"], key=record["start"]["errors"].get)
    assert record["iterations"] == len(record["gains"]) == len(record["deviances"]) == 12
    assert record["held_out_deviance"] < 3 * record["expected_deviance"]
    assert 0.9 < record["explained_share"] <= 1.01
    assert record["position_shift_rms"] == pytest.approx(0, abs=1e-4)
    assert 0 < record["solving_seconds"] < 60
    assert measured.held_out.sum() == round(0.1 * 64)
    assert measured.object.shape == curved.object_shape


def test_its_own_deviance_is_that_of_the_scores(measured: Reconstruction, curved: Dataset):
    scores, rings = score(measured, curved)
    assert scores["deviance"] == pytest.approx(measured.provenance["held_out_deviance"], rel=1e-5)
    assert scores["expected_deviance"] == pytest.approx(measured.provenance["expected_deviance"], rel=1e-5)
    assert scores["complex_nrmse"] < 0.15
    # Without the truth, the halves tell how fine it is.
    assert rings["halves"].crossing("half") > 0.5


def test_an_image_that_its_photons_do_not_determine_is_named_in_the_record(curved: Dataset, file: Path):
    # Every frame lies somewhere else than the file says.
    places = np.random.default_rng(0).permutation(curved.positions)
    wrong = dataclasses.replace(curved, positions=places, truth=None)
    record = reconstruct(wrong, file, dataclasses.replace(QUICK, learned=False), seed=1).provenance
    assert record["explained_share"] < LEAST_EXPLAINED
    assert record["warnings"][0].startswith("the photons do not determine the image")
    assert "should not be trusted" in record["warnings"][0]


def test_halves_share_no_frame(curved: Dataset, file: Path, blind_weights: Path, measured: Reconstruction):
    even, odd = measured.halves
    area = measured.coverage > 1
    assert 0 < np.abs(even - odd)[area].mean() < 0.3
    known = reconstruct(curved, file, dataclasses.replace(QUICK, iterations=1, most_iterations=1), blind_weights)
    assert np.isnan(known.halves).all()


def test_plain_iterations_need_no_weights(
    curved: Dataset, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blind_weights: Path
):
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "nothing.ckpt")
    settings = dataclasses.replace(QUICK, iterations=2, most_iterations=2)
    plain = reconstruct(curved, file, dataclasses.replace(settings, learned=False), seed=1)
    assert plain.provenance["method"] == "plain iterations"
    assert plain.provenance["checkpoint_sha256"] is None
    # An untrained network is the plain engine.
    untrained = reconstruct(curved, file, settings, blind_weights, seed=1)
    np.testing.assert_allclose(plain.object, untrained.object, atol=1e-5)


def test_frames_in_a_file_give_the_image_of_those_in_memory(
    curved: Dataset, file: Path, blind_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frames, "FRAMES_AT_ONCE", 7)
    settings = dataclasses.replace(QUICK, iterations=4, most_iterations=4, solve_positions=True)
    stored = read_cxi(file, frames_in_memory=10)
    assert not isinstance(stored.frames, np.ndarray)
    images = [reconstruct(scan, file, settings, blind_weights) for scan in (read_cxi(file), stored)]
    np.testing.assert_allclose(images[1].object, images[0].object, atol=2e-3)
    np.testing.assert_allclose(images[1].positions, images[0].positions, atol=2e-3)
    deviances = [image.provenance["held_out_deviance"] for image in images]
    assert deviances[1] == pytest.approx(deviances[0], rel=1e-2)


def test_shuffled_positions_are_doubted(
    curved: Dataset, file: Path, blind_weights: Path, caplog: pytest.LogCaptureFixture
):
    order = np.random.default_rng(0).permutation(64)
    wrong = dataclasses.replace(curved, positions=curved.positions[order], truth=None)
    settings = dataclasses.replace(QUICK, start="dataset", halves=False)
    with caplog.at_level(logging.WARNING):
        made = reconstruct(wrong, file, settings, blind_weights)
    sentence = next(one for one in made.provenance["warnings"] if "does not explain its photons" in one)
    assert sentence in caplog.messages
    assert "the positions" in sentence


def test_a_right_scan_is_not_doubted(measured: Reconstruction):
    assert not [one for one in measured.provenance["warnings"] if "probe seems" in one or "axes" in one]


def test_other_axes_are_found_named_and_followed_by_the_scores(
    curved: Dataset, file: Path, blind_weights: Path, tmp_path: Path
):
    positions, shape = object_frame(curved.positions[:, ::-1] * [1, -1], curved.size)
    wrong = dataclasses.replace(curved, positions=positions, object_shape=shape, truth=np.ones(shape, np.complex64))
    settings = dataclasses.replace(QUICK, orientation=True, start="dataset")
    made = reconstruct(wrong, file, settings, blind_weights)
    # The truth is known, though it lies in another frame.
    assert np.isnan(made.halves).all()
    # Exchanged and columns negated is undone by exchanging and negating the rows.
    assert orientations()[made.provenance["orientation"]] == (-1, 1, True)
    sentence = next(one for one in made.provenance["warnings"] if "axes of the positions" in one)
    assert "positions: {swap: true, row_sign: -1, column_sign: 1}" in sentence
    assert "Half a turn more" in sentence
    scores, _ = score(made, wrong)
    assert scores["deviance"] == pytest.approx(made.provenance["held_out_deviance"], rel=1e-5)
    write_reconstruction(tmp_path / "made.h5", made)
    with pytest.raises(InputError, match="axes of its positions otherwise than"):
        sound_start(tmp_path / "made.h5", wrong, file)


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("before", [{}, {"swap": True, "row_sign": -1, "column_sign": 1}])
def test_ingest_is_told_what_turns_the_positions(orientation: int, before: dict):
    raw = np.random.default_rng(1).normal(size=(20, 2))

    def ingested(told: dict) -> np.ndarray:
        offsets = raw[:, ::-1] if told.get("swap", False) else raw
        return offsets * [told.get("row_sign", 1), told.get("column_sign", 1)]

    told = yaml.safe_load(ingest_settings_of(orientation, {"settings": {"positions": before}}))["positions"]
    found, expected = turned(ingested(before), orientation), ingested(told)
    np.testing.assert_allclose(found - found.mean(axis=0), expected - expected.mean(axis=0), atol=1e-12)


def test_a_wrong_probe_is_named_with_errors_and_metres(curved: Dataset):
    far = Candidate("a pupil at defocus +20 px²", torch.ones(1, 16, 16), defocus=20.0)
    start = Start(far, far.probe, {GIVEN: 0.4, far.name: 0.1})
    (sentence,) = start_doubts(start, curved)
    # The search saw half the frequencies: its pixels are twice as wide.
    metres = 20 * (2 * curved.pixel_size) ** 2 / wavelength_of(curved.energy)
    assert f"({metres:+.3g} m)" in sentence
    assert "error of 0.4" in sentence
    assert "with 0.1" in sentence
    assert start_doubts(Start(far, far.probe, {GIVEN: 0.105, far.name: 0.1}), curved) == []
    assert start_doubts(Start(far, far.probe, {far.name: 0.1}), curved) == []


def test_a_background_is_kept_and_counted(curved: Dataset, measured: Reconstruction, tmp_path: Path):
    truth = dataclasses.replace(measured, object=curved.truth, probe=curved.probe, background=5.0)
    write_reconstruction(tmp_path / "made.h5", truth)
    read = read_reconstruction(tmp_path / "made.h5")
    assert read.background == 5.0
    patches = extract_patches(
        torch.from_numpy(curved.truth)[None], torch.from_numpy(curved.positions).float()[None], 32
    )[0]
    exact = torch.fft.fftshift(Propagator(32).intensity(patches, torch.from_numpy(curved.probe)), dim=(-2, -1))
    lit = dataclasses.replace(curved, frames=exact.numpy() + 5)
    everything = np.arange(64)
    assert photon_deviance(read, lit, everything) == pytest.approx(0, abs=1e-4)
    assert photon_deviance(dataclasses.replace(read, background=0.0), lit, everything) > 1
    with h5py.File(tmp_path / "made.h5", "r+") as stream:  # as files were before there was one
        del stream["background"]
    assert read_reconstruction(tmp_path / "made.h5").background == 0


def test_weights_that_are_none_are_refused(tmp_path: Path, blind_weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path / "nothing.ckpt")
    with pytest.raises(InputError, match=r"nothing.ckpt is missing: expected the weights that PtychoFlow ships"):
        load_blind()
    checkpoint = torch.load(blind_weights, weights_only=True)
    foreign = {**checkpoint, "ptychoflow": {"model": {"name": "unrolled"}}}
    torch.save(foreign, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match="trained for its own probe"):
        load_blind(tmp_path / "foreign.ckpt")
    torch.save({**checkpoint, "state_dict": {}}, tmp_path / "empty.ckpt")
    with pytest.raises(InputError, match="no blind network of this version"):
        load_blind(tmp_path / "empty.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(blind_weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a whole checkpoint"):
        load_blind(tmp_path / "cut.ckpt")


def test_a_solver_judges_by_frames_that_its_start_has_not_seen(measured: Reconstruction, caplog):
    own = np.flatnonzero(measured.held_out)
    np.testing.assert_array_equal(unseen_by(measured, own), own)
    assert not caplog.records
    np.testing.assert_array_equal(unseen_by(measured, np.arange(64)), own)
    assert f"made from {64 - len(own)} of the 64 frames that are held out" in caplog.text
    # Earlier versions marked frames as held out that the network had been given all the same.
    seen = dataclasses.replace(measured, provenance=measured.provenance | {"held_out_seen": True})
    assert not len(unseen_by(seen, own))


def test_a_start_by_the_blind_network_is_sound(
    measured: Reconstruction, curved: Dataset, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write_reconstruction(tmp_path / "made.h5", measured)
    start = sound_start(tmp_path / "made.h5", curved, file)
    assert start.background == measured.background > 0
    assert not caplog.records


def test_where_photons_are_few_it_says_what_tuning_may_show(
    curved: Dataset, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    settings = dataclasses.replace(QUICK, iterations=2, most_iterations=2, start="dataset")
    for limits, told in (((0.0, 1e12), True), ((0.0, 1.0), False)):
        monkeypatch.setattr("ptychoflow.blind.reconstruction.TUNING_PAYS", limits)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            reconstruct(curved, file, settings)
        assert ("photons fell on a pixel of the object: a network tuned on the scan itself" in caplog.text) == told
