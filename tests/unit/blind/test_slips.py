"""A stage that slipped, as the positions show it that frames would rather have."""

import dataclasses

import numpy as np
import pytest

from ptychoflow.blind.slips import residual_steps, slip, slip_doubts
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction


@pytest.fixture
def right(small_dataset: Dataset) -> Reconstruction:
    """The truth itself."""
    return Reconstruction(
        object=small_dataset.truth,
        coverage=np.ones(small_dataset.object_shape, np.float32),
        halves=np.stack([small_dataset.truth] * 2),
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.zeros(64, bool),
        pixel_size=1e-8,
    )


def test_steps_lead_back_to_where_frames_were_taken(right: Reconstruction, small_dataset: Dataset):
    moved = np.random.default_rng(3).normal(0, 0.2, (64, 2))
    steps = residual_steps(dataclasses.replace(right, positions=right.positions + moved), small_dataset)
    # They are damped where a frame shows little.
    assert np.sqrt(np.mean((steps + moved) ** 2)) < 0.7 * 0.2
    assert np.corrcoef(steps.ravel(), moved.ravel())[0, 1] < -0.85
    brighter = dataclasses.replace(small_dataset, frames=2 * small_dataset.frames)
    twice = dataclasses.replace(right, positions=right.positions + moved, brightness=np.full(64, 2, np.float32))
    np.testing.assert_allclose(residual_steps(twice, brighter), steps, atol=1e-2)


def test_the_frame_is_named_from_which_on_all_lie_elsewhere(right: Reconstruction, small_dataset: Dataset):
    assert slip_doubts(right, small_dataset) == []
    slipped = right.positions + (np.arange(64) >= 40)[:, None] * [0.5, -0.4]
    (sentence,) = slip_doubts(dataclasses.replace(right, positions=slipped), small_dataset)
    frame = int(sentence.split("about frame ")[1].split(":")[0])
    assert abs(frame - 40) <= 2
    few = dataclasses.replace(right, positions=slipped[:20])
    assert slip_doubts(few, small_dataset) == []


def test_steps_that_scatter_are_no_slip():
    random = np.random.default_rng(4)
    found = [slip(random.normal(0, 0.15, (144, 2))) for _ in range(50)]
    assert found == [None] * 50
    # Photons that do not tell where a frame lies tell of no slip either.
    assert slip(random.normal(0, 2.0, (144, 2)) + (np.arange(144) > 70)[:, None] * 3.0) is None
    frame, apart = slip(random.normal(0, 0.1, (144, 2)) + (np.arange(144) >= 70)[:, None] * [0.3, 0.4])
    assert abs(frame - 70) <= 2
    assert apart == pytest.approx(0.5, abs=0.1)
