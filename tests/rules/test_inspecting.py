"""What a scan holds, as lines, as JSON and as a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_programs import run_in_process

from ptychoflow.data.dataset import Dataset


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
    settings = ["--data", path, "--try_orientations"]
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
