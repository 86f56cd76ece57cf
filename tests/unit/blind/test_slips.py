"""A stage that slipped, as the positions show it that frames would rather have."""

import dataclasses

import numpy as np
import pytest
from blind_scans import right_image

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.slips import residual_steps, slip, slip_doubts, tried_slip, worst_places
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction


@pytest.fixture
def right(small_dataset: Dataset) -> Reconstruction:
    """The truth itself."""
    return right_image(small_dataset)


def test_steps_lead_back_to_where_frames_were_taken(right: Reconstruction, small_dataset: Dataset):
    moved = np.random.default_rng(3).normal(0, 0.2, (64, 2))
    steps, squares = residual_steps(dataclasses.replace(right, positions=right.positions + moved), small_dataset)
    # They are damped where a frame shows little.
    assert np.sqrt(np.mean((steps + moved) ** 2)) < 0.7 * 0.2
    assert np.corrcoef(steps.ravel(), moved.ravel())[0, 1] < -0.85
    brighter = dataclasses.replace(small_dataset, frames=2 * small_dataset.frames)
    twice = dataclasses.replace(right, positions=right.positions + moved, brightness=np.full(64, 2, np.float32))
    np.testing.assert_allclose(residual_steps(twice, brighter)[0], steps, atol=1e-2)
    assert (squares > residual_steps(right, small_dataset)[1]).mean() > 0.9


def test_the_frame_is_named_from_which_on_all_lie_elsewhere(right: Reconstruction, small_dataset: Dataset):
    assert slip_doubts(load_blind()[0], right, small_dataset) == []
    slipped = right.positions + (np.arange(64) >= 40)[:, None] * [0.5, -0.4]
    (sentence,) = slip_doubts(load_blind()[0], dataclasses.replace(right, positions=slipped), small_dataset)
    frame = int(sentence.split("about frame ")[1].split(":")[0])
    assert abs(frame - 40) <= 2
    few = dataclasses.replace(right, positions=slipped[:20])
    assert slip_doubts(load_blind()[0], few, small_dataset) == []


def test_steps_that_scatter_are_no_slip():
    random = np.random.default_rng(4)
    found = [slip(random.normal(0, 0.15, (144, 2))) for _ in range(50)]
    assert found == [None] * 50
    # Photons that do not tell where a frame lies tell of no slip either.
    assert slip(random.normal(0, 2.0, (144, 2)) + (np.arange(144) > 70)[:, None] * 3.0) is None
    frame, apart = slip(random.normal(0, 0.1, (144, 2)) + (np.arange(144) >= 70)[:, None] * [0.3, 0.4])
    assert abs(frame - 70) <= 2
    assert apart == pytest.approx(0.5, abs=0.1)


def test_a_small_change_is_a_slip_where_it_is_beyond_doubt():
    steps = np.random.default_rng(5).normal(0, 0.03, (144, 2))
    assert slip(steps) is None
    frame, apart = slip(steps + (np.arange(144) >= 60)[:, None] * [0.12, 0.0])
    assert abs(frame - 60) <= 2
    assert apart == pytest.approx(0.12, abs=0.02)


def test_frames_that_scatter_tell_of_a_slip_where_it_is_beyond_doubt():
    scatter = np.random.default_rng(9).normal(0, 0.25, (144, 2))
    later = (np.arange(144) >= 60)[:, None]
    assert slip(scatter + later * [0.3, 0.0]) is None
    frame, apart = slip(scatter + later * [0.9, 0.0])
    assert abs(frame - 60) <= 2
    assert apart == pytest.approx(0.9, abs=0.2)


def test_a_slip_is_tried_out_where_much_is_left_unexplained(
    right: Reconstruction, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    network = load_blind()[0]
    assert slip_doubts(network, right, small_dataset, much_left=True) == []
    tried = []

    def better(*arguments: object, seed: int = 0) -> tuple[np.ndarray, float]:
        tried.append(seed)
        return np.array([2.0, 1.5]), 0.94

    monkeypatch.setattr("ptychoflow.blind.slips.tried_slip", better)
    assert slip_doubts(network, right, small_dataset) == []
    assert not tried
    (sentence,) = slip_doubts(network, right, small_dataset, much_left=True)
    assert "pixels away, 6% of the misfit near it would go" in sentence
    assert tried == [0, 1]


def test_a_change_needs_less_certainty_where_frames_are_explained_worse_too():
    # As of a stage that slipped by five pixels under a photograph: 0.22 pixels with 4.5 standard errors, 1.29 times.
    steps = np.random.default_rng(18).normal(0, 0.15, (144, 2)) + (np.arange(144) >= 60)[:, None] * [0.18, 0.0]
    assert slip(steps) is None
    assert slip(steps, worse=1.15) is None
    frame, apart = slip(steps, worse=1.25)
    assert abs(frame - 60) <= 6
    assert apart > 0.17


def test_frames_that_are_explained_worst_are_found_within_the_scan():
    squares = np.random.default_rng(6).normal(1, 0.02, 144)
    assert worst_places(squares)[1] < 1.05
    squares[55:79] += 1.0
    (best, *middle), worse = worst_places(squares)
    assert all(abs(place - 67) <= 7 for place in (best, *middle))
    assert abs(middle[-1] - 67) <= 1
    assert worse == pytest.approx(2, abs=0.05)
    # The first line is left alone: what slips there leaves an image as it is.
    edge = np.ones(144)
    edge[:3] = 9
    assert worst_places(edge)[1] == pytest.approx(1)
    assert worst_places(np.zeros(32))[1] == 0


def test_frames_that_few_others_explain_are_said_to_be_worse(right: Reconstruction, small_dataset: Dataset):
    frames = small_dataset.frames.copy()
    frames[28:36] *= np.random.default_rng(7).uniform(0.85, 1.15, (8, 32, 32)).astype(np.float32)
    (sentence,) = slip_doubts(load_blind()[0], right, dataclasses.replace(small_dataset, frames=frames))
    assert "times as badly as the others" in sentence
    assert abs(int(sentence.split("number ")[1].split()[0]) - 32) <= 5


def test_a_slip_is_found_from_an_empty_object_on(right: Reconstruction, small_dataset: Dataset):
    away, rest = tried_slip(load_blind()[0], right, small_dataset, 32)
    assert (away == 0).all()
    assert rest == 1
    slipped = right.positions + (np.arange(64) >= 32)[:, None] * [4.0, -3.0]
    moved = dataclasses.replace(right, positions=slipped, background=2.0, brightness=np.full(64, 2.0, np.float32))
    lit = dataclasses.replace(small_dataset, frames=2 * small_dataset.frames + 2)
    away, rest = tried_slip(load_blind()[0], moved, lit, 32)
    np.testing.assert_allclose(away, [-4, 3], atol=1.5)
    assert rest < 0.8
