"""What is packed here is what HDF5 unpacks, and the other way round; damage is an error, never other numbers."""

import sys
import zlib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from ptychoflow.dataset import deflated
from ptychoflow.dataset.deflated import create_deflated, is_deflated, read_deflated, write_deflated
from ptychoflow.dataset.hdf5 import read_rows

ROWS = np.array([0, 1, 2, 5, 7, 10])


@pytest.fixture(autouse=True, params=["isal", "zlib"])
def packer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISA-L, and what stands in for it where it was not installed."""
    isal = pytest.importorskip("isal.isal_zlib") if request.param == "isal" else None
    # The module as it is imported there: None is what Python takes for a module that cannot be found.
    monkeypatch.setitem(sys.modules, "isal", None if isal is None else sys.modules["isal"])
    monkeypatch.setattr(deflated, "deflate", freshly_imported(Path(deflated.__file__)).deflate)
    assert (deflated.deflate is zlib) is (isal is None)


def freshly_imported(path: Path) -> ModuleType:
    """A module of a file, beside the one that is already there."""
    spec = spec_from_file_location("fresh", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).poisson(3.0, (11, 12, 10))


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4", "f8"])
def test_hdf5_unpacks_what_is_packed(images: np.ndarray, kind: str, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        data = create_deflated(file, "data", images.shape, np.dtype(kind))
        write_deflated(data, 0, images[:6].astype(kind))
        write_deflated(data, 6, images[6:].astype(kind))
    with h5py.File(tmp_path / "images.h5") as file:
        assert file["data"].compression == "gzip"
        np.testing.assert_array_equal(file["data"][()], images)


@pytest.mark.parametrize("length", [1, 3, 11])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", ">f8", "u1"])
def test_what_hdf5_packed_is_unpacked(images: np.ndarray, length: int, shuffle: bool, kind: str, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        options = {"chunks": (length, *images.shape[1:]), "compression": "gzip", "shuffle": shuffle}
        data = file.create_dataset("data", data=images, dtype=kind, **options)
        assert is_deflated(data)
        values = np.empty((len(ROWS), *images.shape[1:]), np.float32)
        assert read_deflated(data, ROWS, values)
        np.testing.assert_array_equal(values, images[ROWS])
        np.testing.assert_array_equal(read_rows(data, ROWS, data.dtype), images[ROWS])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (1, 6, 10), "compression": "gzip"},
        {"chunks": (1, 12, 10), "compression": "lzf"},
        {"chunks": (1, 12, 10), "compression": "gzip", "fletcher32": True},
        {"chunks": (2, 12, 10)},
    ],
)
def test_all_else_is_left_to_hdf5(images: np.ndarray, options: dict, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        data = file.create_dataset("data", data=images, **options)
        assert not is_deflated(data)
        np.testing.assert_array_equal(read_rows(data, ROWS, data.dtype), images[ROWS])


def test_images_that_were_never_written_hold_the_fill_value(images: np.ndarray, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        options = {"chunks": (1, *images.shape[1:]), "compression": "gzip", "fillvalue": 7}
        data = file.create_dataset("data", images.shape, np.uint16, **options)
        data[2] = images[2]
        np.testing.assert_array_equal(read_rows(data, np.arange(1, 4), data.dtype)[[0, 2]], 7)
        np.testing.assert_array_equal(read_rows(data, np.arange(1, 4), data.dtype)[1], images[2])


@pytest.mark.parametrize("damage", [b"\0" * 16, b"\xff" * 40])
def test_a_damaged_image_is_an_error(images: np.ndarray, damage: bytes, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        data = create_deflated(file, "data", images.shape, np.dtype(np.uint16))
        write_deflated(data, 0, images.astype(np.uint16))
        place = data.id.get_chunk_info(5).byte_offset
    with open(tmp_path / "images.h5", "r+b") as stream:
        stream.seek(place)
        stream.write(damage)
    with h5py.File(tmp_path / "images.h5") as file, pytest.raises(OSError, match="image 5"):
        read_rows(file["data"], np.arange(11), np.dtype(np.float32))


def test_an_image_of_another_length_is_an_error(images: np.ndarray, tmp_path: Path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        data = create_deflated(file, "data", images.shape, np.dtype(np.uint16))
        write_deflated(data, 0, images.astype(np.uint16))
        for content in (bytes(2 * 120 - 2), bytes(10**7)):
            data.id.write_direct_chunk((3, 0, 0), zlib.compress(content))
            with pytest.raises(OSError, match="image 3 holds"):
                read_rows(data, np.arange(3, 4), data.dtype)
