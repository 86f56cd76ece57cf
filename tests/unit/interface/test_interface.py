"""The library from Python: the same results as the programs give, and nothing imported before it is used."""

import ast
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ptychoflow
from ptychoflow.dataset.cxi import read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.reconstruction.scoring import own_scores

SCRIPTS = Path(__file__).parents[3] / "scripts"
QUICK = {"iterations": 6, "most_iterations": 6, "probe_modes": 1, "start": "dataset"}
PUBLIC = {"Image", "InputError", "Scan", "load", "read", "reconstruct", "simulate", "solve", "train", "tune"}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> ptychoflow.Scan:
    path = tmp_path_factory.mktemp("interface") / "scan.cxi"
    return ptychoflow.simulate(path, seed=7, size=32, probe={"kind": "disk"}, scan={"frames": 64, "step": 4})


@pytest.fixture(scope="module")
def image(scan: ptychoflow.Scan) -> ptychoflow.Image:
    return ptychoflow.reconstruct(scan, progress=False, **QUICK)


@pytest.fixture
def foreign(scan: ptychoflow.Scan, tmp_path: Path) -> Path:
    """The scan as the arrays of somebody else, positions in micrometres, without probe or geometry."""
    path = tmp_path / "arrays.npz"
    np.savez(path, counts=scan.frames, where=1e6 * scan.pixel_size * scan.positions)
    return path


def foreign_settings(scan: ptychoflow.Scan) -> dict:
    return {
        "paths": {"frames": "counts", "positions": "where"},
        "positions": {"unit": "micrometres"},
        "energy": scan.energy,
        "detector_distance": scan.dataset.detector_distance,
        "detector_pixel_size": scan.dataset.detector_pixel_size,
    }


def test_importing_costs_nothing_and_brings_no_torch_until_it_is_used():
    # Of the processor, which a busy machine makes no longer.
    program = "import sys, time; start = time.process_time(); import ptychoflow; dir(ptychoflow); "
    program += "print(time.process_time() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout.split()
    assert float(found[0]) < 0.2
    assert found[1:] == ["False", "False"]


def test_the_public_names_are_listed_and_described():
    assert set(dir(ptychoflow)) >= PUBLIC
    assert set(ptychoflow.__all__) == PUBLIC | {"__version__"}
    for name in PUBLIC:
        assert getattr(ptychoflow, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'reconstuct'"):
        _ = ptychoflow.reconstuct


def test_what_type_checkers_read_names_what_is_there():
    tree = ast.parse((SCRIPTS / "ptychoflow/__init__.pyi").read_text(encoding="utf-8"))
    stub = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stub == {name: f"ptychoflow.{place}" for name, place in ptychoflow._PLACES.items()}


def test_an_image_is_that_of_the_library(image: ptychoflow.Image, scan: ptychoflow.Scan):
    made = image.reconstruction
    np.testing.assert_allclose(image.amplitude, np.abs(made.object), rtol=1e-6)
    np.testing.assert_allclose(image.amplitude * np.exp(1j * image.phase), image.object, atol=1e-5)
    assert abs(np.angle(image.object[image.illuminated].mean())) < 1e-5
    # The free phase is all that may be taken out.
    ratio = (made.object / image.object)[image.illuminated]
    np.testing.assert_allclose(ratio, ratio[0], atol=1e-4)
    assert image.amplitude.dtype == image.phase.dtype == np.float32
    assert image.probe.shape == (1, 32, 32)
    assert image.pixel_size == scan.pixel_size
    scores = own_scores(made, scan.dataset)
    assert image.deviance == pytest.approx(scores["deviance"], rel=1e-5)
    assert image.misfit == pytest.approx(scores["misfit"], rel=1e-5)
    assert image.provenance["data_file"] == str(scan.file)


def test_an_image_comes_back_from_its_file_as_the_workflow_reads_it(image: ptychoflow.Image, tmp_path: Path):
    image.save(tmp_path / "image.h5")
    again = ptychoflow.load(tmp_path / "image.h5")
    for name in ("amplitude", "phase", "probe", "positions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(image, name))
    assert (again.deviance, again.warnings) == (image.deviance, image.warnings)
    assert again.provenance == json.loads(json.dumps(image.provenance))
    assert read_reconstruction(tmp_path / "image.h5").provenance["result"] == "reconstruction"
    with pytest.raises(ptychoflow.InputError, match="cannot be read as an HDF5 file"):
        ptychoflow.load(__file__)


def test_amplitude_phase_and_results_come_as_a_tuple(image: ptychoflow.Image):
    amplitude, phase, results = image.as_tuple()
    np.testing.assert_array_equal(amplitude, image.amplitude)
    np.testing.assert_array_equal(phase, image.phase)
    assert results["deviance"] == image.deviance
    np.testing.assert_array_equal(results["probe"], image.probe)


def test_pictures_have_units_and_the_truth_where_it_is_known(image: ptychoflow.Image, scan: ptychoflow.Scan):
    amplitude, phase = image.plot()
    assert (amplitude.get_xlabel(), phase.get_ylabel()) == ("x [µm]", "y [µm]")
    assert phase.figure.axes[-1].get_ylabel() == "rad"
    assert image.plot(scan).shape == (2, 3)
    assert [axis.get_xlabel() for axis in scan.plot()[0][:2]] == ["x [µm]", "frame"]


def test_scores_need_the_scan(image: ptychoflow.Image, scan: ptychoflow.Scan):
    assert image.scores(scan)["deviance"] == pytest.approx(image.deviance, rel=1e-5)


def test_a_foreign_file_is_read_by_keywords_and_what_is_doubtful_is_seen(
    foreign: Path, scan: ptychoflow.Scan, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        read = ptychoflow.read(foreign, measure=False, **foreign_settings(scan))
    moved = read.positions - scan.positions
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-6)
    np.testing.assert_array_equal(read.frames, scan.frames)
    assert not read.probe_known
    assert any("has no probe" in sentence for sentence in read.warnings)
    assert any("has no probe" in sentence for sentence in caplog.messages)
    made = ptychoflow.reconstruct(read, progress=False, iterations=1, most_iterations=1, halves=False)
    assert set(read.warnings) <= set(made.warnings)


def test_the_geometry_is_doubted_as_ingest_doubts_it(
    foreign: Path, scan: ptychoflow.Scan, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def doubts(dataset: Dataset, source: str, whole: bool) -> list[str]:
        asked.append(whole)
        return ["the axes run otherwise"]

    monkeypatch.setattr("ptychoflow.interface.scan.geometry_doubts", doubts)
    reads = [ptychoflow.read(foreign, measure=measure, **foreign_settings(scan)) for measure in (None, True, False)]
    assert asked == [False, True]
    assert ["the axes run otherwise" in read.warnings for read in reads] == [True, True, False]
    assert "the axes run otherwise" not in ptychoflow.read(scan.file).warnings


def test_warnings_are_seen_where_nobody_set_up_logging(foreign: Path, scan: ptychoflow.Scan):
    program = f"import ptychoflow; ptychoflow.read({str(foreign)!r}, measure=False, **{foreign_settings(scan)!r})"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert found.stderr.count("the file has no probe") == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"enrgy": 8000}, "ingest has enrgy: expected energy"),
        ({"positions": {"unit": "miles"}}, "positions.unit is miles: expected one of default, pixels"),
        ({"energy": -1}, "energy is -1: expected a number above 0"),
        ({"energy": 8000.0, "voltage": 3e5}, "expected one of them"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict, sentence: str, foreign: Path):
    with pytest.raises(ptychoflow.InputError, match=sentence):
        ptychoflow.read(foreign, **settings)


def test_numbers_may_be_of_numpy(scan: ptychoflow.Scan):
    settings = QUICK | {"iterations": np.int64(1), "most_iterations": np.arange(3)[1], "held_out": np.float32(0.25)}
    made = ptychoflow.reconstruct(scan, progress=False, **settings)
    assert made.provenance["iterations"] == 1
    assert made.reconstruction.held_out.sum() == 16


def test_a_scan_is_written_as_others_read_it(scan: ptychoflow.Scan, foreign: Path, tmp_path: Path):
    read = ptychoflow.read(foreign, measure=False, **foreign_settings(scan))
    written = read.save(tmp_path / "again.cxi")
    assert written.canonical
    assert not read.canonical
    np.testing.assert_array_equal(read_cxi(written.file).positions, read.positions)
    assert "64 frames of 32×32 pixels" in repr(written)


def test_progress_is_shown_or_not(scan: ptychoflow.Scan, capsys: pytest.CaptureFixture):
    ptychoflow.reconstruct(scan, **QUICK | {"iterations": 2, "most_iterations": 2})
    assert "2/2" in capsys.readouterr().err
    ptychoflow.reconstruct(scan, progress=False, **QUICK | {"iterations": 2, "most_iterations": 2})
    assert capsys.readouterr().err == ""


def test_a_network_of_ones_own_is_trained_and_used(foreign: Path, scan: ptychoflow.Scan, tmp_path: Path):
    told = {"probe_diameter": 1e-7, "measure": False, **foreign_settings(scan)}
    read = ptychoflow.read(foreign, **told)
    settings = {"max_epochs": 1, "batch_size": 8, "groups": {"size": 4, "neighbours": 8}, "precision": "32-true"}
    model = {"features": 4, "iterations": 2}
    checkpoint = ptychoflow.train(read, tmp_path / "run", model=model, progress=False, **settings)
    assert checkpoint == tmp_path / "run/model.ckpt"
    # The file says nothing of its units, so what it was read as is kept.
    assert read_cxi(tmp_path / "run/scans/0.cxi").positions == pytest.approx(read.positions)
    last = (tmp_path / "run/checkpoints/last.ckpt").stat().st_mtime_ns
    assert ptychoflow.train(read, tmp_path / "run", model=model, progress=False, **settings) == checkpoint
    assert (tmp_path / "run/checkpoints/last.ckpt").stat().st_mtime_ns == last, "what was finished was trained again"
    made = ptychoflow.reconstruct(scan, tmp_path / "run", tile_frames=32)
    assert made.provenance["method"] == "unrolled"
    assert np.isfinite(made.object).all()
    assert made.deviance == pytest.approx(own_scores(made.reconstruction, scan.dataset)["deviance"])
    with pytest.raises(ptychoflow.InputError, match="inference has iterations: expected"):
        ptychoflow.reconstruct(scan, checkpoint, iterations=3)
    with pytest.raises(ptychoflow.InputError, match="has no checkpoint"):
        ptychoflow.reconstruct(scan, tmp_path / "nothing")


@pytest.mark.slow
def test_training_shows_a_bar_and_no_hints_of_lightning(scan: ptychoflow.Scan, tmp_path: Path):
    settings = {"max_epochs": 1, "batch_size": 32, "groups": {"size": 2, "neighbours": 4}, "precision": "32-true"}
    model = {"features": 2, "iterations": 1}
    program = f"import ptychoflow; ptychoflow.train({str(scan.file)!r}, 'run', model={model!r}, **{settings!r})"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert "Epoch 0: 100%" in found.stdout + found.stderr
    assert not [hint for hint in ("Tip", "TPU", "srun") if hint in found.stdout + found.stderr]


def test_a_solver_gives_images_too(scan: ptychoflow.Scan):
    pytest.importorskip("ptychi")
    made = ptychoflow.solve(scan, epochs=3, held_out=0.1, progress=False)
    assert made.provenance["method"] == "lsqml"
    assert made.deviance == pytest.approx(own_scores(made.reconstruction, scan.dataset)["deviance"])
