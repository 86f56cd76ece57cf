"""Any container whose arrays are named: archives, stacks with a second file, groups of datasets, parts elsewhere."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.numbers import only_number
from ptychoflow.ingest.frame_choice import chosen
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.settings.ingest import IngestSettings, PathSettings, PositionSettings

PATHS = PathSettings(frames="frames", positions="positions", probe="probe")


def settings(scan: Dataset, **changes: object) -> IngestSettings:
    geometry = {name: getattr(scan, name) for name in ("energy", "detector_distance", "detector_pixel_size")}
    return IngestSettings(**{"paths": PATHS, "positions": PositionSettings(unit="micrometres"), **geometry, **changes})


def arrays(scan: Dataset) -> dict[str, np.ndarray]:
    return {"positions": scan.positions * scan.pixel_size * 1e6, "probe": scan.probe}


def require_same(read: Dataset, scan: Dataset) -> None:
    np.testing.assert_array_equal(read.frames[:], scan.frames)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(scan.positions, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        read.probe / np.linalg.norm(read.probe), scan.probe / np.linalg.norm(scan.probe), atol=1e-6
    )


@pytest.mark.parametrize("format", ["auto", "npz"])
def test_an_archive_with_keys_of_its_own_is_read_by_their_names(format: str, small_dataset: Dataset, tmp_path: Path):
    np.savez(tmp_path / "scan.npz", reciprocal=small_dataset.frames.reshape(8, 8, 32, 32), **arrays(small_dataset))
    paths = replace(PATHS, frames="reciprocal")
    require_same(
        read_dataset(tmp_path / "scan.npz", settings(small_dataset, paths=paths, format=format)), small_dataset
    )
    with pytest.raises(InputError, match=r"of no known format: expected .* or the names of others as paths"):
        read_dataset(tmp_path / "scan.npz")
    with pytest.raises(InputError, match=r"key nothing is missing among \['positions', 'probe', 'reciprocal'\]"):
        read_dataset(tmp_path / "scan.npz", settings(small_dataset, paths=replace(PATHS, frames="nothing")))


def test_two_vectors_of_an_archive_are_coordinates(small_dataset: Dataset, tmp_path: Path):
    own = arrays(small_dataset)
    rows, columns = own.pop("positions").T
    np.savez(tmp_path / "scan.npz", frames=small_dataset.frames, y=rows, x=columns, **own)
    paths = replace(PATHS, positions=["y", "x"])
    require_same(read_dataset(tmp_path / "scan.npz", settings(small_dataset, paths=paths)), small_dataset)


def test_a_key_that_neither_file_has_is_told_with_what_each_has(small_dataset: Dataset, tmp_path: Path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data"] = small_dataset.frames
    with h5py.File(tmp_path / "motors.h5", "w") as file:
        file["stage/places"] = arrays(small_dataset)["positions"]
    named = PathSettings(frames="entry/dat", positions="stage/places")
    with pytest.raises(
        InputError, match=r"entry/dat is missing: scan.h5 has \['entry'\] and motors.h5 has \['stage'\]"
    ):
        read_dataset(tmp_path / "scan.h5", settings(small_dataset, paths=named, companion="motors.h5"))


def write_stack(path: Path, frames: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, frames)
    else:
        tifffile.imwrite(path, frames, compression="zlib" if path.stem == "packed" else None)


@pytest.mark.parametrize("name", ["scan.npy", "scan.tif", "packed.tif"])
@pytest.mark.parametrize("second", ["all.npz", "all.h5"])
def test_a_stack_has_its_positions_beside_it(name: str, second: str, small_dataset: Dataset, tmp_path: Path):
    write_stack(tmp_path / name, small_dataset.frames.astype(np.uint32))
    if second.endswith("npz"):
        np.savez(tmp_path / second, **arrays(small_dataset))
    else:
        with h5py.File(tmp_path / second, "w") as file:
            for key, value in arrays(small_dataset).items():
                file[key] = value
    wanted = settings(small_dataset, companion=second)
    require_same(read_dataset(tmp_path / name, wanted), small_dataset)
    require_same(read_dataset(tmp_path / name, wanted, frames_in_memory=3), small_dataset)
    with pytest.raises(InputError, match=r"paths\.positions is not set: scan\.npy has"):
        write_stack(tmp_path / "scan.npy", small_dataset.frames)
        read_dataset(tmp_path / "scan.npy")


@pytest.mark.parametrize("name", ["positions.npy", "positions.txt", "positions.csv"])
def test_positions_alone_may_be_an_array_or_text(name: str, small_dataset: Dataset, tmp_path: Path):
    np.save(tmp_path / "scan.npy", small_dataset.frames)
    positions = arrays(small_dataset)["positions"]
    if name.endswith("npy"):
        np.save(tmp_path / name, positions)
    else:
        np.savetxt(tmp_path / name, positions, delimiter="," if name.endswith("csv") else " ", header="y x")
    wanted = settings(small_dataset, companion=name, paths=PathSettings(), probe_diameter=12 * small_dataset.pixel_size)
    read = read_dataset(tmp_path / "scan.npy", wanted)
    np.testing.assert_array_equal(read.frames, small_dataset.frames)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(small_dataset.positions, axis=0), atol=1e-6)


@pytest.mark.parametrize("keep", [3, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("name", ["scan.npy", "scan.tif"])
def test_a_stack_that_was_cut_off_is_refused(keep: float, name: str, small_dataset: Dataset, tmp_path: Path):
    write_stack(tmp_path / name, small_dataset.frames)
    np.savez(tmp_path / "all.npz", **arrays(small_dataset))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(InputError, match=rf"^{tmp_path}"):
        read_dataset(tmp_path / name, settings(small_dataset, companion="all.npz"))


def test_frames_that_are_mapped_stay_in_their_file(small_dataset: Dataset, tmp_path: Path):
    np.save(tmp_path / "scan.npy", small_dataset.frames)
    from ptychoflow.dataset.raw_scan import RawScan

    scan = RawScan(np.load(tmp_path / "scan.npy", mmap_mode="r"), small_dataset.positions, "pixels")
    some = chosen(scan, np.array([3, 5, 6]))
    assert not isinstance(some.frames, np.ndarray)
    np.testing.assert_array_equal(some.frames[:], small_dataset.frames[[3, 5, 6]])


def write_master(folder: Path, scan: Dataset, parts: list[int], names: str = "data_{:06d}", link: bool = True) -> Path:
    """Frames in several datasets as Dectris' detectors link to them, the last shorter."""
    path, starts = folder / "scan_master.h5", np.cumsum([0, *parts])
    with h5py.File(path, "w") as master:
        for key, value in arrays(scan).items():
            master[key] = value
        group = master.create_group("entry/data")
        # Not in the order of their numbers.
        for number in np.random.default_rng(0).permutation(len(parts)):
            frames = scan.frames[starts[number] : starts[number + 1]].astype(np.uint32)
            name = names.format(number + 1)
            if not link:
                group[name] = frames
                continue
            with h5py.File(folder / f"scan_{name}.h5", "w") as data:
                data["entry/data/data"] = frames
            group[name] = h5py.ExternalLink(f"scan_{name}.h5", "entry/data/data")
        group["axis"] = np.arange(3)
    return path


@pytest.mark.parametrize("names", ["data_{:06d}", "frames{}"])
@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("parts", [[64], [25, 25, 14], [6] * 10 + [4]])
def test_a_group_of_datasets_is_one_scan(
    names: str, link: bool, parts: list[int], small_dataset: Dataset, tmp_path: Path
):
    path = write_master(tmp_path, small_dataset, parts, names, link)
    by_group = settings(small_dataset, paths=replace(PATHS, frames="entry/data"))
    keys = [f"entry/data/{names.format(number + 1)}" for number in range(len(parts))]
    for wanted in (by_group, settings(small_dataset, paths=replace(PATHS, frames=keys))):
        require_same(read_dataset(path, wanted), small_dataset)
        require_same(read_dataset(path, wanted, frames_in_memory=10), small_dataset)


def test_a_master_without_one_of_its_files_is_refused(small_dataset: Dataset, tmp_path: Path):
    path = write_master(tmp_path, small_dataset, [40, 24])
    (tmp_path / "scan_data_000002.h5").unlink()
    wanted = settings(small_dataset, paths=replace(PATHS, frames="entry/data"))
    with pytest.raises(InputError, match=r"000002 is kept in scan_data_000002.h5 as entry/data/data, which is not"):
        read_dataset(path, wanted)


def test_datasets_of_several_types_are_refused(small_dataset: Dataset, tmp_path: Path):
    path = write_master(tmp_path, small_dataset, [40, 24], link=False)
    with h5py.File(path, "r+") as file:
        del file["entry/data/data_000002"]
        file["entry/data/data_000002"] = small_dataset.frames[40:].astype(np.uint16)
    with pytest.raises(InputError, match=r"frames have the dtypes \['uint16', 'uint32'\]: expected one"):
        read_dataset(path, settings(small_dataset, paths=replace(PATHS, frames="entry/data")))


def write_virtual(folder: Path, scan: Dataset, source: str, **others: object) -> Path:
    """Frames as a virtual dataset over the file raw.h5, which it calls by another name."""
    folder.mkdir(exist_ok=True, parents=True)
    with h5py.File(folder / "raw.h5", "w") as raw:
        raw["data"] = scan.frames.astype(np.uint32)
    layout = h5py.VirtualLayout(scan.frames.shape, np.uint32)
    count = others.pop("mapped", len(scan.frames))
    layout[:count] = h5py.VirtualSource(source, others.pop("name", "data"), scan.frames.shape)[:count]
    with h5py.File(folder / "master.h5", "w") as master:
        for key, value in arrays(scan).items():
            master[key] = value
        master.create_virtual_dataset("frames", layout, fillvalue=others.pop("fillvalue", 0))
    return folder / "master.h5"


def test_a_virtual_dataset_is_found_where_hdf5_finds_it(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = settings(small_dataset)
    require_same(read_dataset(write_virtual(tmp_path / "a", small_dataset, "raw.h5"), wanted), small_dataset)
    # Called by a link from elsewhere.
    link = tmp_path / "link.h5"
    link.symlink_to("a/master.h5")
    require_same(read_dataset(link, wanted), small_dataset)
    # Moved together, the absolute path gone; and moved away from its source, which stays where the path says.
    require_same(read_dataset(write_virtual(tmp_path / "b", small_dataset, "/gone/raw.h5"), wanted), small_dataset)
    away = write_virtual(tmp_path / "c", small_dataset, str(tmp_path / "a/raw.h5"))
    (tmp_path / "c/raw.h5").unlink()
    require_same(read_dataset(away, wanted), small_dataset)
    # By the environment, and in the working directory.
    beside = write_virtual(tmp_path / "d", small_dataset, "raw.h5")
    os.replace(tmp_path / "d/raw.h5", tmp_path / "raw.h5")
    with pytest.raises(InputError, match=r"is kept in raw\.h5, which is not there"):
        read_dataset(beside, wanted)
    monkeypatch.chdir(tmp_path)
    require_same(read_dataset(beside, wanted), small_dataset)


def test_a_virtual_dataset_without_its_source_is_not_read_as_zeros(small_dataset: Dataset, tmp_path: Path):
    wanted = settings(small_dataset)
    path = write_virtual(tmp_path, small_dataset, "raw.h5", name="elsewhere")
    with pytest.raises(InputError, match=r"kept in .*raw.h5, which has no dataset elsewhere: expected it there"):
        read_dataset(path, wanted)
    path = write_virtual(tmp_path, small_dataset, "raw.h5")
    with h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["data"] = small_dataset.frames[:40].astype(np.uint32)
    with pytest.raises(InputError, match=r"whose data has shape \(40, 32, 32\): expected at least"):
        read_dataset(path, wanted)
    (tmp_path / "raw.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="which is not there"):
        read_dataset(path, wanted)


def test_what_is_not_mapped_is_marked_or_refused(small_dataset: Dataset, tmp_path: Path, caplog):
    path = write_virtual(tmp_path, small_dataset, "raw.h5", mapped=60)
    with pytest.raises(InputError, match=r"61440 values mapped: expected 65536, or a fill value that marks"):
        read_dataset(path, settings(small_dataset))
    path = write_virtual(tmp_path, small_dataset, "raw.h5", mapped=60, fillvalue=2**32 - 1)
    read = read_dataset(path, settings(small_dataset))
    np.testing.assert_array_equal(read.frames, small_dataset.frames[:60])
    assert "frames 60, 61, 62, 63 hold marks" in caplog.text


def test_a_virtual_dataset_of_a_virtual_dataset_is_followed(small_dataset: Dataset, tmp_path: Path):
    write_virtual(tmp_path, small_dataset, "raw.h5")
    os.replace(tmp_path / "master.h5", tmp_path / "inner.h5")
    path = write_virtual(tmp_path, small_dataset, "inner.h5", name="frames")
    require_same(read_dataset(path, settings(small_dataset)), small_dataset)
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(InputError, match=r"is kept in raw\.h5, which is not there"):
        read_dataset(path, settings(small_dataset))


@pytest.mark.parametrize("value", [np.True_, np.ones(4, bool)])
def test_a_truth_value_is_no_number(value: np.ndarray):
    with pytest.raises(InputError, match="key energy has dtype bool: expected a number"):
        only_number(np.asarray(value), "energy")
