"""Frames are left out by name, by their photons and where they cannot be right, and never in silence."""

import logging
from pathlib import Path

import numpy as np
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.frame_choice import far_frames, paired
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.settings.ingest import FrameSettings, IngestSettings


def tike(path: Path, frames: np.ndarray, positions: np.ndarray, probe: np.ndarray) -> Path:
    np.savez(path, data=np.fft.ifftshift(frames, axes=(1, 2)), scan=positions, probe=probe)
    return path


@pytest.fixture
def saved(small_dataset: Dataset, tmp_path: Path):
    """Write the small scan with other frames or positions as tike does."""

    def save(frames: np.ndarray | None = None, positions: np.ndarray | None = None) -> Path:
        frames = small_dataset.frames if frames is None else frames
        positions = small_dataset.positions if positions is None else positions
        return tike(tmp_path / "scan.npz", frames, positions, small_dataset.probe)

    return save


def left(read: Dataset, small_dataset: Dataset) -> list[int]:
    """Which frames of the small scan are left, whose positions must be theirs."""
    numbers = [int(np.flatnonzero((small_dataset.frames == frame).all(axis=(1, 2)))[0]) for frame in read.frames]
    moved = small_dataset.positions[numbers] - read.positions
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-9)
    return numbers


@pytest.mark.parametrize("factor", [6, 40, 1000])
def test_a_frame_that_is_too_bright_is_left_out_and_sets_no_flux(
    factor: float, saved, small_dataset: Dataset, caplog: pytest.LogCaptureFixture
):
    frames = small_dataset.frames.copy()
    frames[21] *= factor
    read = read_dataset(saved(frames))
    assert left(read, small_dataset) == [n for n in range(64) if n != 21]
    brightest = np.delete(small_dataset.frames, 21, axis=0).sum(axis=(1, 2)).max()
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(brightest, rel=1e-4)
    assert any("frame 21 holds photons far from those" in message for message in caplog.messages)
    kept = read_dataset(saved(frames), IngestSettings(frames=FrameSettings(outliers="keep")))
    assert len(kept.frames) == 64
    assert np.sum(np.abs(kept.probe) ** 2) == pytest.approx(brightest, rel=1e-4)


def test_frames_without_beam_are_left_out(saved, small_dataset: Dataset, caplog: pytest.LogCaptureFixture):
    frames = small_dataset.frames.copy()
    frames[[10, 11, 12, 57]] = 0
    assert left(read_dataset(saved(frames)), small_dataset) == [n for n in range(64) if n not in (10, 11, 12, 57)]
    assert any("frames 10, 11, 12, 57 hold photons far from" in message for message in caplog.messages)


def test_few_photons_and_steep_samples_are_no_outliers():
    random = np.random.default_rng(0)
    positions = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    assert not far_frames(random.poisson(3, 400).astype(float), positions)[0].any()
    # A hole a few steps wide in an absorber that lets a hundredth through.
    distance = np.hypot(*(positions - 9.3).T)
    hole = 1e4 * (0.01 + 1 / (1 + np.exp((distance - 4) / 0.8)))
    assert not far_frames(hole, positions)[0].any()
    hole[40] *= 100
    assert np.flatnonzero(far_frames(hole, positions)[0]).tolist() == [40]


def test_positions_of_which_no_distance_can_be_said_tell_no_neighbours():
    positions = np.zeros((20, 2))
    positions[::2] = 1e300
    positions[3] = -1e300
    assert not far_frames(np.arange(20.0) * 1e3, positions)[0].any()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [([3], [3]), ([-1, "0:4:2"], [0, 2, 63]), (["60:"], [60, 61, 62, 63]), (["-2:", 5], [5, 62, 63])],
)
def test_frames_are_left_out_by_number_and_slice(entries: list, expected: list, saved, small_dataset: Dataset):
    settings = IngestSettings(frames=FrameSettings(leave_out=entries))
    assert left(read_dataset(saved(), settings), small_dataset) == [n for n in range(64) if n not in expected]


def test_frames_are_left_out_by_their_photons(saved, small_dataset: Dataset):
    photons = small_dataset.frames.sum(axis=(1, 2))
    low, high = np.percentile(photons, [20, 80])
    settings = IngestSettings(frames=FrameSettings(photons=(low, high)))
    expected = np.flatnonzero((photons >= low) & (photons <= high)).tolist()
    assert left(read_dataset(saved(), settings), small_dataset) == expected
    with pytest.raises(InputError, match=r"none of 64 frames is left, of .* expected some within frames.photons"):
        read_dataset(saved(), IngestSettings(frames=FrameSettings(photons=(1e9, None))))


@pytest.mark.parametrize(
    ("surplus", "frames", "positions", "expected"),
    [
        ("at_end", slice(None), slice(None, 60), range(60)),
        ("at_start", slice(None), slice(4, None), range(4, 64)),
        ("at_end", slice(None, 60), slice(None), range(60)),
        ("at_start", slice(4, None), slice(None), range(4, 64)),
    ],
)
def test_surplus_at_either_end(
    surplus: str,
    frames: slice,
    positions: slice,
    expected: range,
    saved,
    small_dataset: Dataset,
    caplog: pytest.LogCaptureFixture,
):
    path = saved(small_dataset.frames[frames], small_dataset.positions[positions])
    with pytest.raises(InputError, match=r"expected \(\d+, 2\) .* or the setting frames.surplus, by which the 4 "):
        read_dataset(path)
    caplog.clear()
    read = read_dataset(path, IngestSettings(frames=FrameSettings(surplus=surplus)))
    assert left(read, small_dataset) == list(expected)
    end = "last" if surplus == "at_end" else "first"
    assert any(f"the {end} 4 " in message and "frames.surplus" in message for message in caplog.messages)


def test_a_choice_of_frames_fits_the_positions(saved, small_dataset: Dataset):
    path = saved(positions=np.delete(small_dataset.positions, [7, 20], axis=0))
    read = read_dataset(path, IngestSettings(frames=FrameSettings(leave_out=[7, 20])))
    assert left(read, small_dataset) == [n for n in range(64) if n not in (7, 20)]


def test_numbers_stay_those_of_the_file(saved, small_dataset: Dataset, caplog: pytest.LogCaptureFixture):
    frames = small_dataset.frames.copy()
    frames[30] = 0
    read_dataset(saved(frames), IngestSettings(frames=FrameSettings(leave_out=["0:10"])))
    assert any("frame 30 holds" in record.message for record in caplog.records if record.levelno == logging.WARNING)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"leave_out": ["a:b"]}, "frames.leave_out has a:b"),
        ({"leave_out": ["1:2:0"]}, "frames.leave_out has 1:2:0"),
        ({"leave_out": ["x"]}, "frames.leave_out has x"),
        ({"photons": (5.0, 1.0)}, r"frames.photons is \[5.0, 1.0\]"),
        ({"photons": (5.0,)}, r"frames.photons is \[5.0\]"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        FrameSettings(**settings)


def test_a_number_beyond_the_scan_and_all_frames_are_refused():
    scan = RawScan(np.ones((5, 16, 16)), np.zeros((5, 2)), "pixels")
    with pytest.raises(InputError, match="names frame 5: expected one of 5, counted from 0"):
        paired(scan, FrameSettings(leave_out=[5]), "scan")
    with pytest.raises(InputError, match="leaves out all of 5 frames"):
        paired(scan, FrameSettings(leave_out=["::"]), "scan")


def test_a_number_in_place_of_positions_is_refused(saved):
    with pytest.raises(InputError, match=r"positions has shape \(\): expected \(\d+, 2\)"):
        read_dataset(saved(positions=np.float64(1.0)))
