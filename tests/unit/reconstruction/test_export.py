"""What other tools are given says the same as the reconstruction: frames follow from object, probe and positions."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction.export import export
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.stitching import coverage_of


@pytest.fixture(scope="module")
def perfect(small_dataset: Dataset) -> Reconstruction:
    """A reconstruction that is the truth, in a frame of its own, of all but the last frames."""
    padded = np.pad(small_dataset.truth, ((3, 5), (0, 6)), constant_values=1)
    positions = small_dataset.positions[:60] + np.array([3, 0])
    return Reconstruction(
        object=padded,
        coverage=coverage_of(small_dataset.probe, positions, padded.shape),
        halves=np.stack([padded, padded]),
        probe=small_dataset.probe,
        positions=positions,
        held_out=np.zeros(60, dtype=bool),
        pixel_size=small_dataset.pixel_size,
        provenance={"result": "reconstruction", "seed": 4},
    )


def explains(frames: np.ndarray, image: np.ndarray, probe: np.ndarray, positions: np.ndarray) -> bool:
    """Whether frames are those of an object, with the zero frequency in the centre, but for the noise."""
    places = torch.from_numpy(np.ascontiguousarray(positions)).float()[None]
    patches = extract_patches(torch.from_numpy(image)[None], places, frames.shape[-1])[0]
    expected = Propagator(probe.shape[-1]).intensity(patches, torch.from_numpy(probe))
    counts = torch.fft.fftshift(expected, dim=(-2, -1)).numpy()
    # Poisson counts lie about a photon's root off what is expected.
    return float(np.mean((np.sqrt(frames) - np.sqrt(counts)) ** 2)) < 0.5


def test_the_measure_of_these_tests_tells_right_from_wrong(perfect: Reconstruction, small_dataset: Dataset):
    frames = small_dataset.frames[:60]
    assert explains(frames, perfect.object, perfect.probe, perfect.positions)
    assert not explains(frames, perfect.object, perfect.probe, perfect.positions + np.array([0.5, 0]))
    assert not explains(frames, perfect.object, perfect.probe, perfect.positions[:, ::-1])


def test_cxi_as_ptychodus_reads_it(perfect: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    export([tmp_path / "out.cxi"], perfect, small_dataset)
    with h5py.File(tmp_path / "out.cxi") as file:
        frames, translation = file["entry_1/data_1/data"][()], file["entry_1/data_1/translation"][()]
        (probe,), (image,) = file["entry_1/image_1/data"][()], file["entry_1/image_2/data"][()]
        own = {name: value[()] for name, value in file["entry_1/ptychodus"].items()}
        assert json.loads(file.attrs["provenance"])["seed"] == 4
        assert "entry_1/ptychoflow_1" not in file
        assert file["entry_1/image_2/image_size"][0] == pytest.approx(image.shape[1] * perfect.pixel_size)
    assert own["probe_photon_count"] == pytest.approx(np.sum(np.abs(perfect.probe) ** 2), rel=1e-5)
    # Ptychodus: (x − centre) / pixel + (W − 1) / 2 is where the middle of the probe lies, between its inner pixels.
    metres = translation[:, 1::-1] - [own["object_center_y_m"], own["object_center_x_m"]]
    middle = metres / own["object_pixel_width_m"] + (np.array(image.shape) - 1) / 2
    np.testing.assert_allclose(middle + 0.5, perfect.positions, atol=1e-6)
    assert explains(frames, image, probe, middle + 0.5)


def test_ptyr_as_ptypy_reads_it(perfect: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    export([tmp_path / "out.ptyr"], perfect, small_dataset)
    with h5py.File(tmp_path / "out.ptyr") as file:
        ((name, storage),) = file["content/obj"].items()
        assert file["header/kind"].asstr()[()] == "minimal"
        (image,), coordinates = storage["data"][()], file[f"content/positions/{name}"][()]
        probe = file[f"content/probe/{name}/data"][()]
        # ptypy: (coordinate − origin) / pixel is pixel N // 2 of a patch.
        positions = (coordinates - storage["_origin"][()]) / storage["_psize"][()]
        np.testing.assert_allclose(storage["_center"], -storage["_origin"][()] / storage["_psize"][()])
        assert storage["_energy"][()] == pytest.approx(small_dataset.energy / 1e3)
    assert explains(small_dataset.frames[:60], image, probe, positions)


@pytest.mark.parametrize("modes", [1, 2])
def test_npz_is_read_as_any_file_of_ptychopinn(
    perfect: Reconstruction, small_dataset: Dataset, tmp_path: Path, modes: int
):
    given = dataclasses.replace(perfect, probe=np.repeat(perfect.probe, modes, axis=0) / np.sqrt(modes))
    mask = np.ones_like(small_dataset.mask)
    mask[3:5, 20], mask[17, 11] = False, False
    masked = dataclasses.replace(small_dataset, mask=mask, frames=small_dataset.frames * mask)
    export([tmp_path / "out.npz"], given, masked)
    read = read_dataset(tmp_path / "out.npz")
    np.testing.assert_array_equal(read.mask, mask)
    np.testing.assert_allclose(read.frames, masked.frames[:60], rtol=1e-5)
    np.testing.assert_allclose(read.positions, perfect.positions)
    np.testing.assert_array_equal(read.truth, perfect.object)
    scale = np.linalg.norm(given.probe) / np.linalg.norm(read.probe)
    np.testing.assert_allclose(read.probe * scale, given.probe, rtol=1e-4)
    whole = np.where(mask, read.frames, small_dataset.frames[:60])
    assert explains(whole, read.truth, read.probe * scale, read.positions)


def test_tiff_holds_numbers_and_their_scale(perfect: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    export([tmp_path / "out.tif"], perfect, small_dataset)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out_amplitude.tif", "out_phase.tif"]
    amplitude = tifffile.imread(tmp_path / "out_amplitude.tif")
    assert amplitude.dtype == np.float32
    np.testing.assert_allclose(amplitude, np.abs(perfect.object), rtol=1e-6)
    with Image.open(tmp_path / "out_phase.tif") as picture:
        phase = np.asarray(picture)
    difference = np.exp(1j * phase) * np.exp(-1j * np.angle(perfect.object))
    assert np.abs(difference - difference[0, 0]).max() < 1e-5
    with tifffile.TiffFile(tmp_path / "out_phase.tif") as file:
        tags = file.pages[0].tags
        numerator, denominator = tags["XResolution"].value
        assert tags["ResolutionUnit"].value == 3
        assert 1e-2 * denominator / numerator == pytest.approx(perfect.pixel_size, rel=1e-6)
        assert json.loads(tags["ImageDescription"].value)["quantity"] == "phase"


def test_what_cannot_be_exported_is_refused(perfect: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    with pytest.raises(InputError, match=r"out\.mat: expected a name that ends in one of \.cxi"):
        export([tmp_path / "out.cxi", tmp_path / "out.mat"], perfect, small_dataset)
    fewer = dataclasses.replace(small_dataset, frames=small_dataset.frames[:9])
    with pytest.raises(InputError, match="9 frames of 32 pixels and the reconstruction 60"):
        export([tmp_path / "out.cxi"], perfect, fewer)
    assert not list(tmp_path.iterdir())
