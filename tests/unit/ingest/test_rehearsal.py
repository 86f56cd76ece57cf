"""A file on which the HDF5 library crashes or hangs ends in a sentence, and the program lives on."""

import os
import signal
import time
from pathlib import Path

import foreign_files
import h5py
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest import rehearsal
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.ingest.rehearsal import is_ours, rehearse
from ptychoflow.settings.ingest import IngestSettings


def test_a_whole_file_passes(small_dataset: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_plain(tmp_path, small_dataset)
    rehearse(path, settings)


def test_what_the_other_process_refuses_is_refused_here(small_dataset: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_plain(tmp_path, small_dataset)
    with h5py.File(path, "r+") as file:
        del file["entry/data/data"]
    with pytest.raises(InputError, match="key entry/data/data is missing"):
        rehearse(path, settings)


def test_a_crash_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rehearsal, "_read_all", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InputError, match=r"scan\.h5 crashes the HDF5 library: expected a whole file"):
        rehearse(tmp_path / "scan.h5", IngestSettings())


def test_an_error_of_the_reader_is_left_to_be_seen(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, settings = foreign_files.write_plain(tmp_path, small_dataset)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("ptychoflow.ingest.formats.hdf5.read_hdf5", fail)
    rehearse(path, settings)
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        read_dataset(path, settings)


def test_a_hang_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rehearsal, "_read_all", lambda *_: time.sleep(60))
    monkeypatch.setattr(rehearsal, "SILENCE", 0.2)
    begun = time.perf_counter()
    with pytest.raises(InputError, match=r"scan\.h5 hangs the HDF5 library for 0\.2 s: expected a whole file"):
        rehearse(tmp_path / "scan.h5", IngestSettings())
    assert time.perf_counter() - begun < 20


def test_frames_mapped_from_nothing_end_in_a_sentence(small_dataset: Dataset, tmp_path: Path):
    # HDF5 1.14 crashes here.
    path, settings = foreign_files.write_nxcxi(tmp_path, small_dataset)
    with h5py.File(path, "r+") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file["entry_1/instrument_1/detector_1/data"] = h5py.Empty("f4")
    with pytest.raises(InputError, match=f"^{path}"):
        read_dataset(path, settings)


def test_only_a_file_of_our_own_is_ours(small_cxi: Path, small_dataset: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_cdtools(tmp_path, small_dataset)
    assert is_ours(small_cxi, IngestSettings())
    assert not is_ours(small_cxi, IngestSettings(format="hdf5"))
    assert not is_ours(path, settings)
