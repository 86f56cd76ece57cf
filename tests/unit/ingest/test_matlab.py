"""MATLAB's files are read as MATLAB shows them, whatever their version, and frames wherever they stand."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from test_plain import PATHS, arrays, require_same, settings

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset

VERSIONS = ("5", "7", "7.3")


def write_mat(path: Path, version: str, **values: np.ndarray) -> None:
    """Write arrays as MATLAB would; those of one name with a slash into a structure."""
    if version != "7.3":
        nested: dict = {}
        for name, value in values.items():
            group, _, field = name.rpartition("/")
            (nested.setdefault(group, {}) if group else nested)[field] = value
        savemat(path, nested, do_compression=version == "7")
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            if np.iscomplexobj(value):
                parts = np.empty(value.shape, [("real", "f8"), ("imag", "f8")])
                parts["real"], parts["imag"] = value.real, value.imag
                value = parts
            file.create_dataset(name, data=np.atleast_2d(value).T)
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


@pytest.fixture
def lopsided(small_dataset: Dataset) -> Dataset:
    """A scan whose frames, mask and probe are no transposes of themselves."""
    assert not np.array_equal(small_dataset.frames, small_dataset.frames.swapaxes(1, 2))
    probe = np.concatenate([small_dataset.probe, 0.5 * np.roll(small_dataset.probe, 3, axis=2)])
    return replace(small_dataset, probe=probe)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", ["last", "first"])
def test_frames_are_found_along_the_last_axis_or_the_only_one_that_fits(
    version: str, place: str, lopsided: Dataset, tmp_path: Path
):
    frames = lopsided.frames if place == "first" else np.moveaxis(lopsided.frames, 0, -1)
    values = arrays(lopsided) | {"probe": np.moveaxis(lopsided.probe, 0, -1).astype(np.complex128)}
    write_mat(tmp_path / "scan.mat", version, frames=frames, **values)
    require_same(read_dataset(tmp_path / "scan.mat", settings(lopsided)), lopsided)
    require_same(read_dataset(tmp_path / "scan.mat", settings(lopsided), frames_in_memory=3), lopsided)


@pytest.mark.parametrize("version", VERSIONS)
def test_masks_and_geometry_are_those_that_matlab_shows(version: str, small_dataset: Dataset, tmp_path: Path):
    values = arrays(small_dataset)
    bad = np.zeros((32, 32), np.uint8)
    bad[3, 20] = bad[4, 25] = 1
    rows, columns = values.pop("positions").T
    geometry = {"energy": small_dataset.energy, "scan/z": small_dataset.detector_distance}
    write_mat(
        tmp_path / "scan.mat",
        version,
        **{"scan/dp": np.moveaxis(small_dataset.frames, 0, -1), "scan/y": rows, "scan/x": columns, "bad": bad},
        **geometry,
        **{"probe": small_dataset.probe[0].astype(np.complex128)},
    )
    paths = replace(PATHS, frames="scan/dp", positions=["scan/y", "scan/x"], mask="bad")
    paths = replace(paths, energy="energy", detector_distance="scan/z")
    wanted = settings(small_dataset, paths=paths, energy=None, detector_distance=None)
    read = read_dataset(tmp_path / "scan.mat", wanted)
    np.testing.assert_array_equal(read.mask, bad == 0)
    np.testing.assert_array_equal(read.frames, np.where(bad == 0, small_dataset.frames, 0))
    assert read.energy == pytest.approx(small_dataset.energy)
    assert read.detector_distance == small_dataset.detector_distance


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_no_stack_of_frames_is_refused(version: str, small_dataset: Dataset, tmp_path: Path):
    write_mat(
        tmp_path / "scan.mat", version, frames=small_dataset.frames.reshape(8, 8, 32, 32), **arrays(small_dataset)
    )
    with pytest.raises(InputError, match=r"shape \(8, 8, 32, 32\) in MATLAB: expected \(H, W, frames\)"):
        read_dataset(tmp_path / "scan.mat", settings(small_dataset))
    with pytest.raises(InputError, match="key nothing is missing"):
        read_dataset(tmp_path / "scan.mat", settings(small_dataset, paths=replace(PATHS, frames="nothing")))
    content = (tmp_path / "scan.mat").read_bytes()
    for length in (100, len(content) // 2):
        (tmp_path / "scan.mat").write_bytes(content[:length])
        with pytest.raises(InputError, match=rf"^{tmp_path}"):
            read_dataset(tmp_path / "scan.mat", settings(small_dataset))


@pytest.mark.parametrize("name", ["scan.npz", "scan.npy"])
def test_square_frames_along_the_last_axis_are_found_in_other_files_too(name: str, lopsided: Dataset, tmp_path: Path):
    last, own = np.moveaxis(lopsided.frames, 0, -1), arrays(lopsided) | {"probe": np.moveaxis(lopsided.probe, 0, -1)}
    if name.endswith("npz"):
        np.savez(tmp_path / name, frames=last, **own)
        wanted = settings(lopsided)
    else:
        np.save(tmp_path / name, np.asfortranarray(last))
        np.savez(tmp_path / "rest.npz", **own)
        wanted = settings(lopsided, companion="rest.npz")
    require_same(read_dataset(tmp_path / name, wanted), lopsided)
