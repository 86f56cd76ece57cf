"""The canonical file keeps every number, speaks CXI, and refuses what cannot be right."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.stored_frames import ConvertedFrames
from ptychoflow.errors import InputError


def test_what_is_written_is_read_back_bit_for_bit(small_dataset: Dataset, small_cxi: Path):
    read = read_cxi(small_cxi)
    for field in dataclasses.fields(Dataset):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(small_dataset, field.name))


def test_other_readers_find_cxi(small_dataset: Dataset, small_cxi: Path):
    with h5py.File(small_cxi) as file:
        assert file["cxi_version"][()] == 160
        instrument = file["entry_1/instrument_1"]
        assert instrument["source_1/energy"][()] == pytest.approx(small_dataset.energy * 1.602176634e-19)
        assert not instrument["detector_1/mask"][()].any()
        np.testing.assert_array_equal(file["entry_1/data_1/data"][()], small_dataset.frames)
        centred = small_dataset.positions - np.array(small_dataset.object_shape) / 2
        translation = file["entry_1/data_1/translation"][()]
        np.testing.assert_allclose(translation[:, 0], centred[:, 1] * small_dataset.pixel_size)
        np.testing.assert_allclose(translation[:, 1], centred[:, 0] * small_dataset.pixel_size)


def test_a_bad_pixel_is_marked_by_a_nonzero_mask(small_dataset: Dataset, tmp_path: Path):
    mask = small_dataset.mask.copy()
    mask[3, 4] = False
    path = tmp_path / "masked.cxi"
    write_cxi(path, dataclasses.replace(small_dataset, mask=mask))
    with h5py.File(path) as file:
        assert np.argwhere(file["entry_1/instrument_1/detector_1/mask"][()]).tolist() == [[3, 4]]
    np.testing.assert_array_equal(read_cxi(path).mask, mask)


def test_the_file_does_not_depend_on_when_it_is_written(small_dataset: Dataset, small_cxi: Path, tmp_path: Path):
    write_cxi(tmp_path / "again.cxi", small_dataset)
    assert (tmp_path / "again.cxi").read_bytes() == small_cxi.read_bytes()


def test_a_near_field_and_true_positions_are_kept(small_dataset: Dataset, tmp_path: Path):
    near = dataclasses.replace(
        small_dataset, propagation="near", source_distance=0.2, true_positions=small_dataset.positions + 1
    )
    write_cxi(tmp_path / "near.cxi", near)
    read = read_cxi(tmp_path / "near.cxi")
    assert (read.propagation, read.source_distance) == ("near", 0.2)
    assert read.fresnel_number == near.fresnel_number
    np.testing.assert_array_equal(read.true_positions, near.true_positions)


def test_a_file_that_says_nothing_of_its_field_is_a_far_field(small_cxi: Path, tmp_path: Path):
    shutil.copy(small_cxi, tmp_path / "old.cxi")
    with h5py.File(tmp_path / "old.cxi", "a") as file:
        del file["entry_1/ptychoflow_1/propagation"]
    assert read_cxi(tmp_path / "old.cxi").propagation == "far"


def test_a_failed_write_leaves_nothing(small_dataset: Dataset, tmp_path: Path):
    with pytest.raises(TypeError):
        write_cxi(tmp_path / "broken.cxi", dataclasses.replace(small_dataset, truth=object()))
    assert not list(tmp_path.iterdir())


def _drop(key: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(key)


def _poke(key: str, index: object, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file[key].__setitem__(index, value)


def _poke_frames(index: object, value: float) -> Callable[[h5py.File], None]:
    """Change a number of frames, which another program may have written as other than whole numbers."""

    def poke(file: h5py.File) -> None:
        frames = file[DATA][()].astype(np.float32)
        frames[index] = value
        del file[DATA]
        file[DATA] = frames

    return poke


DATA, OWN = "entry_1/instrument_1/detector_1/data", "entry_1/ptychoflow_1/positions"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_drop("entry_1/image_1/data"), "entry_1/image_1/data is missing"),
        (_drop(OWN), "positions is missing"),
        (_poke_frames((2, 3, 4), np.nan), "frames holds 1 NaN"),
        (_poke_frames((2, 3, 4), -1), "none below 0"),
        (_poke(DATA, ..., 0), "none of the 64 frames has a photon"),
        (_poke(OWN, 3, (-20, 30)), "position 3 is"),
        (_poke("entry_1/instrument_1/detector_1/mask", ..., 1), "mask has no good pixel"),
        (_poke("entry_1/instrument_1/detector_1/distance", (), 0), "detector_distance is 0"),
        (_poke("entry_1/image_1/data", ..., 0), "probe is zero"),
    ],
)
def test_a_spoilt_file_is_refused_by_name(spoil: Callable, sentence: str, small_cxi: Path, tmp_path: Path):
    path = Path(shutil.copy(small_cxi, tmp_path / "spoilt.cxi"))
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(InputError, match=sentence) as caught:
        read_cxi(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_a_truncated_file_is_refused(length: int, small_cxi: Path, tmp_path: Path):
    path = tmp_path / "short.cxi"
    path.write_bytes(small_cxi.read_bytes()[:length])
    with pytest.raises(InputError, match=r"short\.cxi"):
        read_cxi(path)


@pytest.mark.parametrize("modes", [1, 3])
def test_probe_modes_and_an_unknown_object_are_kept(modes: int, small_dataset: Dataset, tmp_path: Path):
    probe = np.concatenate([small_dataset.probe * (k + 1j) for k in range(modes)])
    write_cxi(tmp_path / "scan.cxi", dataclasses.replace(small_dataset, probe=probe, truth=None))
    read = read_cxi(tmp_path / "scan.cxi")
    assert read.truth is None
    np.testing.assert_array_equal(read.probe, probe)


@pytest.mark.parametrize("key", [DATA, OWN, "entry_1/image_1/data", "entry_1/image_2/data"])
@pytest.mark.parametrize("value", [None, "text", h5py.Empty("f4"), np.complex64(1)])
def test_a_key_that_holds_something_else_is_refused(key: str, value: object, small_cxi: Path, tmp_path: Path):
    path = Path(shutil.copy(small_cxi, tmp_path / "other.cxi"))
    with h5py.File(path, "r+") as file:
        del file[key]
        if value is None:
            file.create_group(key)
        else:
            file[key] = value
    with pytest.raises(InputError, match=r"other\.cxi: (key entry_1|frames|positions|probe|true object)"):
        read_cxi(path)


def test_complex_counts_are_refused(small_cxi: Path, tmp_path: Path):
    path = Path(shutil.copy(small_cxi, tmp_path / "complex.cxi"))
    with h5py.File(path, "r+") as file:
        frames = file[DATA][()].astype(np.float32)
        del file[DATA]
        file[DATA] = frames + 1j
    with pytest.raises(InputError, match=f"key {DATA} cannot be used: it has dtype complex64, expected real"):
        read_cxi(path)


@pytest.mark.parametrize("shape", [(84,), (84, 84, 84)])
def test_an_object_frame_of_other_than_two_axes_is_refused(shape: tuple[int, ...], small_cxi: Path, tmp_path: Path):
    path = Path(shutil.copy(small_cxi, tmp_path / "shape.cxi"))
    with h5py.File(path, "r+") as file:
        del file["entry_1/image_2"], file["entry_1/ptychoflow_1/object_shape"]
        file["entry_1/ptychoflow_1/object_shape"] = shape
    with pytest.raises(InputError, match=r"object_shape is .*: expected \(H, W\)"):
        read_cxi(path)


def test_damage_inside_the_file_is_refused(small_cxi: Path, tmp_path: Path):
    whole = small_cxi.read_bytes()
    places = [place for place in range(len(whole)) if whole.startswith((b"SNOD", b"TREE", b"HEAP"), place)]
    path = tmp_path / "damaged.cxi"
    refused = 0
    for place in places:
        path.write_bytes(whole[:place] + b"XXXX" + whole[place + 4 :])
        # Any other error than this one fails the test.
        with contextlib.suppress(InputError):
            read_cxi(path)
            continue
        refused += 1
    assert refused > 10


@pytest.mark.parametrize(("largest", "kind"), [(200, "uint8"), (60000, "uint16"), (70000, "uint32"), (2.5, "float32")])
def test_whole_counts_are_kept_as_integers(largest: float, kind: str, small_dataset: Dataset, tmp_path: Path):
    frames = np.minimum(small_dataset.frames, 100)
    frames[3, 4, 5] = largest
    write_cxi(tmp_path / "scan.cxi", dataclasses.replace(small_dataset, frames=frames))
    with h5py.File(tmp_path / "scan.cxi") as file:
        assert file[DATA].dtype == kind
    read = read_cxi(tmp_path / "scan.cxi")
    assert read.frames.dtype == np.float32
    np.testing.assert_array_equal(read.frames, frames)


def test_a_frame_that_exceeds_what_was_foreseen_is_written_as_it_is(small_dataset: Dataset, tmp_path: Path):
    frames = ConvertedFrames(small_dataset.frames, lambda block: block, (32, 32), np.dtype(np.uint8))
    write_cxi(tmp_path / "scan.cxi", dataclasses.replace(small_dataset, frames=frames))
    np.testing.assert_array_equal(read_cxi(tmp_path / "scan.cxi").frames, small_dataset.frames)
