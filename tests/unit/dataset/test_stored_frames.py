"""Frames in a file are those in memory, whatever order they are asked for in, and bad ones are refused when read."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoflow.dataset.cxi import DETECTOR, read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.stored_frames import StoredFrames
from ptychoflow.errors import InputError

KEY = f"{DETECTOR}/data"


@pytest.fixture
def file(small_dataset: Dataset, tmp_path: Path) -> Path:
    write_cxi(tmp_path / "scan.cxi", small_dataset)
    return tmp_path / "scan.cxi"


@pytest.mark.parametrize(
    "index",
    [slice(None), slice(3, 9), slice(10, 2, -3), np.array([4]), np.array([7, 0, 1, 2, 7, 9]), np.array([], int)],
)
def test_frames_are_those_in_memory(small_dataset: Dataset, file: Path, index: slice | np.ndarray):
    np.testing.assert_array_equal(StoredFrames(file, KEY)[index], small_dataset.frames[index])


def test_few_frames_are_read_into_memory_and_many_are_not(small_dataset: Dataset, file: Path):
    count = len(small_dataset.frames)
    assert isinstance(read_cxi(file, frames_in_memory=count).frames, np.ndarray)
    stored = read_cxi(file, frames_in_memory=count - 1)
    assert isinstance(stored.frames, StoredFrames)
    assert stored.size == small_dataset.size
    assert len(stored.frames) == count


@pytest.mark.parametrize(("value", "found"), [(np.nan, "NaN"), (-2, "counts down to -2")])
def test_a_bad_frame_is_refused_when_it_is_read(file: Path, value: float, found: str):
    with h5py.File(file, "r+") as stream:
        whole = stream[KEY][()].astype(np.float32)
        whole[5, 0, 0] = value
        del stream[KEY]
        stream[KEY] = whole
    frames = read_cxi(file, frames_in_memory=0).frames
    assert len(frames[:5]) == 5
    with pytest.raises(InputError, match=f"scan.cxi: frames hold {found}"):
        frames[np.array([2, 5])]


def test_a_damaged_frame_is_refused_when_it_is_read(file: Path):
    frames = StoredFrames(file, KEY)
    place = frames.data.id.get_chunk_info(5).byte_offset
    del frames
    with open(file, "r+b") as stream:
        stream.seek(place)
        stream.write(b"\0" * 16)
    with pytest.raises(InputError, match=f"key {KEY} cannot be read"):
        StoredFrames(file, KEY)[:]
