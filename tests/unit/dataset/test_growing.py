"""A file that grows: frames as they were written, counted only when they are whole, and a dataset in the end."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoflow.dataset.cxi import OWN, TRANSLATION, read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.growing import FRAMES, POSITIONS, WRITTEN, GrowingFile, GrowingScan, replay
from ptychoflow.errors import InputError


def test_a_finished_file_is_the_dataset_that_was_replayed(small_dataset: Dataset, tmp_path: Path):
    replay(tmp_path / "grown.cxi", small_dataset, rate=1e5, frames_at_once=5)
    grown = read_cxi(tmp_path / "grown.cxi")
    write_cxi(tmp_path / "whole.cxi", small_dataset)
    for name in ("frames", "positions", "probe", "mask", "object_shape", "truth"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(small_dataset, name))
    assert grown.provenance == small_dataset.provenance
    with h5py.File(tmp_path / "grown.cxi") as file, h5py.File(tmp_path / "whole.cxi") as whole:
        np.testing.assert_allclose(file[TRANSLATION], whole[TRANSLATION], atol=1e-12)
        assert file["entry_1/data_1/data"] == file[FRAMES]
        assert dict(file[FRAMES].attrs) == dict(whole[FRAMES].attrs)
        assert file[FRAMES].compression == "gzip"


def test_a_reader_gives_what_was_written(small_dataset: Dataset, tmp_path: Path):
    replay(tmp_path / "grown.cxi", small_dataset, rate=1e5)
    with GrowingScan(tmp_path / "grown.cxi") as scan:
        assert scan.available() == scan.planned == len(small_dataset.frames)
        frames, positions = scan.read(3, 9)
        np.testing.assert_array_equal(frames, small_dataset.frames[3:9])
        np.testing.assert_array_equal(positions, small_dataset.positions[3:9])
        np.testing.assert_array_equal(scan.probe, small_dataset.probe)
        np.testing.assert_array_equal(scan.mask, small_dataset.mask)
        assert scan.object_shape == small_dataset.object_shape
        assert scan.pixel_size == pytest.approx(small_dataset.pixel_size)


def test_positions_in_metres_will_do(small_dataset: Dataset, tmp_path: Path):
    write_cxi(tmp_path / "scan.cxi", small_dataset)
    with h5py.File(tmp_path / "scan.cxi", "a") as file:
        del file[OWN]
    with GrowingScan(tmp_path / "scan.cxi") as scan:
        assert scan.object_shape is None
        assert scan.planned is None
        _, positions = scan.read(0, scan.available())
    expected = small_dataset.positions - np.array(small_dataset.object_shape) / 2
    np.testing.assert_allclose(positions, expected, atol=1e-6)


def test_a_frame_counts_once_it_is_whole(small_dataset: Dataset, tmp_path: Path):
    path = tmp_path / "scan.cxi"
    with GrowingFile(path, small_dataset) as file:
        file.append(small_dataset.frames[:6], small_dataset.positions[:6])
    with h5py.File(path, "a", libver="latest") as file:
        file[FRAMES].resize(8, axis=0)
        file[POSITIONS].resize(7, axis=0)
    with GrowingScan(path) as scan:
        assert scan.available() == 6
    with h5py.File(path, "a", libver="latest") as file:
        del file[WRITTEN]
    with GrowingScan(path) as scan:
        assert scan.available() == 7


def test_what_is_no_scan_is_refused(small_dataset: Dataset, tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.cxi: it cannot be read"):
        GrowingScan(tmp_path / "absent.cxi", patience=0.1)
    (tmp_path / "text.cxi").write_text("no scan")
    with pytest.raises(InputError, match=r"text\.cxi: it cannot be read as an HDF5 file"):
        GrowingScan(tmp_path / "text.cxi")
    write_cxi(tmp_path / "scan.cxi", small_dataset)
    with h5py.File(tmp_path / "scan.cxi", "a") as file:
        del file[OWN], file[TRANSLATION]
    with pytest.raises(InputError, match=f"key {TRANSLATION} is missing"):
        GrowingScan(tmp_path / "scan.cxi")
