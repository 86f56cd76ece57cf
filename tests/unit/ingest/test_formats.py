"""A scan of any tool is read as that tool means it: the diffraction model at what was read gives the frames again."""

import dataclasses
from pathlib import Path
from typing import get_args

import foreign_files
import h5py
import numpy as np
import pytest
from foreign_files import WITHOUT_MASK, WITHOUT_PROBE, WRITERS

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.stored_frames import ConvertedFrames
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.orientation import Orientation, oriented
from ptychoflow.ingest.detector.preparation import DetectorPreparation
from ptychoflow.ingest.formats.hdf5_access import HDF5Frames
from ptychoflow.ingest.formats.hdf5_source import hdf5_source
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.settings.ingest import IngestSettings, PathSettings, PositionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate
from ptychoflow.simulation.probes import disk_probe

ORIENTATIONS = get_args(Orientation)
NEAR = SimulationSettings(
    size=16,
    probe=ProbeSettings(kind="disk"),
    scan=ScanSettings(frames=12, step=3.0),
    propagation="near",
    detector_distance=0.01,
    detector_pixel_size=1e-6,
    noise=False,
)


@pytest.fixture(scope="module")
def scan() -> Dataset:
    """A scan without any symmetry: 12 frames of 16 × 16 pixels, two modes, a scan longer than wide, bad pixels."""
    settings = SimulationSettings(
        size=16,
        probe=ProbeSettings(kind="disk", disk_curvature=2.0, modes=2),
        scan=ScanSettings(frames=12, step=3.0, jitter=0.4),
        noise=False,
        seed=3,
    )
    made = simulate(settings)
    mask = np.ones((16, 16), bool)
    mask[2:4, 5], mask[9, 12] = False, False
    stretched = made.positions * (1.0, 0.7)
    frames = expected_photons(made.truth, stretched, made.probe).astype(np.float32)
    return dataclasses.replace(made, frames=frames, positions=stretched, mask=mask).validate("scan")


def settings_for(scan: Dataset, settings: IngestSettings, **changes: object) -> IngestSettings:
    return dataclasses.replace(settings, flux=float(np.sum(np.abs(scan.probe) ** 2)), **changes)


def require_same(read: Dataset, scan: Dataset, name: str) -> None:
    """Frames, mask, probe, geometry and the differences of positions are those of the scan that was written."""
    mask = np.ones_like(scan.mask) if name in WITHOUT_MASK else scan.mask
    np.testing.assert_array_equal(read.mask, mask)
    counts = read.frames[:]
    assert counts.dtype == np.float32
    np.testing.assert_allclose(counts, scan.frames * mask, rtol=2e-6, atol=1e-3)
    shift = read.positions - scan.positions
    np.testing.assert_allclose(shift - shift.mean(axis=0), 0, atol=1e-6)
    for key in ("energy", "detector_distance", "detector_pixel_size"):
        assert getattr(read, key) == pytest.approx(getattr(scan, key), rel=1e-6)
    if name in WITHOUT_PROBE:
        disk = disk_probe(16, 9 / 16)
        np.testing.assert_allclose(
            read.probe[0] / np.linalg.norm(read.probe), disk / np.linalg.norm(disk), rtol=1e-5, atol=1e-7
        )
    else:
        np.testing.assert_allclose(read.probe, scan.probe, rtol=1e-5, atol=1e-3)
    model = expected_photons(scan.truth, read.positions - shift.mean(axis=0), scan.probe)
    np.testing.assert_allclose(counts, model * mask, rtol=1e-4, atol=1e-2)


def require_disk(probe: np.ndarray) -> None:
    disk = disk_probe(16, 9 / 16)[None]
    np.testing.assert_allclose(probe / np.linalg.norm(probe), disk / np.linalg.norm(disk), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", WRITERS)
def test_a_scan_is_read_as_its_tool_means_it(name: str, scan: Dataset, tmp_path: Path):
    path, settings = WRITERS[name](tmp_path, scan)
    read = read_dataset(path, settings_for(scan, settings), frames_in_memory=0)
    require_same(read, scan, name)
    assert isinstance(read.frames, ConvertedFrames)


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_read_is_written_as_it_is(name: str, scan: Dataset, tmp_path: Path):
    path, settings = WRITERS[name](tmp_path, scan)
    write_cxi(tmp_path / "own.cxi", read_dataset(path, settings_for(scan, settings), frames_in_memory=0))
    require_same(read_cxi(tmp_path / "own.cxi"), scan, name)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", ["plain", "tike"])
def test_frames_that_lie_otherwise_are_turned(name: str, orientation: str, scan: Dataset, tmp_path: Path):
    turned = {}
    for other in ORIENTATIONS:
        # Of the eight, one undoes the other.
        twice = oriented(oriented(np.arange(256).reshape(16, 16), orientation), other)
        turned[other] = np.array_equal(twice, np.arange(256).reshape(16, 16))
    (inverse,) = [other for other, undoes in turned.items() if undoes]
    lying = dataclasses.replace(
        scan, frames=np.ascontiguousarray(oriented(scan.frames, inverse)), mask=oriented(scan.mask, inverse)
    )
    path, settings = WRITERS[name](tmp_path, lying)
    require_same(read_dataset(path, settings_for(scan, settings, orientation=orientation)), scan, name)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turned_frames_are_those_of_a_turned_scan(orientation: str, scan: Dataset):
    # A flip of object, probe and positions about the same axis flips the frames: an independent truth for signs.
    # On whole pixels, where no shift by a fraction comes in between.
    positions = scan.positions.round()
    frames = expected_photons(scan.truth, positions, scan.probe)
    turned = _turned_frames(scan, positions, orientation)
    np.testing.assert_allclose(turned, oriented(frames, orientation), rtol=1e-4, atol=1e-2)


def _turned_frames(scan: Dataset, positions: np.ndarray, orientation: str) -> np.ndarray:
    truth, probe = scan.truth, scan.probe
    if orientation.startswith("transpose"):
        truth, probe, positions = truth.T, np.swapaxes(probe, -1, -2), positions[:, ::-1]
    for axis, words in ((-2, ("flip_rows", "flip_both")), (-1, ("flip_columns", "flip_both"))):
        if orientation.endswith(words):
            # Pixel k goes to −k: about pixel H // 2 of the object, and about N // 2 of the probe.
            truth = np.roll(np.flip(truth, axis), 1, axis)
            probe = np.roll(np.flip(probe, axis), 1, axis)
            positions = positions.copy()
            positions[:, axis] = truth.shape[axis] - positions[:, axis]
    return expected_photons(np.ascontiguousarray(truth), np.ascontiguousarray(positions), np.ascontiguousarray(probe))


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("row_sign", [1, -1])
@pytest.mark.parametrize("column_sign", [1, -1])
@pytest.mark.parametrize("unit", ["millimetres", "micrometres", "nanometres", "pixels"])
def test_positions_of_other_signs_order_and_unit_are_mended(
    swap: bool, row_sign: int, column_sign: int, unit: str, scan: Dataset, tmp_path: Path
):
    size = {"millimetres": 1e-3, "micrometres": 1e-6, "nanometres": 1e-9, "pixels": scan.pixel_size}[unit]
    stored = scan.positions * scan.pixel_size / size * (row_sign, column_sign)
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["frames"], file["probe"] = scan.frames, scan.probe
        file["positions"] = stored[:, ::-1] if swap else stored
        file["good"] = scan.mask
    settings = IngestSettings(
        format="hdf5",
        paths=PathSettings(frames="frames", positions=["positions"], probe="probe", good="good"),
        positions=PositionSettings(swap=swap, row_sign=row_sign, column_sign=column_sign, unit=unit),
        energy=scan.energy,
        detector_distance=scan.detector_distance,
        detector_pixel_size=scan.detector_pixel_size,
    )
    require_same(read_dataset(path, settings_for(scan, settings)), scan, "plain")


@pytest.mark.parametrize(
    ("name", "metre"),
    [("m", 1), ("Meters", 1), ("mm", 1e-3), ("µm", 1e-6), ("microns", 1e-6), (b"um", 1e-6), ("nm", 1e-9), ("Å", 1e-10)],
)
def test_lengths_follow_their_unit(name: str | bytes, metre: float, tmp_path: Path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["length"], file["energy"] = 3.0, 5.0
        file["length"].attrs["units"], file["energy"].attrs["units"] = name, "keV"
    with hdf5_source(tmp_path / "scan.h5") as source:
        assert source.number("length") == pytest.approx(3 * metre)
        assert source.number("energy", unit="j") == 5000
        assert source.number("nowhere") is None
        with pytest.raises(InputError, match="key energy has the unit keV: expected one such as m"):
            source.number("energy")


def test_settings_win_over_the_file(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_ptylab(tmp_path, scan)
    changed = dataclasses.replace(settings, energy=4000.0, detector_distance=0.5, detector_pixel_size=1e-4)
    read = read_dataset(path, changed)
    assert (read.energy, read.detector_distance, read.detector_pixel_size) == (4000.0, 0.5, 1e-4)


@pytest.mark.parametrize("unit", ["µm", "μm", "µm".encode("latin-1"), b"um", "Micrometers", "cm", "Å"])
def test_units_are_known_by_any_spelling(unit: str | bytes, scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_cdtools(tmp_path, scan)
    metres = {"cm": 1e-2, "Å": 1e-10}.get(unit, 1e-6)
    with h5py.File(path, "r+") as file:
        distance = file["entry_1/instrument_1/detector_1/distance"]
        distance[()] = scan.detector_distance / metres
        distance.attrs["units"] = np.bytes_(unit) if isinstance(unit, bytes) else unit
    assert read_dataset(path, settings).detector_distance == pytest.approx(scan.detector_distance)


@pytest.mark.parametrize(
    ("name", "key", "setting"),
    [
        ("cdtools", "entry_1/instrument_1/detector_1/distance", "detector_distance"),
        ("cdtools", "entry_1/instrument_1/source_1/energy", "energy"),
        ("plain", "entry/distance", "detector_distance"),
        ("plain", "entry/energy", "energy"),
        ("ptylab", "wavelength", "energy"),
        ("ptylab", "dxd", "detector_pixel_size"),
    ],
)
def test_a_unit_that_no_one_knows_does_no_harm_where_a_setting_counts(
    name: str, key: str, setting: str, scan: Dataset, tmp_path: Path
):
    path, settings = WRITERS[name](tmp_path, scan)
    with h5py.File(path, "r+") as file:
        file[key].attrs["units"] = "furlong"
    with pytest.raises(InputError, match=f"key {key} has the unit furlong"):
        read_dataset(path, settings)
    read = read_dataset(path, dataclasses.replace(settings, **{setting: getattr(scan, setting)}))
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(scan.positions, axis=0), atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", ["cdtools", "ptylab"])
def test_few_frames_keep_their_positions(name: str, count: int, scan: Dataset, tmp_path: Path):
    few = dataclasses.replace(scan, frames=scan.frames[:count], positions=scan.positions[:count])
    path, settings = WRITERS[name](tmp_path, few)
    read = read_dataset(path, settings)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(few.positions, axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("ptylab", ["wavelength"]), ("ptylab", ["zo", "dxd"]), ("ptypy", ["meta/energy"]), ("plain", ["entry/distance"])],
)
def test_geometry_that_metres_need_must_be_known(name: str, keys: list[str], scan: Dataset, tmp_path: Path):
    path, settings = WRITERS[name](tmp_path, scan)
    with h5py.File(path, "r+") as file:
        for key in keys:
            del file[key]
    if name == "plain":
        settings = dataclasses.replace(settings, paths=dataclasses.replace(settings.paths, detector_distance=None))
    with pytest.raises(InputError, match="must be known to turn metres into pixels: expected them as settings"):
        read_dataset(path, settings)


def test_geometry_that_only_scale_bars_need_is_assumed_aloud(scan: Dataset, tmp_path: Path, caplog):
    path, settings = foreign_files.write_tike(tmp_path, scan)
    read = read_dataset(path, dataclasses.replace(settings, energy=None, detector_distance=None))
    assert (read.energy, read.detector_distance) == (8000.0, 1.0)
    assert "scan.npz: energy is taken as 8000, detector_distance is taken as 1, since neither" in caplog.text


def test_a_pair_of_ptychi_keeps_the_pixel_at_the_sample(scan: Dataset, tmp_path: Path):
    path, _ = foreign_files.write_ptychi(tmp_path, scan)
    read = read_dataset(path)
    assert read.pixel_size == pytest.approx(scan.pixel_size, rel=1e-6)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(scan.positions, axis=0), atol=1e-6)


def test_a_file_without_probe_takes_what_its_frames_tell(
    scan: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path, settings = foreign_files.write_fold_slice(tmp_path, scan)
    read = read_dataset(path, dataclasses.replace(settings, probe_diameter=None))
    assert not read.probe_known
    assert "the file has no probe" in caplog.text
    far = np.abs(np.fft.fftshift(np.fft.fft2(read.probe[0], norm="ortho"))) ** 2
    few = read.frames[np.argsort(read.frames.sum(axis=(1, 2)))[-4:]].mean(axis=0)
    assert np.corrcoef(far.ravel(), few.ravel())[0, 1] > 0.95
    with pytest.raises(InputError, match=r"diameter of 1 m is .* pixels: expected 2 to the frame's 16"):
        read_dataset(path, dataclasses.replace(settings, probe_diameter=1.0))


def test_a_disk_may_stand_for_a_probe(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_fold_slice(tmp_path, scan)
    assert read_dataset(path, settings).probe_known
    with pytest.raises(InputError, match=r"diameter of 1 m is .* pixels: expected 2 to the frame's 16"):
        read_dataset(path, dataclasses.replace(settings, probe_diameter=1.0))


def test_ptylab_starts_from_a_disk(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_ptylab(tmp_path, scan)
    with h5py.File(path, "r+") as file:
        del file["probe"]
    read = read_dataset(path, settings)
    disk = disk_probe(16, 9 / 16)
    np.testing.assert_allclose(
        read.probe[0] / np.linalg.norm(read.probe), disk / np.linalg.norm(disk), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("cdtools", {"entry_1/instrument_1/detector_1/basis_vectors": np.diag([1e-4, 2e-4, 0])[:, :2]}, "square ones"),
        ("cdtools", {"entry_1/data_1/translation": np.zeros((5, 3))}, r"positions has shape \(5, 2\): expected \(12"),
        ("cdtools", {"entry_1/instrument_1/detector_1/mask": np.zeros((3, 3))}, r"shape \(3, 3\): expected \(16, 16\)"),
        ("nxcxi", {"entry_1/instrument_1/beam_1/energy": 1e9, "entry_1/instrument_1/source_1/energy": 1e9}, "energy"),
        ("ptychodus", {"bad_pixels": np.zeros((4, 4), bool)}, r"mask has shape \(4, 4\): expected \(16, 16\)"),
        ("ptychodus", {"indexes": np.zeros(14)}, "stands twice"),
        ("ptychodus", {"indexes": np.arange(14) + 7000}, "files that belong together"),
        ("ptylab", {"encoder": np.zeros((12, 3))}, r"key encoder has shape \(12, 3\): expected \(12, 2\)"),
        ("ptylab", {"orientation": 5}, "orientation is 5, whose meaning differs"),
        ("ptylab", {"probe": np.ones((2, 1, 1, 1, 16, 16), complex)}, "the probe has 2 wavelengths"),
        ("ptylab", {"wavelength": "long"}, "key wavelength has dtype"),
        ("ptylab", {"zo": -1.0}, "detector_distance is -1.0"),
        ("ptypy", {"chunks/3/data": np.ones((2, 8, 8))}, "frames have the shapes"),
        ("ptypy", {"chunks/3/positions": np.zeros((9, 2))}, r"positions has shape"),
        ("fold_slice", {"dp": np.ones((4, 16))}, r"key dp has shape \(4, 16\): expected \(frames, H, W\)"),
        ("fold_slice", {"dp": np.ones((12, 16, 16), complex)}, "key dp has dtype complex128"),
        ("plain", {"entry/data/data": np.full((12, 16, 16), np.nan)}, "all of 12 frames hold NaN"),
        ("plain", {"entry/data/data": np.full((12, 16, 16), -1.0)}, "all of 12 frames hold NaN, numbers below 0"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(name: str, change: dict, sentence: str, scan: Dataset, tmp_path: Path):
    path, settings = WRITERS[name](tmp_path, scan)
    with h5py.File(path, "r+") as file:
        for key, value in change.items():
            if key in file:
                del file[key]
            file[key] = value
    with pytest.raises(InputError, match=sentence) as caught:
        read_dataset(path, settings)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["fold_slice", "ptychi", "ptychodus", "plain", "ptypy"])
def test_a_companion_that_is_not_there_is_named(name: str, scan: Dataset, tmp_path: Path):
    path, settings = WRITERS[name](tmp_path, scan)
    for other in tmp_path.iterdir():
        if other != path:
            other.unlink()
    with pytest.raises(InputError, match="is not there: expected the file that belongs to"):
        read_dataset(path, settings)


def test_a_companion_without_a_usual_name_must_be_named(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_ptychi(tmp_path, scan)
    path = path.rename(tmp_path / "dp_250.hdf5")
    with pytest.raises(InputError, match=r"belongs to dp_250\.hdf5 has no usual name: expected the setting companion"):
        read_dataset(path, settings)
    named = dataclasses.replace(settings, companion="ptychodus_para.hdf5")
    require_same(read_dataset(path, settings_for(scan, named)), scan, "ptychi")


@pytest.mark.parametrize("mark", [-1, 1, 127])
@pytest.mark.parametrize("key", ["mask", "good"])
@pytest.mark.parametrize("each_frame", [False, True])
def test_any_number_but_zero_marks_a_pixel(mark: int, key: str, each_frame: bool, scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_plain(tmp_path, scan)
    marks = np.where(~scan.mask if key == "mask" else scan.mask, mark, 0).astype(np.int8)
    with h5py.File(path, "r+") as file:
        del file["entry/mask"]
        file["entry/marks"] = np.repeat(marks[None], len(scan.frames), axis=0) if each_frame else marks
    paths = dataclasses.replace(settings.paths, mask=None) if key == "good" else settings.paths
    settings = dataclasses.replace(settings, paths=dataclasses.replace(paths, **{key: "entry/marks"}))
    require_same(read_dataset(path, settings_for(scan, settings)), scan, "plain")


def test_an_unknown_hdf5_file_is_named_with_its_keys(tmp_path: Path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["counts"] = np.ones(3)
    with pytest.raises(InputError, match=r"keys \['counts'\] are of no known format"):
        read_dataset(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"paths\.frames is not set: other\.h5 has \['counts'\]"):
        read_dataset(tmp_path / "other.h5", IngestSettings(format="hdf5"))
    with pytest.raises(InputError, match="key dp is missing"):
        read_dataset(tmp_path / "other.h5", IngestSettings(format="ptychoshelves"))


def test_near_fields_are_not_taken_for_far_ones(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_ptychodus(tmp_path, scan)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        file.attrs["far_field"] = False
    with pytest.raises(InputError, match="far_field is false: expected the setting propagation near"):
        read_dataset(path, settings)


def test_near_fields_of_ptychodus_are_read_as_such(tmp_path: Path):
    scan = simulate(NEAR)
    path, settings = foreign_files.write_ptychodus(tmp_path, scan)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        file.attrs["far_field"] = False
        for axis in "xy":
            # The writer is of far fields, whose pixels at the sample are others.
            key = f"probe_position_{axis}_m"
            file[key][...] = file[key][()] * scan.detector_pixel_size / foreign_files.far_pixel(scan)
    read = read_dataset(path, settings_for(scan, settings, propagation="near"))
    assert read.fresnel_number == pytest.approx(scan.fresnel_number)
    shift = (read.positions - scan.positions).mean(axis=0)
    np.testing.assert_allclose(read.positions - shift, scan.positions, atol=1e-6)
    model = expected_photons(scan.truth, read.positions - shift, read.probe, read.fresnel_number)
    np.testing.assert_allclose(read.frames, model, rtol=1e-3, atol=0.05)


def test_motors_of_nexus_stand_in_for_translations(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_nxcxi(tmp_path, scan)
    rows_columns = foreign_files.metres(scan)
    with h5py.File(path, "r+") as file:
        for key in ("sample_1/geometry_1/translation", "data_1/translation", "instrument_1/detector_1/translation"):
            del file[f"entry_1/{key}"]
        motors = file.create_group("entry_1/sample_1/transformations")
        # The motor of the columns runs against x.
        motors["x"], motors["y"] = -rows_columns[:, 1].reshape(-1, 4) * 1e9, rows_columns[:, 0].reshape(-1, 4) * 1e3
        motors["x"].attrs.update(vector=np.array([-1.0, 0, 0]), units="nm")
        motors["y"].attrs.update(vector=np.array([0, 1.0, 0]), units="mm")
    require_same(read_dataset(path, settings_for(scan, settings)), scan, "nxcxi")


def test_a_raster_of_four_axes_is_counted_through(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_nxcxi(tmp_path, scan)
    with h5py.File(path, "r+") as file:
        del file["entry_1/data_1/data"]
    read = read_dataset(path, settings_for(scan, settings))
    require_same(read, scan, "nxcxi")
    np.testing.assert_allclose(read.frames[np.array([7, 2, 7])], (scan.frames * scan.mask)[[7, 2, 7]], rtol=2e-6)


def test_frames_stay_in_their_file(scan: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, settings = foreign_files.write_plain(tmp_path, scan)
    monkeypatch.setattr("ptychoflow.dataset.frame_blocks.BLOCK_BYTES", 5 * 256 * 4)
    asked = []
    convert = ConvertedFrames.__getitem__
    monkeypatch.setattr(ConvertedFrames, "__getitem__", lambda self, index: asked.append(index) or convert(self, index))
    read = read_dataset(path, settings, frames_in_memory=0, examined=False)
    write_cxi(tmp_path / "own.cxi", read)
    # The brightest alone for the flux, and all once to write, never more than five frames at a time.
    assert len(asked.pop(0)) <= 12
    assert asked == [slice(0, 5), slice(5, 10), slice(10, 12)]
    np.testing.assert_array_equal(read_cxi(tmp_path / "own.cxi").frames, scan.frames * scan.mask)


@pytest.mark.parametrize("most", [None, 12])
def test_frames_that_fit_into_memory_are_prepared_once(
    most: int | None, scan: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, settings = foreign_files.write_plain(tmp_path, scan)
    prepared, prepare = [], DetectorPreparation.frames
    monkeypatch.setattr(
        DetectorPreparation, "frames", lambda self, block: prepared.append(len(block)) or prepare(self, block)
    )
    read = read_dataset(path, settings, frames_in_memory=most)
    assert isinstance(read.frames, np.ndarray)
    write_cxi(tmp_path / "own.cxi", read)
    assert sum(prepared) == len(scan.frames)


def test_a_crop_holds_no_more_raw_frames_than_a_block(scan: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, settings = foreign_files.write_plain(tmp_path, scan)
    monkeypatch.setattr("ptychoflow.dataset.frame_blocks.BLOCK_BYTES", 3 * 256 * 4)
    read, raw = [], HDF5Frames.__getitem__

    def kept(self: HDF5Frames, index: slice | np.ndarray) -> np.ndarray:
        frames = raw(self, index)
        read.append(frames.nbytes)
        return frames

    monkeypatch.setattr(HDF5Frames, "__getitem__", kept)
    cropped = dataclasses.replace(settings, detector=DetectorSettings(size=8))
    expected = (scan.frames * scan.mask)[:, 4:12, 4:12]
    for most in (0, 12):
        frames = read_dataset(path, cropped, frames_in_memory=most).frames
        np.testing.assert_allclose(frames[:], expected, rtol=2e-6)
    assert max(read) == 3 * 256 * 4


def test_a_shape_with_nothing_behind_it_is_refused_at_once(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_plain(tmp_path, scan)
    with h5py.File(path, "r+") as file:
        del file["entry/data/data"]
        file.create_dataset("entry/data/data", shape=(10**9, 4096, 4096), dtype="f4", chunks=(1, 64, 64))
    with pytest.raises(InputError, match="but 0 bytes are stored: expected its content"):
        read_dataset(path, settings)


def test_lazy_frames_serve_where_an_array_does(scan: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_ptypy(tmp_path, scan)
    frames, expected = read_dataset(path, settings, frames_in_memory=0).frames, scan.frames * scan.mask
    assert (len(frames), frames.shape, frames.dtype) == (12, (12, 16, 16), expected.dtype)
    for index in (
        slice(None),
        slice(2, 9, 3),
        slice(5, 5),
        slice(8, 2, -2),
        np.array([9, 0, 9]),
        expected[:, 8, 8] > 50,
        np.array([], int),
    ):
        np.testing.assert_allclose(frames[index], expected[index], rtol=2e-6)
