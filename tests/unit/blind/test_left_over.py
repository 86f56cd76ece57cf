"""What an image leaves of its frames, noise apart: next to nothing of the truth, more of what is wrong."""

import dataclasses

import numpy as np
import pytest
from blind_scans import right_image

from ptychoflow.blind.left_over import left_over, left_over_doubts
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction


@pytest.fixture
def right(small_dataset: Dataset) -> Reconstruction:
    """The truth itself, with five frames held out."""
    return dataclasses.replace(right_image(small_dataset), held_out=np.arange(64) % 13 == 5)


def said(image: Reconstruction, dataset: Dataset) -> list[str]:
    return left_over_doubts(left_over(image, dataset), image, dataset)


def test_the_truth_leaves_what_chance_makes(right: Reconstruction, small_dataset: Dataset):
    share, doubt, left = left_over(right, small_dataset)
    assert abs(share) < 4 * doubt + 0.01
    assert abs(left) < 0.1
    assert said(right, small_dataset) == []


def test_what_positions_spoil_is_said(right: Reconstruction, small_dataset: Dataset):
    drifted = right.positions + np.linspace(-1, 1, 64)[:, None] * [2.0, -1.5]
    (sentence,) = said(dataclasses.replace(right, positions=drifted), small_dataset)
    assert "unexplained, noise apart" in sentence


def test_an_image_that_is_wrong_leaves_more(right: Reconstruction, small_dataset: Dataset):
    random = np.random.default_rng(8)
    wrong = right.object * np.exp(0.05j * random.normal(size=right.object.shape)).astype(np.complex64)
    assert left_over(dataclasses.replace(right, object=wrong), small_dataset)[0] > left_over(right, small_dataset)[0]


def test_frames_that_hardly_differ_are_not_held_against_an_image(right: Reconstruction, small_dataset: Dataset):
    alike = np.random.default_rng(9).poisson(np.full(small_dataset.frames.shape, 20.0)).astype(np.float32)
    uniform = dataclasses.replace(small_dataset, frames=alike)
    assert left_over(right, uniform) is None
    assert said(right, uniform) == []
    whole = dataclasses.replace(right, held_out=np.zeros(64, bool))
    assert left_over(whole, small_dataset) is None
