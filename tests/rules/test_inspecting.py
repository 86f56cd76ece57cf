"""What a scan holds, as lines, as JSON and as a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_programs import run_in_process

from ptychoflow.dataset.dataset import Dataset


def test_a_dataset_is_described(
    small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    png = tmp_path / "scan.png"
    assert run_in_process(monkeypatch, "inspect_dataset", "--data", small_cxi, "--png", png) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["frames", "64"] in [line.split() for line in lines]
    assert not any(line.startswith("warning") for line in lines)
    assert png.stat().st_size > 20000
    assert run_in_process(monkeypatch, "inspect_dataset", "--data", small_cxi, "--json", "--try_orientations") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["warnings"] == []
    assert facts["compression"] == "gzip"
    assert facts["photon_errors"]["as they are"] == pytest.approx(min(facts["photon_errors"].values()), rel=0.05)


def test_what_looks_wrong_is_said(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    rows, columns = small_dataset.positions.T
    probe = small_dataset.probe[0]
    path = tmp_path / "scan.npz"
    np.savez(path, diffraction=small_dataset.frames, probeGuess=probe, xcoords=columns, ycoords=rows)
    settings = ["--data", path, "--try_orientations", "--energy", "8850", "--detector_distance", "0.343"]
    settings += ["--detector_pixel_size", "7.5e-5"]
    assert run_in_process(monkeypatch, "inspect_dataset", *settings, "--quantity", "intensity") == 0
    assert "warning" not in capsys.readouterr().out
    np.savez(path, diffraction=small_dataset.frames, probeGuess=probe, xcoords=rows, ycoords=columns)
    wrong = ["--quantity", "intensity", "--zero_frequency", "corner"]
    assert run_in_process(monkeypatch, "inspect_dataset", *settings, *wrong) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert any("zero frequency seems to lie in the corner" in line for line in warnings)
    assert run_in_process(monkeypatch, "inspect_dataset", *settings, "--quantity", "intensity") == 0
    (warning,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("warning"))
    assert "exchanged" in warning


def test_what_ingest_warned_of_is_said_again(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    rows, columns = small_dataset.positions.T
    frames = small_dataset.frames.astype(np.uint32)
    frames[:, 4:6], frames[9] = 65535, 0
    np.savez(
        tmp_path / "scan.npz", diff3d=frames, probeGuess=small_dataset.probe[0], xcoords=columns * 4, ycoords=rows * 4
    )
    output = ["--output", tmp_path / "scan.cxi", "--provenance", tmp_path / "scan.json"]
    ingest = ["--input", tmp_path / "scan.npz", "--quantity", "intensity", "--energy", "8850", *output]
    assert run_in_process(monkeypatch, "ingest", *ingest) == 0
    record = json.loads((tmp_path / "scan.json").read_text())
    expected = [
        "64 pixels hold 65535 in every frame",
        "frame 9 holds photons far from those of the frames about them",
        "detector_distance is taken as 1, detector_pixel_size is taken as 7.5e-05",
        "neighbouring positions are",
    ]
    assert record["frames_left_out"] == 1
    assert str(tmp_path) not in "".join(record["warnings"])
    assert run_in_process(monkeypatch, "inspect_dataset", "--data", tmp_path / "scan.cxi", "--json") == 0
    again = json.loads(capsys.readouterr().out)["warnings"]
    for start in expected:
        assert sum(sentence.startswith(start) for sentence in record["warnings"]) == 1, record["warnings"]
        assert sum(sentence.startswith(start) for sentence in again) == 1, again
