"""Packed images are read by any HDF5 as they were, or as near as the bits that were kept tell."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoflow.dataset import hdf5
from ptychoflow.dataset.hdf5 import new_hdf5, rounded, write_packed


def image(*shape: int) -> np.ndarray:
    draw = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    return (draw[0] + 1j * draw[1]) * np.logspace(-20, 20, shape[-1], dtype=np.float32)


@pytest.mark.parametrize("shape", [(40, 30), (2, 40, 30), (0, 5)])
@pytest.mark.parametrize("largest_chunk", [2**24, 1000, 1])
def test_a_packed_image_is_the_same(
    shape: tuple[int, ...], largest_chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hdf5, "LARGEST_CHUNK", largest_chunk)
    written = image(*shape)
    with new_hdf5(tmp_path / "image.h5") as file:
        write_packed(file, "object", written)
        write_packed(file, "coverage", written.real)
    with h5py.File(tmp_path / "image.h5") as file:
        np.testing.assert_array_equal(file["object"][()], written)
        np.testing.assert_array_equal(file["coverage"][()], written.real)
        assert file["object"].dtype == np.complex64
        assert file["coverage"].dtype == np.float32


@pytest.mark.parametrize("bits", [3, 12, 22])
def test_a_rounded_number_is_off_by_half_a_bit_at_most(bits: int):
    values = image(50, 40)
    for given, found in ((values, rounded(values, bits)), (values.real, rounded(values.real, bits))):
        assert found.dtype == given.dtype
        for part in (np.real, np.imag) if np.iscomplexobj(given) else (np.abs,):
            error = np.abs(part(found).astype(float) - part(given)) / np.abs(part(given))
            assert 0.3 * 2.0 ** -(bits + 1) < error.max() <= 2.0 ** -(bits + 1)
    np.testing.assert_array_equal(rounded(rounded(values, bits), bits), rounded(values, bits))
    # As often up as down: no image becomes brighter.
    assert abs(np.mean((np.abs(rounded(values, bits)) - np.abs(values)) / np.abs(values))) < 0.05 * 2.0**-bits


def test_what_is_no_number_or_nothing_stays_so():
    odd = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0]], np.float32)
    odd = np.concatenate([odd, np.uint32([[0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0, 0]]).view(np.float32)])
    np.testing.assert_array_equal(rounded(odd, 12), odd)


def test_bits_that_are_not_kept_take_no_room(tmp_path: Path):
    sizes = []
    for bits in (23, 16, 12):
        with h5py.File(tmp_path / f"{bits}.h5", "w") as file:
            write_packed(file, "object", image(200, 300), bits)
            sizes.append(file["object"].id.get_storage_size() / image(200, 300).nbytes)
    assert sizes[0] < 1
    assert sizes[1] < 0.8
    assert sizes[2] < 0.65
