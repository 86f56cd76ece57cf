"""Zarr stores: what they may hold, and what is refused before it is opened."""

import builtins
import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from foreign_files import write_zarr

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.storage import storage_of
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.ingest.formats.zarr_store import ZarrFrames, ZarrSource, is_store
from ptychoflow.ingest.readers import read_dataset


def store(folder: Path, **arrays: np.ndarray) -> Path:
    root = zarr.open_group(folder / "store.zarr", mode="w")
    for name, value in arrays.items():
        root.create_array(name, data=value)
    return folder / "store.zarr"


def test_frames_are_read_by_ranges_lists_and_rasters(tmp_path: Path):
    counts = np.random.default_rng(0).integers(0, 9, (12, 4, 4)).astype(np.uint16)
    source = ZarrSource(store(tmp_path, one=counts, grid=counts.reshape(3, 4, 4, 4), again=counts), "frames")
    assert source.names("") == ["again", "grid", "one"]
    flat, axes = source.chained(["one"], {12})
    assert axes == (12,)
    for index in (slice(2, 7), slice(0, 12, 5), np.array([1, 4, 9]), slice(0, 0)):
        np.testing.assert_array_equal(flat[index], counts[index])
    raster, axes = source.chained(["grid"], {12})
    assert axes == (3, 4)
    np.testing.assert_array_equal(raster[3:9], counts[3:9])
    both, axes = source.chained(["one", "again"], {24})
    np.testing.assert_array_equal(both[10:14], np.concatenate([counts, counts])[10:14])
    with pytest.raises(InputError, match="key gone is missing"):
        source.chained(["gone"], {12})
    with pytest.raises(InputError, match="expected real frames"):
        ZarrFrames("flat", zarr.array(np.ones(4)))


def test_a_store_of_one_array_stands_for_the_frames(small_dataset: Dataset, tmp_path: Path):
    zarr.save_array(tmp_path / "frames.zarr", small_dataset.frames.astype(np.uint32))
    zarr.save_array(tmp_path / "places.zarr", small_dataset.positions)
    _, settings = write_zarr(tmp_path, small_dataset)
    settings = dataclasses.replace(
        settings,
        companion="places.zarr",
        energy=small_dataset.energy,
        detector_distance=small_dataset.detector_distance,
        detector_pixel_size=small_dataset.detector_pixel_size,
        positions=dataclasses.replace(settings.positions, unit="pixels"),
        paths=type(settings.paths)(),
    )
    dataset = read_dataset(tmp_path / "frames.zarr", settings)
    np.testing.assert_array_equal(dataset.frames, small_dataset.frames)
    np.testing.assert_allclose(np.diff(dataset.positions, axis=0), np.diff(small_dataset.positions, axis=0))


def test_what_only_code_unpacks_is_refused_and_not_run(tmp_path: Path):
    held = tmp_path / "held.zarr"
    root = zarr.open_group(held, mode="w", zarr_format=2)
    root.create_array("frames", shape=(4, 8, 8), dtype="u2", filters=[numcodecs.Delta("u2")])[...] = 1
    facts = json.loads((held / "frames/.zarray").read_text())
    (held / "frames/.zarray").write_text(json.dumps(facts | {"filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(InputError, match="nothing is unpickled"):
        ZarrSource(held, "frames")
    with zipfile.ZipFile(tmp_path / "held.zip", "w") as archive:
        for file in held.rglob("*"):
            archive.write(file, file.relative_to(held))
    assert is_store(tmp_path / "held.zip")
    with pytest.raises(InputError, match="nothing is unpickled"):
        ZarrSource(tmp_path / "held.zip", "frames")


def test_a_shape_with_nothing_behind_it_is_refused(tmp_path: Path):
    path = store(tmp_path, frames=np.ones((4, 8, 8), np.uint16))
    zarr.open_group(path, mode="r+").create_array("vast", shape=(10**6, 64, 64), chunks=(1, 64, 64), dtype="u2")
    source = ZarrSource(path, "frames")
    with pytest.raises(InputError, match="0 bytes are stored"):
        source.chained(["vast"], {10**6})
    with pytest.raises(InputError, match="at most 2048 MiB"):
        source.real("vast")


def test_folders_that_are_none_and_a_missing_package_are_said(
    tmp_path: Path, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    path, settings = write_zarr(tmp_path, small_dataset)
    with pytest.raises(InputError, match="is a folder, and no Zarr store"):
        read_dataset(tmp_path, settings)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="pip install zarr"):
        read_dataset(path, settings)


def test_the_digest_of_a_store_is_that_of_all_its_files(tmp_path: Path):
    path = store(tmp_path, frames=np.ones((4, 8, 8), np.uint16))
    before = sha256_of(path)
    assert before == sha256_of(path)
    assert storage_of(path)["file_size_bytes"] > 100
    chunk = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    chunk.write_bytes(chunk.read_bytes() + b"0")
    assert sha256_of(path) != before
