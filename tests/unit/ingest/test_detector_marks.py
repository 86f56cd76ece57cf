"""Marks are told from counts by what they do, whatever their type; noise about zero is none, nor is a lost frame."""

import numpy as np
import pytest

from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.preparation import DetectorPreparation, surveyed
from ptychoflow.ingest.detector.survey import Survey
from ptychoflow.settings.detector import DetectorSettings

ROWS = slice(5, 7)
"""Where a gap runs through the detector."""


def counts(frames: int = 40, mean: float = 30.0, seed: int = 0) -> np.ndarray:
    """Poisson counts (frames, 24, 24) under a round beam."""
    axis = np.arange(24) - 12
    beam = mean * np.exp(-(axis[:, None] ** 2 + axis**2) / 60)
    return np.random.default_rng(seed).poisson(beam, (frames, 24, 24))


def seen(frames: np.ndarray, **settings: object) -> Survey:
    return surveyed(frames, None, None, DetectorSettings(**settings), "intensity")


def gap() -> np.ndarray:
    marked = np.zeros((24, 24), bool)
    marked[ROWS] = True
    return marked


@pytest.mark.parametrize(
    ("dtype", "mark"),
    [
        (np.uint32, 2**16 - 1),
        (np.int32, 2**16 - 1),
        (np.int64, 2**20 - 1),
        (np.float32, 2**32 - 1),
        (np.float64, 2**31 - 1),
        (np.uint16, 2**12 - 1),
        (np.uint16, 2**16 - 1),
        (np.float32, 1e9),
        (np.float32, np.nan),
        (np.float64, np.inf),
        (np.int16, -1),
        (np.float32, -2),
        (np.float64, -999.5),
        (">u2", 2**16 - 1),
    ],
)
@pytest.mark.parametrize("frames", [5, 40])
def test_a_number_that_stays_in_the_same_pixels_is_a_mark(dtype: type, mark: float, frames: int):
    raw = counts(frames).astype(dtype)
    raw[:, ROWS] = mark
    found = seen(raw)
    np.testing.assert_array_equal(found.gap, gap())
    np.testing.assert_allclose(found.photons, counts(frames)[:, ~gap()].sum(axis=1))
    # A gap of a twelfth is more than a few per cent, and a mark by no convention is always told.
    assert len(found.notes) == 1


@pytest.mark.parametrize("mean", [0.3, 3, 300])
@pytest.mark.parametrize("frames", [1, 2, 3, 9, 100])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_counts_are_no_marks(mean: float, frames: int, dtype: type):
    found = seen(counts(frames, mean).astype(dtype))
    assert not found.gap.any()
    assert not found.lost.any()
    assert not found.notes.size


def test_frames_that_are_all_alike_hold_no_mark():
    assert not seen(np.repeat(counts(1), 20, axis=0)).gap.any()


@pytest.mark.parametrize("frames", [1, 6, 60])
@pytest.mark.parametrize("spread", [0.4, 2.0, 30.0])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_noise_below_zero_is_set_to_zero_and_told(frames: int, spread: float, dtype: type):
    noisy = counts(frames) + np.random.default_rng(1).normal(0, spread, (frames, 24, 24))
    raw = (np.round(noisy) if dtype == np.int32 else noisy).astype(dtype)
    preparation = DetectorPreparation.of(raw, None, None, DetectorSettings())
    assert preparation.mask.mean() > (0.98 if spread > 1 else 0.9)
    np.testing.assert_allclose(preparation.frames(raw), np.where(preparation.mask, np.maximum(raw, 0), 0), rtol=1e-6)
    if spread > 1:
        assert "taken for noise and set to zero (detector.threshold" in seen(raw).notes[-1]
    assert not seen(raw, threshold=5.0, gaps=[]).notes.size


def test_a_pedestal_shifts_noise():
    noisy = counts(10) + np.random.default_rng(1).normal(-50, 2, (10, 24, 24))
    preparation = DetectorPreparation.of(noisy, None, None, DetectorSettings(pedestal=-60.0))
    np.testing.assert_allclose(preparation.frames(noisy), noisy + 60, rtol=1e-5)
    assert preparation.mask.all()


def test_marks_stay_marks_among_noise():
    raw = np.round(counts(60) + np.random.default_rng(1).normal(0, 3, (60, 24, 24))).astype(np.int32)
    raw[:, ROWS] = -1
    np.testing.assert_array_equal(seen(raw).gap, gap())


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.uint16, 65535), (np.int32, -1), (np.float32, np.nan), (np.uint32, 40000), (np.float32, 1e7)],
)
def test_a_lost_frame_masks_nothing(dtype: type, value: float):
    raw = counts().astype(dtype)
    raw[17] = value
    raw[17, 3, 4] = 1
    found = seen(raw, find_dead=True)
    assert not found.gap.any()
    assert np.flatnonzero(found.lost).tolist() == [17]
    np.testing.assert_array_equal(found.sums, np.delete(counts(), 17, axis=0).sum(axis=0))


def test_a_frame_far_too_bright_tells_nothing_of_the_detector():
    raw = counts().astype(np.float64)
    raw[11] = raw[11] * 300
    found = seen(raw, find_dead=True, saturation=500.0)
    assert not found.counted[11]
    assert found.largest.max() < 500
    assert DetectorPreparation.of(raw, None, None, DetectorSettings(saturation=500.0)).mask.all()


def test_a_pixel_that_is_marked_once_is_bad_always():
    raw = counts().astype(np.int32)
    raw[:, ROWS], raw[9, 12, 12] = -2, -2
    marked = gap()
    marked[12, 12] = True
    np.testing.assert_array_equal(seen(raw).gap, marked)


def test_nan_that_is_no_mark_by_the_settings_is_refused():
    raw = counts().astype(np.float32)
    raw[3, 4, 5] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinite values on 1 pixels: expected none, or \.nan in detector\.g"):
        seen(raw, gaps=[-1.0])
    assert seen(raw, gaps=[float("nan")]).gap.sum() == seen(raw).gap.sum() == 1


def test_named_marks_are_the_only_ones():
    raw = counts().astype(np.uint16)
    raw[:, ROWS], raw[:, 9] = 65535, 4095
    assert not seen(raw, gaps=[]).gap.any()
    np.testing.assert_array_equal(np.flatnonzero(seen(raw, gaps=[4095.0]).gap.all(axis=1)), [9])


def test_a_survey_survives_its_way_between_processes():
    raw = counts().astype(np.int16)
    raw[:, ROWS] = -1
    there = seen(raw, find_dead=True)
    back = Survey.unpacked(there.packed())
    for name, value in vars(there).items():
        np.testing.assert_array_equal(getattr(back, name), value)
