"""Frames of one scan in many files without a master are those of one file, in the order of their numbers."""

from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
import tifffile
from test_plain import PATHS, arrays, require_same, settings

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset

LENGTHS = (30, 1, 20, 13)


def write_files(folder: Path, kind: str, scan: Dataset) -> tuple[Path, str]:
    """Write frames into several files; give the first, and what names all of them."""
    starts = np.cumsum([0, *LENGTHS])
    if kind == "single":
        for number, frame in enumerate(scan.frames.astype(np.uint32)):
            tifffile.imwrite(folder / f"frame_{number}.tif", frame, compression="zlib")
        return folder / "frame_0.tif", "frame_*.tif"
    for number, (start, length) in enumerate(zip(starts, LENGTHS, strict=False), 8):
        frames = scan.frames[start : start + length].astype(np.uint32)
        if kind == "tif":
            tifffile.imwrite(folder / f"data_{number}.tif", frames)
        elif kind == "npy":
            np.save(folder / f"data_{number}.npy", frames)
        else:
            with h5py.File(folder / f"data_{number}.h5", "w") as file:
                file.create_dataset("entry/data/data", data=frames, **hdf5plugin.Bitshuffle())
    return folder / f"data_8.{kind}", f"data_*.{kind}" + ("::entry/data/data" if kind == "h5" else "")


@pytest.mark.parametrize("kind", ["h5", "npy", "tif", "single"])
def test_frames_of_several_files_are_one_scan(kind: str, small_dataset: Dataset, tmp_path: Path):
    np.savez(tmp_path / "rest.npz", **arrays(small_dataset))
    path, pattern = write_files(tmp_path, kind, small_dataset)
    wanted = settings(small_dataset, companion="rest.npz", paths=replace(PATHS, frames=pattern))
    read = read_dataset(path, wanted)
    require_same(read, small_dataset)
    assert len(read.provenance["frame_files"]) == (64 if kind == "single" else 4)
    require_same(read_dataset(path, wanted, frames_in_memory=3), small_dataset)
    # A file that holds the positions may stand for the scan as well.
    (tmp_path / "run").mkdir()
    np.savez(tmp_path / "run/rest.npz", **arrays(small_dataset))
    require_same(
        read_dataset(
            tmp_path / "run/rest.npz", replace(wanted, companion=None, paths=replace(PATHS, frames=f"../{pattern}"))
        ),
        small_dataset,
    )


def test_files_that_do_not_fit_are_refused_by_name(small_dataset: Dataset, tmp_path: Path):
    np.savez(tmp_path / "rest.npz", **arrays(small_dataset))
    path, pattern = write_files(tmp_path, "npy", small_dataset)

    def refused(sentence: str, names: str | list[str] = pattern) -> None:
        with pytest.raises(InputError, match=sentence):
            read_dataset(path, settings(small_dataset, companion="rest.npz", paths=replace(PATHS, frames=names)))

    refused(r"paths\.frames names none_\*\.npy, and .* has no such file", "none_*.npy")
    refused("expected files alone, or datasets alone", [pattern, "frames"])
    refused(r"data_8\.npy: no whole HDF5 file", "data_*.npy::frames")
    content = (tmp_path / "data_10.npy").read_bytes()
    (tmp_path / "data_10.npy").write_bytes(content[:3000])
    refused(r"data_10\.npy cannot be read")
    np.save(tmp_path / "data_10.npy", np.ones((20, 16, 16), np.uint32))
    refused(r"frames have the shapes \[\(16, 16\), \(32, 32\)\]")
