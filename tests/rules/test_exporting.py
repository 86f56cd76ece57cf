"""A reconstruction goes into the files of other tools by their names."""

from pathlib import Path

import numpy as np
import pytest
from test_programs import run_in_process

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction, write_reconstruction
from ptychoflow.reconstruction.stitching import coverage_of


def test_a_reconstruction_is_exported(
    small_dataset: Dataset, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = Reconstruction(
        object=small_dataset.truth,
        coverage=coverage_of(small_dataset.probe, small_dataset.positions, small_dataset.object_shape),
        halves=np.stack([small_dataset.truth] * 2),
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.zeros(64, dtype=bool),
        pixel_size=small_dataset.pixel_size,
    )
    write_reconstruction(tmp_path / "reconstruction.h5", made)
    source = ["--reconstruction", tmp_path / "reconstruction.h5", "--data", small_cxi]
    names = ["out.cxi", "out.ptyr", "out.npz", "out.tif"]
    output = [tmp_path / "out" / name for name in names]
    assert run_in_process(monkeypatch, "export", *source, "--output", *output) == 0
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["out.cxi", "out.npz", "out.ptyr", "out_amplitude.tif", "out_phase.tif"]
    assert run_in_process(monkeypatch, "export", *source, "--output", tmp_path / "out.mat") == 2
