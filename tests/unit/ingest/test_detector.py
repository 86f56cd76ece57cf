"""Prepared frames are what a smaller or coarser, whole detector would have seen, and what is broken is found."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from scipy import ndimage

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.flux import good_share
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.geometry import resampled_probe
from ptychoflow.ingest.detector.preparation import DetectorPreparation
from ptychoflow.ingest.readers import IngestSettings, read_dataset
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate
from ptychoflow.simulation.probes import make_probe

LOOKING = DetectorSettings(find_dead=True, hot_factor=1.7)


def scan(kind: str = "disk", flux: float = 1e4, frames: int = 64, **others: object) -> Dataset:
    probe = ProbeSettings(kind=kind, flux=flux)
    return simulate(SimulationSettings(probe=probe, scan=ScanSettings(frames=frames, step=4.0), seed=5, **others))


def prepared(frames: np.ndarray, settings: DetectorSettings, **others: object) -> DetectorPreparation:
    return DetectorPreparation.of(frames, None, None, settings, **others)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int32, np.uint8])
def test_the_defaults_leave_clean_frames_as_they_are(dtype: type):
    frames = np.random.default_rng(0).integers(0, 250, (5, 16, 16)).astype(dtype)
    preparation = prepared(frames, DetectorSettings())
    result = preparation.frames(frames)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, frames)
    assert preparation.mask.all()
    assert preparation.pixel_scale == preparation.binning == 1
    probe = np.random.default_rng(1).normal(size=(2, 16, 16)) * (1 + 2j)
    np.testing.assert_array_equal(preparation.probe(probe), probe)
    assert good_share(probe, preparation.mask) == pytest.approx(1)
    assert json.loads(json.dumps(preparation.summary)) == preparation.summary


@pytest.mark.parametrize("shape", [(33, 32), (32, 45), (47, 33), (40, 40)])
@pytest.mark.parametrize("size", [None, 24, 52])
def test_odd_and_oblong_frames_are_cut_and_padded_about_the_beam(shape: tuple[int, int], size: int | None):
    frames = np.random.default_rng(0).uniform(1, 2, (3, *shape)).astype(np.float32)
    frames[:, shape[0] // 2, shape[1] // 2] = 100
    preparation = prepared(frames, DetectorSettings(size=size))
    result = preparation.frames(frames)
    width = size or min(length - length % 2 for length in shape)
    assert result.shape == (3, width, width)
    assert preparation.mask.shape == (width, width)
    assert (result[:, width // 2, width // 2] == 100).all()
    assert ((result == 0) == ~preparation.mask).all()
    assert preparation.mask.sum() == min(width, shape[0]) * min(width, shape[1])
    corner = prepared(np.fft.ifftshift(frames, axes=(1, 2)), DetectorSettings(size=size), zero_frequency="corner")
    np.testing.assert_array_equal(corner.frames(np.fft.ifftshift(frames, axes=(1, 2))), result)


def smooth_probe(size: int, width: float, modes: int = 2) -> np.ndarray:
    """Curved Gaussian whose field and spectrum both end well within the frame."""
    axis = np.arange(size) - size // 2
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    beam = np.exp(-(rows**2 + columns**2) / (2 * width**2) + 0.02j * (rows**2 + 0.5 * columns**2))
    return 1e3 * np.stack([beam, beam * columns / width][:modes])


@pytest.mark.parametrize(("width", "wanted"), [(64, 48), (64, 80), (65, 48), (63, 50)])
def test_a_cropped_detector_is_a_smaller_one_with_the_resampled_probe(width: int, wanted: int):
    probe = smooth_probe(width, 5)
    far = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=(1, 2)), norm="ortho"), axes=(1, 2))) ** 2
    frames = far.sum(axis=0)[None]
    preparation = prepared(frames, DetectorSettings(size=wanted))
    small = preparation.probe(probe)
    expected = (np.abs(np.fft.fftshift(np.fft.fft2(small, norm="ortho"), axes=(1, 2))) ** 2).sum(axis=0)
    cut = preparation.frames(frames)[0]
    assert relative_error(expected[preparation.mask], cut[preparation.mask]) < 1e-4
    assert preparation.pixel_scale == pytest.approx(width / wanted)


def test_a_cropped_detector_sees_a_scan_as_one_of_coarser_pixels_at_the_sample():
    """Object, probe and positions on new pixels must give the cropped frames, object included."""
    size, wanted = 48, 32
    axis = np.arange(96) - 48
    rows, columns = np.meshgrid(axis, axis, indexing="ij")

    def sample(scale: float) -> np.ndarray:
        waves = np.sin(0.13 * scale * rows) * np.cos(0.09 * scale * columns)
        return np.exp((0.4j - 0.2) * waves - 0.1)

    probe = smooth_probe(size, 4)
    offsets = np.array([[0.0, 0.0], [3.0, -6.0], [-9.0, 4.5]])
    frames = expected_photons(sample(1), offsets + 48, probe)
    preparation = prepared(frames, DetectorSettings(size=wanted))
    again = expected_photons(
        sample(preparation.pixel_scale), offsets / preparation.pixel_scale + 48, preparation.probe(probe)
    )
    assert relative_error(again, preparation.frames(frames)) < 0.005


@pytest.mark.parametrize("binning", [2, 3, 4])
def test_binned_frames_are_the_diffraction_of_the_cropped_field(binning: int):
    size = 32
    probe = smooth_probe(size * binning, 2.0)
    truth = np.exp(0.3j * np.random.default_rng(0).normal(size=(size * binning + 60,) * 2))
    positions = np.array([[10.0, -7.0], [0.0, 4.0]]) + len(truth) // 2
    frames = expected_photons(truth, positions, probe)
    preparation = prepared(frames, DetectorSettings(binning=binning))
    assert preparation.pixel_scale == 1
    assert preparation.size == size
    binned = preparation.frames(frames)
    np.testing.assert_allclose(binned.sum(axis=(1, 2)), frames.sum(axis=(1, 2)), rtol=1e-5)
    again = expected_photons(truth, positions, preparation.probe(probe))
    untilted = expected_photons(truth, positions, resampled_probe(probe, size * binning, size * binning, size))
    # Pixels of finite size see what lies round a sample of the far field, too.
    assert relative_error(again, binned) < 0.03
    assert relative_error(again, binned) < relative_error(untilted, binned) / 2


@pytest.mark.parametrize("binning", [2, 3])
def test_binned_frames_are_exactly_the_blurred_diffraction_of_the_tilted_field(binning: int):
    """A sum of samples multiplies the autocorrelation of the exit wave by the Dirichlet kernel."""
    size, whole = 32, 32 * binning
    random = np.random.default_rng(0)
    probe = np.zeros((2, whole, whole), complex)
    inner = slice(whole // 2 - size // 2, whole // 2 + size // 2)
    probe[:, inner, inner] = random.normal(size=(2, size, size)) + 1j * random.normal(size=(2, size, size))
    truth, position = np.ones((whole + 40,) * 2), np.full((1, 2), whole // 2 + 20.0)
    frames = expected_photons(truth, position, probe)
    preparation = prepared(frames, DetectorSettings(binning=binning))
    tilted = np.zeros_like(probe)
    tilted[:, inner, inner] = preparation.probe(probe)
    sharp = expected_photons(truth, position, tilted)
    shift = np.arange(binning) - (binning - 1) / 2
    kernel = np.exp(2j * np.pi * np.fft.fftfreq(whole)[:, None] * shift).sum(axis=1).real
    correlation = np.fft.fft2(np.fft.ifftshift(sharp, axes=(1, 2))) * kernel[:, None] * kernel
    blurred = np.fft.fftshift(np.fft.ifft2(correlation).real, axes=(1, 2))
    samples = slice(whole // 2 % binning, None, binning)
    np.testing.assert_allclose(preparation.frames(frames), blurred[:, samples, samples], rtol=1e-5, atol=1e-4)


def test_a_probe_that_binning_cuts_off_is_told(caplog: pytest.LogCaptureFixture):
    preparation = prepared(np.ones((1, 64, 64)), DetectorSettings(binning=2))
    preparation.probe(smooth_probe(64, 4))
    assert not caplog.records
    probe = smooth_probe(64, 16, modes=1)
    kept = (np.abs(preparation.probe(probe)) ** 2).sum() / (np.abs(probe) ** 2).sum()
    assert caplog.messages == [f"a binned field of 32 pixels leaves out {100 * (1 - kept):.0f} % of the probe's light"]


def test_a_probe_of_another_field_than_the_frames_is_padded():
    probe = smooth_probe(40, 3)
    np.testing.assert_array_equal(resampled_probe(probe, 64, 64, 64)[:, 12:52, 12:52], probe)


def test_blocks_make_the_same_frames_as_the_whole_scan():
    frames = np.random.default_rng(0).poisson(30, (20, 36, 40)).astype(np.uint16)
    frames[7, 5, 6], frames[13, 20, 20] = 65535, 900
    settings = DetectorSettings(
        size=16, binning=2, saturation=500, find_dead=True, background_percentile=10, photons_per_count=0.5
    )
    preparation = prepared(frames, settings)
    whole = preparation.frames(frames)
    parts = [preparation.frames(frames[start : start + 3]) for start in range(0, 20, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert preparation.summary["gap_pixels"] == preparation.summary["saturated_pixels"] == 1


@pytest.mark.parametrize("blocks", [1, 6, 1000])
def test_what_is_seen_does_not_depend_on_the_blocks(blocks: int, monkeypatch: pytest.MonkeyPatch):
    frames = scan().frames.copy()
    frames[40, 3, 4], frames[:, 30, 30], frames[:, 33, 31] = -1, 0, 7
    settings = replace(LOOKING, gaps=[-1], saturation=float(frames.max()), centre="found")
    expected = prepared(frames, settings)
    monkeypatch.setattr("ptychoflow.dataset.frame_blocks.BLOCK_BYTES", blocks * 8 * frames[0].size)
    found = prepared(frames, settings)
    assert found.summary == expected.summary
    np.testing.assert_array_equal(found.mask, expected.mask)


@pytest.mark.parametrize("kind", ["disk", "zone_plate"])
@pytest.mark.parametrize("flux", [1e4, 1e6, 1e9])
def test_no_pixel_of_a_clean_scan_is_called_bad(kind: str, flux: float):
    frames = scan(kind, flux).frames
    preparation = prepared(frames, LOOKING)
    assert preparation.mask.all()
    np.testing.assert_array_equal(preparation.frames(frames), frames)


@pytest.mark.parametrize("cut", [(0, 0), (5, 0), (0, 3)])
@pytest.mark.parametrize(("flux", "diameter"), [(1e5, 0.3), (3e5, 0.4), (1e6, 0.3)])
def test_points_where_the_waves_of_a_sharp_edged_beam_cancel_are_not_dead(
    flux: float, diameter: float, cut: tuple[int, int]
):
    """Behind a weak sample such points stay dark in all frames, wherever the middle of the beam falls."""
    probe = ProbeSettings(kind="disk", flux=flux, disk_diameter=diameter)
    weak = ObjectSettings(absorption=0.01, phase_shift=0.01)
    grid = ScanSettings(frames=64, step=4.0)
    whole = simulate(SimulationSettings(size=48, probe=probe, object=weak, scan=grid, seed=5)).frames
    frames = whole[:, cut[0] :, cut[1] :].copy()
    sums = frames.sum(axis=0)
    assert ((sums == 0) & (ndimage.median_filter(sums, 5) > 50)).sum() >= 4
    looking = DetectorSettings(find_dead=True)
    assert prepared(frames, looking).summary["dead_pixels"] == 0
    # A dead pixel has no such partner.
    places = np.argwhere(ndimage.minimum_filter(sums, 3) > 100)[::7]
    assert len(places) >= 5
    places = [*places, (24 - cut[0], 24 - cut[1])]
    for row, column in places:
        spoilt = frames.copy()
        spoilt[:, row, column] = 0
        assert prepared(spoilt, looking).summary["dead_pixels"] == 1


def broken(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames with 5 % dead and 1 % hot pixels, and where these are."""
    random = np.random.default_rng(3)
    kind = random.choice(3, frames.shape[1:], p=[0.94, 0.05, 0.01])
    rate = 5 * frames.mean(axis=0) + 10
    hot = np.where(kind == 2, random.poisson(rate, frames.shape), 0)
    return np.where(kind == 1, 0, frames + hot).astype(np.float32), kind == 1, kind == 2


@pytest.mark.parametrize("kind", ["disk", "zone_plate"])
@pytest.mark.parametrize("flux", [1e5, 1e7])
def test_dead_and_hot_pixels_are_found_and_no_others(kind: str, flux: float):
    clean = scan(kind, flux, frames=100).frames
    frames, dead, hot = broken(clean)
    preparation = prepared(frames, LOOKING)
    bad = ~preparation.mask
    light = clean.sum(axis=0)
    # A dead pixel where hardly any light falls cannot be told, and does no harm.
    seen = dead & (light > 200)
    assert seen.sum() > 20
    assert bad[seen].mean() > 0.97
    # One beside the sharp edge of the beam may hide in its light.
    assert bad[hot].mean() > 0.9
    assert not bad[~dead & ~hot].any()
    assert (preparation.frames(frames)[:, bad] == 0).all()
    found = preparation.summary["dead_pixels"] + preparation.summary["hot_pixels"]
    assert found == preparation.summary["bad_pixels_of_dataset"] == bad.sum()


def test_dead_lines_and_pixels_that_never_change_are_found():
    frames = scan("zone_plate", 1e6).frames.copy()
    frames[:, 20:22] = 0
    frames[:, :, 50] = 0
    frames[:, 32, 24] = 1000
    bad = ~prepared(frames, LOOKING).mask
    lit = frames.sum(axis=0)[19] > 100
    assert bad[20:22, lit].mean() > 0.95
    assert bad[25:40, 50].all()
    assert bad[32, 24]


@pytest.mark.parametrize("kind", ["disk", "zone_plate"])
@pytest.mark.parametrize("shift", [(0, 0), (5, -7), (-9, 3), (8, 8)])
def test_the_centre_is_found_in_shifted_and_broken_frames(kind: str, shift: tuple[int, int]):
    whole = scan(kind).frames
    start = [8 - step for step in shift]
    frames = whole[:, max(start[0], 0) :, max(start[1], 0) :][:, :47, :46]
    expected = [32 - max(low, 0) for low in start]
    frames, _, _ = broken(frames)
    found = prepared(frames, replace(LOOKING, centre="found"))
    assert np.abs(np.subtract(found.summary["centre"], expected)).max() <= 1
    assert "symmetry" in found.summary["centre_from"]


def test_a_given_centre_becomes_the_middle():
    frames = np.zeros((2, 40, 50), np.float32)
    frames[:, 12, 30] = 9
    preparation = prepared(frames, DetectorSettings(centre=(12, 30)))
    assert preparation.size == 24
    assert (preparation.frames(frames)[:, 12, 12] == 9).all()


def test_a_centre_between_pixels_tilts_the_probe():
    probe = smooth_probe(32, 3)
    preparation = prepared(np.ones((1, 32, 32)), DetectorSettings(size=32, centre=(16.25, 15.7)))
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(preparation.probe(probe), axes=(1, 2))), axes=(1, 2))
    light = (np.abs(far) ** 2).sum(axis=0)
    axis = np.arange(32)
    middle = [(light.sum(axis=other) * axis).sum() / light.sum() for other in (1, 0)]
    np.testing.assert_allclose(middle, [16.25, 15.7], atol=0.01)


def test_counts_become_photons():
    random = np.random.default_rng(0)
    photons, pedestal = random.poisson(20, (6, 16, 16)), random.uniform(90, 110, (16, 16))
    raw = (photons * 7 + pedestal).astype(np.float32)
    dark = np.stack([pedestal - 1, pedestal + 1])
    gain = DetectorSettings(photons_per_count=1 / 7)
    result = DetectorPreparation.of(raw, None, dark, gain).frames(raw)
    np.testing.assert_allclose(result, photons, atol=1e-4)
    weak = DetectorPreparation.of(raw, None, dark, replace(gain, threshold=7 * 18.5, background=3)).frames(raw)
    np.testing.assert_allclose(weak, np.where(photons > 18, photons - 3, 0), atol=1e-4)


def test_a_background_is_taken_from_the_mean_frame():
    frames = np.full((4, 16, 16), 3.0)
    frames[:, 6:10, 6:10] = 50
    result = prepared(frames, DetectorSettings(background_percentile=50)).frames(frames)
    assert (result[:, 6:10, 6:10] == 47).all()
    assert result.sum() == 4 * 16 * 47


def test_amplitudes_are_squared():
    frames = np.random.default_rng(0).uniform(0, 9, (3, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(prepared(frames, DetectorSettings(), quantity="amplitude").frames(frames), frames**2)


@pytest.mark.parametrize(
    ("dtype", "mark", "gaps"),
    [
        (np.uint16, 65535, None),
        (np.uint32, 4294967295, None),
        (np.int32, -2, None),
        (np.float32, -1, [-1.0]),
        (np.float32, 4294967295, [4294967295.0]),
        (np.float32, np.nan, [float("nan")]),
        (np.uint16, 777, [-1.0, 777.0]),
    ],
)
def test_marks_are_gaps_and_no_counts(dtype: type, mark: float, gaps: list[float] | None):
    frames = np.random.default_rng(0).poisson(9, (20, 16, 16)).astype(dtype)
    frames[:, 3:5] = mark
    frames[11, 9, 2] = mark
    preparation = prepared(frames, DetectorSettings(gaps=gaps, centre="found"))
    expected = np.ones((16, 16), bool)
    expected[3:5] = expected[9, 2] = False
    assert preparation.summary["gap_pixels"] == 33
    centred = prepared(frames, DetectorSettings(gaps=gaps))
    np.testing.assert_array_equal(centred.mask, expected)
    np.testing.assert_array_equal(centred.frames(frames), np.where(expected, frames, 0))


def test_a_sum_lacks_half_of_its_pixels_at_most_and_no_saturated_one():
    frames = np.full((3, 16, 16), 5.0)
    good = np.ones((16, 16), bool)
    good[0, 0] = good[2, 0:2] = good[4, 0:2] = good[5, 0] = False
    frames[1, 8, 8] = 70
    preparation = DetectorPreparation.of(frames, good, None, DetectorSettings(binning=2, saturation=60))
    result = preparation.frames(frames)
    expected = np.full((8, 8), 20.0)
    expected[2, 0] = expected[4, 4] = 0
    np.testing.assert_allclose(result, np.broadcast_to(expected, result.shape))
    np.testing.assert_array_equal(preparation.mask, expected > 0)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".h5", ".h5::entry/mask"])
@pytest.mark.parametrize("marks", ["bad", "good"])
def test_a_mask_file_masks(suffix: str, marks: str, tmp_path: Path):
    bad = np.random.default_rng(0).random((20, 24)) < 0.2
    marked = (bad if marks == "bad" else ~bad).astype(np.uint32)
    path = tmp_path / f"mask{suffix.partition('::')[0]}"
    if path.suffix == ".npy":
        np.save(path, marked)
    elif path.suffix == ".tif":
        from skimage.io import imsave

        imsave(path, marked, check_contrast=False)
    else:
        with h5py.File(path, "w") as file:
            file["entry/mask"] = marked
            if "::" in suffix:
                file["entry/flat"] = np.ones((20, 24))
    settings = DetectorSettings(mask_file=str(tmp_path / f"mask{suffix}"), mask_marks=marks)
    frames = np.ones((2, 20, 24), np.float32)
    preparation = prepared(frames, settings)
    np.testing.assert_array_equal(preparation.mask, ~bad[:, 2:22])
    assert preparation.summary["masked_pixels"] == bad.sum()
    shifted = prepared(frames, settings, zero_frequency="corner")
    np.testing.assert_array_equal(shifted.mask, ~np.fft.fftshift(bad)[:, 2:22])


READ_IN_A_FRESH_PROCESS = """
import sys
import numpy as np
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.ingest.readers import IngestSettings, read_dataset

key, image, scan, output = sys.argv[1:]
dataset = read_dataset(scan, IngestSettings(detector=DetectorSettings(**{key: image})))
np.savez(output, mask=dataset.mask, frames=dataset.frames)
"""
"""Filters that another test has registered would hide that the reader registers none."""


@pytest.mark.parametrize("key", ["mask_file", "dark_file"])
def test_a_packed_image_of_the_detector_is_read_beside_a_scan_that_is_no_hdf5(key: str, raw_scan: Path):
    image, output = raw_scan.with_name("image.h5"), raw_scan.with_name("read.npz")
    marked = np.random.default_rng(0).random((64, 64)) < 0.1
    with h5py.File(image, "w") as file:
        file.create_dataset("entry/image", data=marked.astype(np.uint32), chunks=(64, 64), **hdf5plugin.Bitshuffle())
    command = [sys.executable, "-c", READ_IN_A_FRESH_PROCESS, key, image, raw_scan, output]
    scripts = str(Path(__file__).parents[3] / "scripts")
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": scripts})
    with np.load(output) as read, np.load(raw_scan) as stored:
        counts, found = np.fft.ifftshift(read["frames"], axes=(1, 2)), np.fft.ifftshift(read["mask"])
        expected = np.where(marked, 0, stored["data"]) if key == "mask_file" else np.maximum(stored["data"] - marked, 0)
    np.testing.assert_array_equal(found, ~marked if key == "mask_file" else True)
    np.testing.assert_allclose(counts, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 15}, "detector.size is 15: expected a whole number of at least 8, a multiple of 2"),
        ({"size": 4}, "detector.size is 4"),
        ({"binning": 0}, "detector.binning is 0"),
        ({"centre": (3.0, float("nan"))}, r"detector.centre is \[3.0, nan\]"),
        ({"hot_factor": 1.0}, "detector.hot_factor is 1.0"),
        ({"photons_per_count": 0.0}, "detector.photons_per_count is 0.0"),
        ({"saturation": -1.0}, "detector.saturation is -1.0"),
        ({"threshold": -1.0}, "detector.threshold is -1.0"),
        ({"background": float("inf")}, "detector.background is inf"),
        (
            {"background_percentile": 101.0},
            "detector.background_percentile is 101.0: expected a number of at least 0 and at most 100",
        ),
        ({"background": 1.0, "background_percentile": 5.0}, "expected one of them"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        DetectorSettings(**settings)


def test_what_does_not_fit_the_frames_is_refused(tmp_path: Path):
    frames = np.ones((2, 16, 20), np.float32)
    np.save(tmp_path / "mask.npy", np.ones((20, 16)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "mask.txt").write_text("0 1")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"] = file["b"] = np.ones((16, 20))
    for settings, sentence in (
        ({"centre": (16.0, 3.0)}, r"detector.centre is \(16.0, 3.0\): expected a pixel of frames of \(16, 20\)"),
        ({"centre": (2.0, 3.0)}, "hold 4 pixels of binning 1: expected at least 8"),
        ({"mask_file": str(tmp_path / "mask.npy")}, r"mask.npy has shape \(20, 16\): expected \(16, 20\)"),
        ({"mask_file": str(tmp_path / "none.npy")}, "none.npy is no file"),
        ({"mask_file": str(tmp_path / "objects.npy")}, "objects.npy cannot be read"),
        ({"mask_file": str(tmp_path / "mask.txt")}, "mask.txt is of no known kind"),
        ({"dark_file": str(tmp_path / "two.h5")}, r"two.h5 has the images \['a', 'b'\]: expected one, or its name"),
        ({"dark_file": str(tmp_path / "two.h5::c")}, "two.h5 has no image c"),
        ({"saturation": 0.5}, "no pixel of the detector is good"),
    ):
        with pytest.raises(InputError, match=sentence):
            prepared(frames, DetectorSettings(**settings))
    with pytest.raises(InputError, match="mask has shape"):
        DetectorPreparation.of(frames, np.ones((16, 16), bool), None, DetectorSettings())
    for dark in (np.ones((16, 16)), np.ones((0, 16, 20)), np.ones((16, 0)), np.ones(20), np.ones(())):
        with pytest.raises(
            InputError, match=rf"dark frame has shape {re.escape(str(dark.shape))}: expected \(16, 20\)"
        ):
            DetectorPreparation.of(frames, None, dark, DetectorSettings())
    with pytest.raises(InputError, match="frames have shape"):
        prepared(frames[0], DetectorSettings())


@pytest.fixture
def raw_scan(tmp_path: Path) -> Path:
    """A tike file of a noise-free scan with dead pixels, and a simulation to compare with."""
    truth = scan("zone_plate", 1e6, noise=False)
    frames = truth.frames.copy()
    frames[:, 28:31, 36] = 0
    path = tmp_path / "scan.npz"
    np.savez(path, data=np.fft.ifftshift(frames, axes=(1, 2)), probe=truth.probe, scan=truth.positions)
    return path


def test_a_file_is_read_through_the_settings(raw_scan: Path):
    geometry = {"energy": 8850.0, "detector_distance": 0.343}
    plain = read_dataset(raw_scan, IngestSettings(**geometry))
    masked = read_dataset(raw_scan, IngestSettings(**geometry, detector=DetectorSettings(find_dead=True)))
    assert masked.provenance["detector"]["dead_pixels"] == np.count_nonzero(~masked.mask) == 3
    assert not masked.mask[28:31, 36].any()
    lost = 1 - masked.frames.sum(axis=(1, 2)).max() / (np.abs(masked.probe) ** 2).sum()
    far = np.abs(np.fft.fftshift(np.fft.fft2(masked.probe[0]))) ** 2
    assert lost == pytest.approx(far[28:31, 36].sum() / far.sum(), rel=1e-3)
    assert (np.abs(plain.probe) ** 2).sum() == pytest.approx(plain.frames.sum(axis=(1, 2)).max(), rel=1e-5)


@pytest.mark.parametrize(("settings", "scale"), [({"size": 48}, 64 / 48), ({"binning": 2}, 1.0)])
def test_geometry_follows_crop_and_binning(settings: dict, scale: float, raw_scan: Path):
    geometry = IngestSettings(energy=8850.0, detector_distance=0.343)
    plain = read_dataset(raw_scan, geometry)
    read = read_dataset(raw_scan, replace(geometry, detector=DetectorSettings(**settings)))
    np.testing.assert_allclose(np.ptp(read.positions, axis=0), np.ptp(plain.positions, axis=0) / scale)
    assert read.pixel_size == pytest.approx(plain.pixel_size * scale)
    binning = settings.get("binning", 1)
    assert read.detector_pixel_size == plain.detector_pixel_size * binning
    extent = wavelength_of(8850.0) * 0.343 / (75e-6 * binning)
    assert read.pixel_size * read.size == pytest.approx(extent)


def test_a_stated_flux_is_that_before_the_crop(raw_scan: Path):
    crop = DetectorSettings(size=32)
    read = read_dataset(raw_scan, IngestSettings(flux=1e6, detector=crop))
    kept = (np.abs(read.probe) ** 2).sum() / 1e6
    probe = make_probe(ProbeSettings(flux=1.0), 64, wavelength_of(8850.0) * 0.343 / (64 * 75e-6), wavelength_of(8850.0))
    far = np.abs(np.fft.fftshift(np.fft.fft2(probe[0]))) ** 2
    assert kept == pytest.approx(far[16:48, 16:48].sum() / far.sum(), rel=1e-3)
    assert 0.2 < kept < 0.9


def test_a_prepared_dataset_is_not_prepared_again(small_cxi: Path):
    with pytest.raises(InputError, match="prepared before: expected no settings beside it, found detector"):
        read_dataset(small_cxi, IngestSettings(detector=DetectorSettings(size=16)))


def test_settings_are_plain(small_dataset: Dataset):
    settings = DetectorSettings(centre=[3, 4], mask_file="mask.npy", gaps=[-1.0])
    assert json.loads(json.dumps(asdict(settings)))["centre"] == [3, 4]
    assert settings == replace(settings, centre=(3, 4))
    assert small_dataset.mask.all()
