"""Odd but plausible files: what can be understood is, and what cannot is refused or warned of by the setting."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_plain import PATHS, arrays, require_same, settings

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.inspection import inspect, position_faults
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.settings.ingest import FrameSettings, PositionSettings


def write(path: Path, **values: np.ndarray) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **values)
        return path
    with h5py.File(path, "w") as file:
        for key, value in values.items():
            file[key] = value
    return path


@pytest.mark.parametrize("name", ["scan.h5", "scan.npz"])
def test_frames_without_a_position_are_named_and_may_be_left_out(name: str, small_dataset: Dataset, tmp_path: Path):
    values = arrays(small_dataset)
    values["positions"][[5, 40]] = np.nan
    path = write(tmp_path / name, frames=small_dataset.frames, **values)
    with pytest.raises(
        InputError, match=r"frames 5, 40 have NaN or infinite positions: .*frames\.leave_out: \[5, 40\]"
    ):
        read_dataset(path, settings(small_dataset))
    read = read_dataset(path, settings(small_dataset, frames=FrameSettings(leave_out=[5, 40])))
    np.testing.assert_array_equal(read.frames, np.delete(small_dataset.frames, [5, 40], axis=0))


@pytest.mark.parametrize("name", ["scan.h5", "scan.npz"])
def test_a_number_for_each_frame_is_one_where_all_are_the_same(name: str, small_dataset: Dataset, tmp_path: Path):
    energies = small_dataset.energy * (1 + 1e-5 * np.sin(np.arange(64)))
    values = {"frames": small_dataset.frames, **arrays(small_dataset)}
    wanted = settings(small_dataset, paths=replace(PATHS, energy="energies"), energy=None)
    read = read_dataset(write(tmp_path / name, energies=energies, **values), wanted)
    assert read.energy == pytest.approx(small_dataset.energy, rel=1e-5)
    with pytest.raises(InputError, match=r"key energies has shape \(64,\), .* expected one number, or the same"):
        read_dataset(write(tmp_path / name, energies=np.linspace(8000, 9000, 64), **values), wanted)


@pytest.mark.parametrize("unit", ["[um]", " (Microns) ", np.array([b"um"])])
def test_units_are_known_however_they_are_written(unit: object, small_dataset: Dataset, tmp_path: Path):
    path = write(tmp_path / "scan.h5", frames=small_dataset.frames, **arrays(small_dataset))
    with h5py.File(path, "r+") as file:
        file["positions"].attrs["units"] = unit
    require_same(read_dataset(path, settings(small_dataset, positions=PositionSettings())), small_dataset)


def test_an_unknown_unit_is_refused_with_the_setting_that_replaces_it(small_dataset: Dataset, tmp_path: Path):
    path = write(tmp_path / "scan.h5", frames=small_dataset.frames, **arrays(small_dataset))
    with h5py.File(path, "r+") as file:
        file["positions"].attrs["units"] = "pixels"
    with pytest.raises(InputError, match=r"the unit pixels: .*positions\.unit"):
        read_dataset(path, settings(small_dataset, positions=PositionSettings()))


@pytest.mark.parametrize("parts", [("real", "imag"), ("re", "im"), ("r", "i")])
def test_complex_numbers_may_be_kept_as_parts(parts: tuple[str, str], small_dataset: Dataset, tmp_path: Path):
    probe = np.empty(small_dataset.probe.shape, [(parts[0], "f4"), (parts[1], "f4")])
    probe[parts[0]], probe[parts[1]] = small_dataset.probe.real, small_dataset.probe.imag
    values = arrays(small_dataset) | {"probe": probe}
    path = write(tmp_path / "scan.h5", frames=small_dataset.frames, **values)
    require_same(read_dataset(path, settings(small_dataset)), small_dataset)


@pytest.mark.parametrize("name", ["scan.h5", "scan.npz"])
@pytest.mark.parametrize("axis", [0, -1])
def test_two_real_parts_are_not_taken_for_modes(name: str, axis: int, small_dataset: Dataset, tmp_path: Path):
    parts = np.stack([small_dataset.probe[0].real, small_dataset.probe[0].imag], axis=axis)
    path = write(tmp_path / name, frames=small_dataset.frames, **arrays(small_dataset) | {"probe": parts})
    with pytest.raises(InputError, match="real numbers, which seem to be its two parts: expected complex"):
        read_dataset(path, settings(small_dataset))


def test_a_probe_without_phase_is_warned_of(small_dataset: Dataset, tmp_path: Path):
    values = arrays(small_dataset) | {"probe": np.abs(small_dataset.probe)}
    read = read_dataset(write(tmp_path / "scan.h5", frames=small_dataset.frames, **values), settings(small_dataset))
    assert any("the probe holds real numbers" in sentence for sentence in read.provenance["warnings"])


def test_a_stage_that_stood_still_is_warned_of(small_dataset: Dataset):
    assert not position_faults(small_dataset.positions, 32)
    stuck = small_dataset.positions.copy()
    stuck[40:52] = stuck[40]
    (sentence,) = position_faults(stuck, 32)
    assert sentence.startswith("12 frames, from frame 40 on, have one position")
    # As often everywhere is no fault.
    assert not position_faults(np.repeat(small_dataset.positions, 6, axis=0), 32)


def test_positions_that_lie_apart_are_warned_of(small_dataset: Dataset):
    lost = small_dataset.positions.copy()
    lost[[3, 17]] = [[900.0, 0.0], [2000.0, 2000.0]]
    (sentence,) = position_faults(lost, 32)
    assert sentence.startswith("frames 3, 17 lie further from all others")
    assert "frames.leave_out: [3, 17]" in sentence


@pytest.mark.parametrize("kind", [">u4", ">f8", "<i8", "<u4"])
def test_numbers_of_any_order_of_bytes_are_the_same(kind: str, small_dataset: Dataset, tmp_path: Path):
    values = arrays(small_dataset)
    values = {
        "positions": values["positions"].astype(">f8"),
        "probe": np.asfortranarray(values["probe"].astype(">c16")),
    }
    path = write(tmp_path / "scan.h5", frames=small_dataset.frames.astype(kind), **values)
    require_same(read_dataset(path, settings(small_dataset)), small_dataset)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda frames: frames.__setitem__(np.s_[:, 14:18], 0), "never count where the probe's own light falls"),
        (lambda frames: frames.__setitem__(np.s_[:, :, 17:], 0), "never count where the probe's own light falls"),
        (lambda frames: frames.__setitem__(np.s_[:, 14:18], 1), "hold the same number in each of 64 frames"),
        (lambda frames: np.add(frames, 100, out=frames), "no pixel ever counts less than 10"),
    ],
)
def test_pixels_that_do_not_count_light_are_warned_of(
    spoil: Callable[[np.ndarray], None], sentence: str, small_dataset: Dataset
):
    found = inspect(small_dataset)[1]
    assert not any("pixels" in known or "counts less" in known for known in found)
    frames = small_dataset.frames.copy()
    spoil(frames)
    assert any(sentence in known for known in inspect(replace(small_dataset, frames=frames))[1])
