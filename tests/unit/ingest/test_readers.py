"""Other formats are read as their tools mean them, and damaged files end in one sentence."""

import bz2
import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import IngestSettings, read_dataset
from ptychoflow.settings.ingest import PositionSettings

SIEMENS = Path(__file__).parents[4] / "shared/data/siemens-star-small.npz.bz2"


@pytest.fixture
def arrays(small_dataset: Dataset) -> dict[str, np.ndarray]:
    """The small dataset as PtychoPINN would hold it."""
    return {
        "diffraction": np.sqrt(small_dataset.frames),
        "probeGuess": small_dataset.probe[0] / 7,
        "objectGuess": small_dataset.truth,
        "xcoords": small_dataset.positions[:, 1],
        "ycoords": small_dataset.positions[:, 0],
        "metadata": np.array({"any": "object"}, dtype=object),
    }


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_ptychopinn_file_becomes_photon_counts(arrays: dict, small_dataset: Dataset, tmp_path: Path):
    read = read_dataset(save(tmp_path / "scan.npz", arrays))
    np.testing.assert_allclose(read.frames, small_dataset.frames, rtol=1e-5)
    np.testing.assert_array_equal(read.positions, small_dataset.positions)
    np.testing.assert_array_equal(read.truth, small_dataset.truth)
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(read.frames.sum(axis=(1, 2)).max(), rel=1e-4)


def test_the_older_axis_order_is_recognised(arrays: dict, small_dataset: Dataset, tmp_path: Path):
    arrays["diffraction"] = np.moveaxis(arrays["diffraction"], 0, 2)
    read = read_dataset(save(tmp_path / "legacy.npz", arrays))
    np.testing.assert_allclose(read.frames, small_dataset.frames, rtol=1e-5)


def test_a_placeholder_object_is_no_truth(arrays: dict, tmp_path: Path):
    arrays["objectGuess"] = np.ones_like(arrays["objectGuess"])
    assert read_dataset(save(tmp_path / "scan.npz", arrays)).truth is None


def test_positions_of_any_origin_keep_their_distances(arrays: dict, small_dataset: Dataset, tmp_path: Path):
    del arrays["objectGuess"]
    arrays["xcoords"] = arrays["xcoords"] - 1000
    read = read_dataset(save(tmp_path / "scan.npz", arrays))
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(small_dataset.positions, axis=0), atol=1e-9)


def test_stated_intensities_are_not_squared(arrays: dict, tmp_path: Path):
    path = save(tmp_path / "scan.npz", arrays)
    read = read_dataset(path, IngestSettings(quantity="intensity"))
    np.testing.assert_allclose(read.frames, arrays["diffraction"], rtol=1e-6)


def test_a_stated_flux_scales_the_probe(arrays: dict, tmp_path: Path):
    read = read_dataset(save(tmp_path / "scan.npz", arrays), IngestSettings(flux=5e5))
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(5e5, rel=1e-4)


@pytest.mark.parametrize("pack", [bytes, bz2.compress])
def test_a_tike_file_has_its_zero_frequency_brought_to_the_centre(
    pack: Callable, small_dataset: Dataset, tmp_path: Path
):
    stream = io.BytesIO()
    shape = small_dataset.frames.shape
    np.savez(
        stream,
        data=np.fft.ifftshift(small_dataset.frames, axes=(1, 2))[None],
        probe=small_dataset.probe.reshape(1, 1, 1, 1, *shape[1:]),
        scan=small_dataset.positions[None] - 50,
    )
    path = tmp_path / "scan.npz.bz2"
    path.write_bytes(pack(stream.getvalue()))
    read = read_dataset(path)
    np.testing.assert_array_equal(read.frames, small_dataset.frames)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(small_dataset.positions, axis=0))


@pytest.mark.skipif(not SIEMENS.exists(), reason=f"needs the measured scan {SIEMENS}")
def test_the_siemens_scan_is_read():
    read = read_dataset(SIEMENS)
    assert read.frames.shape == (516, 128, 128)
    assert read.probe.shape == (1, 128, 128)
    middle = read.frames.mean(axis=0)[32:96, 32:96].sum()
    assert middle > 0.8 * read.frames.mean(axis=0).sum()


def _damaged(arrays: dict, **changes: object) -> dict:
    return {key: value for key, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"probeGuess": None}, "of no known format"),
        ({"xcoords": None}, "key xcoords is missing"),
        ({"diffraction": None}, "key diffraction or diff3d is missing"),
        ({"xcoords": np.zeros(3)}, r"xcoords has shape \(3,\)"),
        ({"xcoords": np.array([{}] * 64, dtype=object)}, "key xcoords cannot be read"),
        ({"ycoords": np.array(["a"] * 64)}, "key ycoords has dtype"),
        ({"diffraction": np.zeros((0, 32, 32))}, r"diffraction has shape \(0, 32, 32\)"),
        ({"diffraction": np.zeros((64, 30, 32))}, r"diffraction has shape \(64, 30, 32\)"),
        ({"diffraction": np.full((64, 32, 32), np.nan)}, "all of 64 frames hold NaN, numbers below 0"),
        ({"diffraction": np.full((64, 32, 32), -1.0)}, "all of 64 frames hold NaN, numbers below 0"),
        ({"diffraction": np.ones((64, 32, 32), complex)}, "expected real numbers"),
        ({"probeGuess": np.zeros((32, 32))}, "probe is zero"),
        ({"probeGuess": np.ones((2, 2, 32, 32))}, "the probe has shape"),
    ],
)
def test_a_wrong_file_is_refused_by_name(changes: dict, sentence: str, arrays: dict, tmp_path: Path):
    path = save(tmp_path / "wrong.npz", _damaged(arrays, **changes))
    with pytest.raises(InputError, match=sentence) as caught:
        read_dataset(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(arrays: dict, tmp_path: Path):
    path = save(tmp_path / "twice.npz", arrays)
    stream = io.BytesIO()
    np.save(stream, arrays["xcoords"])
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xcoords.npy", stream.getvalue())
    with pytest.raises(InputError, match="xcoords stands twice"):
        read_dataset(path)


def test_a_missing_file_and_a_text_file_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="No such file"):
        read_dataset(tmp_path / "nowhere.npz")
    (tmp_path / "notes.npz").write_text("not a scan")
    with pytest.raises(InputError, match="neither an HDF5 nor a whole NPZ"):
        read_dataset(tmp_path / "notes.npz")


@pytest.mark.filterwarnings("ignore")
def test_no_mutation_of_a_file_ends_otherwise_than_in_a_dataset_or_a_sentence(arrays: dict, tmp_path: Path):
    small = {key: value[:2] if len(value) == 64 else value for key, value in arrays.items() if key != "metadata"}
    whole = save(tmp_path / "scan.npz", small).read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        if random.random() < 0.3:
            content = content[: random.integers(0, len(content))]
        else:
            # Headers and directory stand at the ends of the entries: half of the hits go to the last kilobyte.
            low = len(content) - 1024 if random.random() < 0.5 else 0
            for place in random.integers(low, len(content), random.integers(1, 8)):
                content[place] = random.integers(0, 256)
        path = tmp_path / "mutation.npz"
        path.write_bytes(content)
        # Any other error than this one fails the test.
        with contextlib.suppress(InputError):
            read_dataset(path)
            continue
        refused += 1
    assert refused > 100


def tike(path: Path, **changes: object) -> Path:
    whole = {"data": np.ones((4, 16, 16)), "probe": np.ones((1, 16, 16), complex), "scan": np.arange(8.0).reshape(4, 2)}
    return save(path, _damaged(whole, **changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"data": np.ones((0, 16, 16)), "scan": np.ones((0, 2))},
            r"frames have shape \(0, 16, 16\): expected at least",
        ),
        ({"data": np.ones((2, 4, 16, 16))}, "expected one scan"),
        ({"data": np.ones((16, 16))}, r"data has shape \(16, 16\)"),
        ({"data": np.ones((4, 16, 14))}, r"probe has shape \(1, 16, 16\): expected \(1, 14, 14\)"),
        ({"data": np.full((4, 16, 16), np.inf)}, "all of 4 frames hold NaN"),
        ({"scan": np.ones(4)}, r"positions has shape \(4,\): expected \(4, 2\)"),
        ({"scan": np.ones((3, 2))}, r"positions has shape \(3, 2\): expected \(4, 2\)"),
        ({"probe": np.ones((14, 14))}, r"probe has shape \(1, 14, 14\): expected \(1, 16, 16\)"),
        ({"probe": np.array([{}], dtype=object)}, "key probe cannot be read"),
        ({"scan": None}, "of no known format"),
    ],
)
def test_a_wrong_tike_file_is_refused_by_name(changes: dict, sentence: str, tmp_path: Path):
    path = tike(tmp_path / "wrong.npz", **changes)
    with pytest.raises(InputError, match=sentence) as caught:
        read_dataset(path)
    assert str(caught.value).startswith(str(path))


def test_tike_scans_are_rows_then_columns_and_probes_may_have_modes(tmp_path: Path):
    scan = np.array([[0.0, 0.0], [10.0, 1.0], [20.0, 2.0], [30.0, 3.0]])
    read = read_dataset(tike(tmp_path / "scan.npz", scan=scan, probe=np.ones((1, 1, 1, 3, 16, 16), complex)))
    np.testing.assert_allclose(np.ptp(read.positions, axis=0), [30, 3])
    assert read.object_shape[0] > read.object_shape[1]
    assert read.probe.shape == (3, 16, 16)


def test_ptychopinn_coordinates_are_columns_and_rows(arrays: dict, tmp_path: Path):
    del arrays["objectGuess"]
    arrays["xcoords"], arrays["ycoords"] = np.linspace(0, 90, 64), np.linspace(0, 30, 64)
    read = read_dataset(save(tmp_path / "scan.npz", arrays))
    np.testing.assert_allclose(np.ptp(read.positions, axis=0), [30, 90])


def test_stated_amplitudes_are_squared_and_a_stated_centre_is_left_there(tmp_path: Path):
    data = np.random.default_rng(0).uniform(1, 3, (4, 16, 16)).astype(np.float32)
    settings = IngestSettings(quantity="amplitude", zero_frequency="centre")
    np.testing.assert_array_equal(read_dataset(tike(tmp_path / "scan.npz", data=data), settings).frames, data**2)


@pytest.mark.parametrize("frames_of", [np.uint8, np.int32, np.float16, np.float64])
def test_counts_of_any_number_type_are_read(frames_of: type, tmp_path: Path):
    data = np.random.default_rng(0).integers(1, 250, (4, 16, 16)).astype(frames_of)
    read = read_dataset(tike(tmp_path / "scan.npz", data=data), IngestSettings(zero_frequency="centre"))
    assert read.frames.dtype == np.float32
    np.testing.assert_array_equal(read.frames, data)


@pytest.mark.parametrize("flux", [0.0, -1.0, float("nan"), float("inf")])
def test_a_flux_that_cannot_be_is_refused(flux: float):
    with pytest.raises(InputError, match=f"flux is {flux}: expected a number above 0"):
        IngestSettings(flux=flux)


def test_a_file_of_another_format_than_stated_is_refused(small_cxi: Path, tmp_path: Path):
    path = tike(tmp_path / "scan.npz")
    with pytest.raises(InputError, match="key probeGuess is missing"):
        read_dataset(path, IngestSettings(format="ptychopinn"))
    with pytest.raises(InputError, match="expected the format cxi"):
        read_dataset(path, IngestSettings(format="cxi"))
    with pytest.raises(InputError, match="HDF5 file: expected the format tike"):
        read_dataset(small_cxi, IngestSettings(format="tike"))


def test_the_canonical_file_is_read_through_the_same_door(small_cxi: Path, small_dataset: Dataset):
    np.testing.assert_array_equal(read_dataset(small_cxi).frames, small_dataset.frames)


@pytest.mark.parametrize(
    "settings",
    [
        {"energy": 9000.0},
        {"detector_distance": 2.0},
        {"flux": 1e5},
        {"orientation": "flip_rows"},
        {"quantity": "amplitude"},
        {"propagation": "near"},
        {"companion": "product.cxi"},
        {"probe_diameter": 1e-6},
        {"positions": PositionSettings(row_sign=-1)},
        {"positions": PositionSettings(swap=True), "flux": 1e5},
    ],
)
@pytest.mark.parametrize("format", ["auto", "cxi"])
def test_settings_beside_the_canonical_file_are_refused(settings: dict, format: str, small_cxi: Path):
    with pytest.raises(InputError) as refused:
        read_dataset(small_cxi, IngestSettings(format=format, **settings))
    assert "prepared before: expected no settings beside it, found" in str(refused.value)
    assert all(name in str(refused.value).partition("found")[2] for name in settings)
    read_dataset(small_cxi, IngestSettings(format=format))


@pytest.mark.parametrize("keep", [3, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("pack", [bytes, bz2.compress])
def test_a_truncated_file_is_refused(keep: float, pack: Callable, tmp_path: Path):
    path = tike(tmp_path / "scan.npz")
    content = pack(path.read_bytes())
    path.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(InputError, match=r"scan\.npz: .*expected"):
        read_dataset(path)


def test_a_bare_array_with_an_archive_behind_it_is_refused(tmp_path: Path):
    path = tike(tmp_path / "scan.npz")
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    path.write_bytes(stream.getvalue() + path.read_bytes())
    with pytest.raises(InputError, match=r"paths\.positions is not set"):
        read_dataset(path)
