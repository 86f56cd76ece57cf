"""A good scan gives no warning, and one that is broken in one way gives the one that names it."""

import bz2
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.scan_shape import disk_overlap, probe_width, scan_order
from ptychoflow.dataset.storage import storage_of
from ptychoflow.ingest.inspected_light import counts_per_photon, in_corner
from ptychoflow.ingest.inspected_probe import beam_offset, probe_fits
from ptychoflow.ingest.inspection import inspect, sampled
from ptychoflow.iterative.orientation import orientation_warnings, photon_errors
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.patches import extract_patches
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate


@pytest.fixture(scope="module")
def good() -> Dataset:
    """A scan under a probe without any symmetry."""
    settings = SimulationSettings(size=64, probe=ProbeSettings(), scan=ScanSettings(frames=49, step=5.0), seed=3)
    scan = simulate(settings).validate("scan")
    rows, columns = np.indices((64, 64)) - 32
    # Coma and astigmatism on the detector move light to places that no mirror image has.
    aperture = np.hypot(rows, columns) < 12
    aperture &= ~((rows > 2) & (columns > 7))
    wave = aperture * np.exp(1j * (0.07 * (rows**2 + columns**2) + 0.004 * rows**2 * columns))
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(wave), norm="ortho"))
    probe *= np.sqrt(1e6 / np.sum(np.abs(probe) ** 2))
    return with_probe(scan, probe.astype(np.complex64)[None])


def test_unmeasured_pixels_round_a_detector_are_no_bad_ones_of_it(good: Dataset):
    mask = np.zeros((64, 64), bool)
    mask[10:54, 10:54] = True
    facts, warnings = inspect(replace(good, mask=mask, frames=good.frames * mask))
    assert facts["masked_share"] == 1 - (44 / 64) ** 2
    assert not any("leaves out" in sentence for sentence in warnings)
    mask[20:40, 20:54] = False
    assert any("leaves out 35% of the detector" in sentence for sentence in inspect(replace(good, mask=mask))[1])


def test_a_sharp_focus_and_a_beam_that_ends_are_neither_hot_nor_gaps(good: Dataset):
    """A wide flat probe throws a point in the middle; light that ends at some row leaves the others dark."""
    rows, columns = np.indices((64, 64)) - 32
    flat = (np.hypot(rows, columns) < 20).astype(np.complex64) * 1e3 / np.sqrt(1256)
    frames = with_probe(good, flat[None].astype(np.complex64)).frames
    frames[:, :12] = frames[:, 52:] = frames[:, :, 54:] = 0
    _, warnings = inspect(replace(good, frames=frames, probe=flat[None].astype(np.complex64)))
    assert not any("never count between" in sentence or "count more than" in sentence for sentence in warnings)


def with_probe(scan: Dataset, probe: np.ndarray) -> Dataset:
    """The scan as it would have been measured with another probe."""
    places = torch.from_numpy(scan.positions).float()[None]
    patches = extract_patches(torch.from_numpy(scan.truth)[None], places, scan.size)[0]
    expected = Propagator(probe.shape[-1]).intensity(patches, torch.from_numpy(probe))
    counts = torch.fft.fftshift(expected, dim=(-2, -1)).numpy()
    frames = np.random.default_rng(0).poisson(counts).astype(np.float32)
    return replace(scan, frames=frames, probe=probe)


def test_a_good_scan_gives_no_warning(good: Dataset, small_dataset: Dataset):
    for scan in (good, small_dataset):
        facts, warnings = inspect(scan)
        assert warnings == []
        assert facts["counts_fractional_share"] == 0
        assert facts["zero_frequency"] == "centre"
        assert facts["probe_fit"] > 0.9
        assert facts["pixel_size_m"] == scan.pixel_size
    assert facts["step_pixels"] == pytest.approx(4, rel=0.2)
    assert facts["scan_order"] == "raster along the rows"
    assert facts["photons_in_probe"] == pytest.approx(np.sum(np.abs(small_dataset.probe) ** 2), rel=1e-5)


def saturated(scan: Dataset) -> Dataset:
    return replace(scan, frames=np.minimum(scan.frames, np.percentile(scan.frames, 99)))


def smooth(frames: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(frames, (0, 2, 2))


def dead(scan: Dataset) -> Dataset:
    frames = scan.frames.copy()
    frames[:, 30:32, 33] = 0
    return replace(scan, frames=frames)


def dim(scan: Dataset) -> Dataset:
    frames = scan.frames.copy()
    frames[7] = np.round(frames[7] / 50)
    return replace(scan, frames=frames)


def moved(scan: Dataset) -> Dataset:
    return replace(scan, frames=np.roll(scan.frames, (3, -4), axis=(1, 2)))


def wide(scan: Dataset) -> Dataset:
    """The probe of twice the width: a lens of half the aperture gives it, so the frames shrink as well."""
    spectrum = np.fft.fftshift(np.fft.fft2(scan.probe[0]))
    rows, columns = np.indices((64, 64)) - 32
    narrow = np.where(np.hypot(rows, columns) < 4, np.abs(spectrum).max() * np.exp(1j * 0.5 * rows**2), 0)
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(narrow), norm="ortho"))
    probe *= np.sqrt(1e6 / np.sum(np.abs(probe) ** 2))
    return with_probe(scan, probe.astype(np.complex64)[None])


def gaps(scan: Dataset) -> Dataset:
    """Modules side by side, three rows and five columns apart, whose gaps were written as zeros."""
    frames = scan.frames.copy()
    frames[:, 36:39] = frames[:, :, 24:29] = 0
    return replace(scan, frames=frames, probe_known=False)


def hot(scan: Dataset) -> Dataset:
    frames = scan.frames.copy()
    frames[:, 5, 9] += 30
    frames[:, 60, 40] += np.random.default_rng(0).poisson(50, len(frames))
    return replace(scan, frames=frames)


BROKEN: dict[str, tuple[Callable[[Dataset], Dataset], str]] = {
    "scaled": (lambda scan: replace(scan, frames=scan.frames * 0.37), "counts are fractional"),
    "amplitudes": (lambda scan: replace(scan, frames=np.sqrt(scan.frames)), "roots of counts"),
    "squared": (lambda scan: replace(scan, frames=scan.frames**2), "counts that were squared"),
    "without noise": (lambda scan: replace(scan, frames=smooth(scan.frames)), "counts are fractional"),
    "saturated": (saturated, "seems to be saturated"),
    "dead": (dead, "2 pixels never count"),
    "gaps": (gaps, "3 rows and 5 columns never count"),
    "hot": (hot, "2 pixels count more than 10 times"),
    "dim": (dim, "a frame holds"),
    "corner": (lambda scan: replace(scan, frames=np.fft.ifftshift(scan.frames, axes=(1, 2))), "lie in the corner"),
    "moved": (moved, r"lies 3, -4 pixels \(rows, columns\) off"),
    "transposed": (lambda scan: replace(scan, frames=scan.frames.swapaxes(1, 2)), "best transposed"),
    "mirrored": (
        lambda scan: replace(scan, frames=np.roll(scan.frames[:, :, ::-1], 1, axis=2)),
        "best mirrored left to right",
    ),
    "flux": (lambda scan: replace(scan, probe=scan.probe / 100), "the probe holds 100 photons"),
    "sparse": (lambda scan: replace(scan, positions=scan.positions * 3), "neighbouring frames overlap by"),
    "far apart": (lambda scan: replace(scan, positions=scan.positions * 100), "expected an overlap"),
    "at one place": (lambda scan: replace(scan, positions=scan.positions * 1e-3), "extends over .* expected many"),
    "wide probe": (wide, "an oversampling of"),
    "masked": (lambda scan: replace(scan, mask=np.indices((64, 64))[0] >= 20), "leaves out 31% of the detector"),
    "near": (lambda scan: replace(scan, detector_distance=3e-3), "half width over its distance"),
    "single": (lambda scan: replace(scan, frames=scan.frames[:1], positions=scan.positions[:1]), "one frame"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(good: Dataset, name: str):
    spoil, expected = BROKEN[name]
    _, warnings = inspect(spoil(good))
    assert any(re.search(expected, sentence) for sentence in warnings), warnings


def test_a_probe_that_nobody_knows_is_not_said_to_be_too_dark(good: Dataset):
    # It was made of bright frames, of which marks may hide a part.
    _, warnings = inspect(replace(good, probe=good.probe / 100, probe_known=False))
    assert not any("photons and the brightest frame" in sentence for sentence in warnings)


@pytest.fixture(scope="module")
def dense() -> Dataset:
    """A scan of which neighbouring frames are nearly alike, of few photons a pixel."""
    settings = SimulationSettings(
        size=64, probe=ProbeSettings(flux=1e5), scan=ScanSettings(frames=100, step=2.0, jitter=0.1), seed=3
    )
    return simulate(settings)


@pytest.mark.parametrize("gain", [0.2, 1.0, 5.5, 40.0])
def test_the_gain_is_told_by_the_scatter_of_neighbouring_frames(dense: Dataset, gain: float):
    facts, warnings = inspect(replace(dense, frames=dense.frames * np.float32(gain), probe=dense.probe * gain**0.5))
    assert facts["counts_per_photon"] == pytest.approx(gain, rel=0.2)
    told = [sentence for sentence in warnings if "scatter as if a photon counted" in sentence]
    assert len(told) == (gain != 1)
    # The right gain makes counts fractional, and they scatter as photons do.
    almost = replace(dense, frames=dense.frames * np.float32(1.01))
    assert not any("fractional" in sentence for sentence in inspect(almost)[1])


def test_a_sample_that_changes_much_hides_the_gain(dense: Dataset):
    bright = replace(dense, probe=dense.probe * 100)
    assert inspect(with_probe(bright, bright.probe))[0]["counts_per_photon"] is None
    expected = expected_photons(dense.truth, dense.positions, dense.probe).astype(np.float32)
    facts, warnings = inspect(replace(dense, frames=expected))
    assert facts["counts_per_photon"] is None
    assert any("counts are fractional" in sentence for sentence in warnings)


def test_pixels_that_scatter_alike_at_two_ends_tell_no_gain():
    random, place = np.random.default_rng(0), np.linspace(-1, 1, 960)
    level = 1000 * 30**place
    scatter = np.sqrt(np.where(np.abs(place) > 0.92, 8, 100) * level)
    pairs = level + scatter * random.standard_normal((2, 200, 960))
    assert counts_per_photon(*pairs) is None


def test_the_dark_middle_of_a_fringe_is_no_dead_pixel(good: Dataset):
    rows, columns = np.indices((64, 64)) - 32
    fringe = 20 * (rows - 3) ** 2 + 0 * columns
    dark = replace(good, frames=np.broadcast_to(fringe, good.frames.shape).astype(np.float32))
    assert inspect(dark)[0]["dead_pixels"] == 0
    # A line that light falls on, right up to it, is dead.
    dark.frames = np.where(rows == 3, 0, 100).astype(np.float32)[None] + 0 * dark.frames
    assert inspect(dark)[0]["dead_pixels"] == 64


def test_a_point_where_waves_cancel_is_no_dead_pixel(good: Dataset):
    frames = np.full_like(good.frames, 3.0)
    frames[:, 20, 25] = frames[:, 64 - 20, 64 - 25] = 0
    assert inspect(replace(good, frames=frames))[0]["dead_pixels"] == 0
    frames[:, 64 - 20, 64 - 25] = 3
    assert inspect(replace(good, frames=frames))[0]["dead_pixels"] == 1
    # What is dark together was not made by waves, whatever lies across the beam.
    frames[:, 40:42, 20:22] = frames[:, 64 - 41 : 64 - 39, 64 - 21 : 64 - 19] = 0
    assert inspect(replace(good, frames=frames))[0]["dead_pixels"] == 1 + 8
    # The middle is across from itself.
    frames[:, 32, 32] = 0
    assert inspect(replace(good, frames=frames))[0]["dead_pixels"] == 1 + 8 + 1


def test_a_central_stop_is_no_corner():
    """A wide ring about the middle has most of its light in the outer quarters."""
    rows, columns = np.indices((64, 64)) - 32
    ring = (np.hypot(rows, columns) < 26) & (np.hypot(rows, columns) > 17)
    wave = ring * np.exp(0.02j * (rows**2 + columns**2))
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(wave), norm="ortho"))[None].astype(np.complex64)
    other = simulate(SimulationSettings(size=64, scan=ScanSettings(frames=25), seed=1)).probe
    light = 1e4 * ring + 10.0
    for own in (probe, other):
        assert not in_corner(light, np.ones((64, 64), bool), own)
    assert in_corner(np.fft.fftshift(light), np.ones((64, 64), bool), probe)


def test_a_probe_that_does_not_fit_says_nothing_of_the_centre(good: Dataset):
    random = np.random.default_rng(0)
    probe = (random.normal(size=(1, 64, 64)) + 1j * random.normal(size=(1, 64, 64))).astype(np.complex64)
    facts, warnings = inspect(replace(good, probe=probe))
    assert facts["beam_offset_pixels"] is None
    assert not any("off the probe" in sentence for sentence in warnings)
    assert any("hardly resembles the mean frame" in sentence for sentence in warnings)


@pytest.mark.parametrize("repeats", [2, 5])
def test_places_that_were_measured_more_than_once_are_no_fault(good: Dataset, repeats: int):
    places = replace(good, positions=np.repeat(good.positions, repeats, axis=0))
    facts, warnings = inspect(with_probe(places, good.probe))
    once = inspect(good)[0]
    assert warnings == []
    assert facts["step_pixels"] == once["step_pixels"]
    assert facts["frames_at_same_place"] == repeats * len(good.frames)


def test_a_near_field_is_inspected_too():
    settings = SimulationSettings(
        size=64,
        probe=ProbeSettings(kind="disk"),
        scan=ScanSettings(frames=36, step=5.0),
        propagation="near",
        detector_distance=0.01,
        detector_pixel_size=1e-6,
    )
    scan = simulate(settings)
    facts, warnings = inspect(scan)
    assert warnings == []
    assert facts["fresnel_number_of_pixel"] == pytest.approx(scan.fresnel_number)
    assert facts["probe_fit"] > 0.9
    _, warnings = inspect(replace(scan, frames=np.roll(scan.frames, (6, -9), axis=(1, 2))))
    assert any("6, -9 pixels (rows, columns) off the probe's near field" in sentence for sentence in warnings)


def test_as_many_frames_are_looked_at_as_take_a_second(good: Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ptychoflow.ingest.inspection.MOST_PIXELS", 20 * 64**2)
    facts, warnings = inspect(good)
    assert 4 <= facts["frames_looked_at"] <= 20
    assert facts["frames"] == len(good.frames)
    assert warnings == []
    sample, pairs = sampled(good)
    apart = np.hypot(*(sample.positions[pairs[:, 0]] - sample.positions[pairs[:, 1]]).T)
    assert apart.max() < 10
    for frame, position in zip(sample.frames, sample.positions, strict=True):
        (place,) = np.flatnonzero((good.positions == position).all(axis=1))
        np.testing.assert_array_equal(frame, good.frames[place])


LAID = {
    "as it is": lambda image: image,
    "turned upside down": lambda image: image[..., ::-1, :],
    "mirrored left to right": lambda image: image[..., :, ::-1],
    "turned by 180°": lambda image: image[..., ::-1, ::-1],
    "transposed": lambda image: np.swapaxes(image, -1, -2),
    "turned by 90° anticlockwise": lambda image: np.rot90(image, 1, axes=(-2, -1)),
    "turned by 90° clockwise": lambda image: np.rot90(image, -1, axes=(-2, -1)),
    "mirrored at the other diagonal": lambda image: np.swapaxes(image, -1, -2)[..., ::-1, ::-1],
}


@pytest.mark.parametrize("name", LAID)
def test_the_orientation_of_the_frames_is_found(good: Dataset, name: str):
    # What undoes a turn is the turn the other way; all others undo themselves.
    undone = {"turned by 90° clockwise": "turned by 90° anticlockwise"}
    undone |= {there: back for back, there in undone.items()}
    wrapped = np.pad(good.frames, ((0, 0), (0, 1), (0, 1)), mode="wrap")
    frames = LAID[undone.get(name, name)](wrapped)[:, :-1, :-1]
    fits = probe_fits(replace(good, frames=frames))
    assert fits.keys() == LAID.keys()
    assert max(fits, key=fits.__getitem__) == name
    assert fits[name] == pytest.approx(probe_fits(good)["as it is"], abs=1e-6)


def test_a_moved_beam_is_measured(good: Dataset):
    assert beam_offset(good) == (0, 0)
    assert beam_offset(moved(good)) == (3, -4)


def test_a_probe_off_the_middle_of_its_frame_is_named(good: Dataset):
    off = np.roll(good.probe, (5, -4), axis=(1, 2))
    (facts, warnings), (right, _) = inspect(with_probe(good, off)), inspect(good)
    places = [np.array(one["probe_off_middle_pixels"]) for one in (facts, right)]
    np.testing.assert_allclose(places[0] - places[1], [5, -4], atol=0.01)
    (sentence,) = [one for one in warnings if "off the middle of its frame" in one]
    assert f"the probe lies {places[0][0]:.1f}, {places[0][1]:.1f} pixels" in sentence
    assert not any("off the middle" in one for one in inspect(good)[1])


def test_a_probe_that_nobody_knows_says_nothing_of_the_overlap(good: Dataset):
    sparse = replace(good, positions=good.positions * 3)
    assert any("overlap by" in sentence for sentence in inspect(sparse)[1])
    assert not any("overlap by" in sentence for sentence in inspect(replace(sparse, probe_known=False))[1])


def test_widths_and_overlaps_are_those_of_disks():
    rows, columns = np.indices((64, 64)) - 31.5
    disk = (np.hypot(rows, columns) < 10).astype(np.complex64)
    assert probe_width(disk[None]) == pytest.approx(20, rel=0.02)
    distance = 7
    other = np.hypot(rows, columns - distance) < 10
    assert disk_overlap(distance / 20) == pytest.approx((disk.real * other).sum() / disk.real.sum(), abs=0.02)
    assert disk_overlap(0) == 1
    assert disk_overlap(1.2) == 0


def test_the_order_of_a_scan_is_named():
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(9.0), np.arange(9.0), indexing="ij"))
    raster = np.stack([rows, columns], axis=1)
    snake = raster.reshape(9, 9, 2).copy()
    snake[1::2] = snake[1::2, ::-1]
    turns = np.sqrt(np.arange(200.0))
    spiral = np.stack([turns * np.cos(2.4 * turns * 1.5), turns * np.sin(2.4 * turns * 1.5)], axis=1)
    noise = np.random.default_rng(0).normal(0, 0.05, raster.shape)
    assert scan_order(raster + noise) == "raster along the rows"
    assert scan_order(raster[:, ::-1] + noise) == "raster along the columns"
    assert scan_order(snake.reshape(-1, 2) + noise) == "snake along the rows"
    assert scan_order(np.random.default_rng(0).permutation(raster)) == "random"
    assert scan_order(spiral) == "spiral"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda positions: positions, "as they are"),
        (lambda positions: positions * [-1, 1], "their rows negated"),
        (lambda positions: -positions, "rows and columns both negated"),
        (lambda positions: positions[:, ::-1], "rows and columns exchanged"),
    ],
)
def test_the_signs_of_the_positions_are_found(good: Dataset, change: Callable, expected: str):
    spoiled = replace(good, positions=change(good.positions - 60) + 60)
    errors = photon_errors(spoiled, frames=25, iterations=10)
    assert min(errors, key=errors.__getitem__) == expected
    warnings = orientation_warnings(errors)
    assert warnings == [] if expected == "as they are" else expected in warnings[0]


def test_the_signs_of_the_positions_of_a_near_field_are_found_too():
    optics = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}
    scan = ScanSettings(frames=36, step=4.0)
    near = simulate(SimulationSettings(size=32, probe=ProbeSettings(kind="diffuser"), scan=scan, seed=3, **optics))
    right, mirrored = (
        photon_errors(replace(near, positions=near.positions * signs), frames=25, iterations=10)
        for signs in ([1, 1], [-1, 1])
    )
    assert right["as they are"] < 0.5 * min(error for name, error in right.items() if name != "as they are")
    assert min(mirrored, key=mirrored.__getitem__) == "their rows negated"


def test_the_storage_of_a_file_is_told(small_dataset: Dataset, tmp_path: Path):
    write_cxi(tmp_path / "scan.cxi", small_dataset)
    facts = storage_of(tmp_path / "scan.cxi")
    assert facts.pop("file_size_bytes") == (tmp_path / "scan.cxi").stat().st_size
    assert facts == {
        "container": "HDF5",
        "key": "/entry_1/instrument_1/detector_1/data",
        "dtype": "uint32",
        "stored_shape": [64, 32, 32],
        "compression": "gzip",
    }
    np.savez_compressed(tmp_path / "scan.npz", data=small_dataset.frames.astype(np.uint16), scan=np.zeros((64, 2)))
    (tmp_path / "scan.npz.bz2").write_bytes(bz2.compress((tmp_path / "scan.npz").read_bytes()))
    facts = storage_of(tmp_path / "scan.npz.bz2")
    assert (facts["key"], facts["dtype"], facts["stored_shape"]) == ("data", "uint16", [64, 32, 32])
    assert facts["compression"] == "deflate + bzip2"
    (tmp_path / "folder").mkdir()
    assert storage_of(tmp_path / "folder").keys() == {"file_size_bytes"}
