"""Frames that were exchanged, as an image that the others made shows them elsewhere."""

import dataclasses

import numpy as np
import pytest
from blind_scans import right_image

from ptychoflow.blind.misplaced import misplaced_doubts, misplaced_frames
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction

EXCHANGED = [3, 17, 30, 44, 58]


@pytest.fixture
def right(small_dataset: Dataset) -> Reconstruction:
    """The truth itself."""
    return right_image(small_dataset)


def exchanged(dataset: Dataset) -> Dataset:
    """Frames of which each of some stands where another was taken."""
    frames = dataset.frames.copy()
    frames[EXCHANGED] = frames[np.roll(EXCHANGED, 1)]
    return dataclasses.replace(dataset, frames=frames)


def test_frames_that_were_exchanged_are_named_and_no_others(right: Reconstruction, small_dataset: Dataset):
    assert misplaced_doubts(right, small_dataset) == []
    assert misplaced_frames(right, exchanged(small_dataset)).tolist() == EXCHANGED
    (sentence,) = misplaced_doubts(right, exchanged(small_dataset))
    assert sentence.startswith("5 of 64 frames (3, 17, 30, 44, 58) are explained much better")


def test_a_wrong_image_alone_is_no_reason(right: Reconstruction, small_dataset: Dataset):
    """Frames that are explained badly where they stand are explained worse elsewhere."""
    random = np.random.default_rng(6)
    wrong = right.object * np.exp(0.3j * random.normal(size=right.object.shape)).astype(np.complex64)
    assert misplaced_frames(dataclasses.replace(right, object=wrong), small_dataset).tolist() == []
    probe = right.probe + 0.2 * np.abs(right.probe).max() * (np.abs(right.probe) > 0)
    assert misplaced_frames(dataclasses.replace(right, probe=probe), small_dataset).tolist() == []


def test_frames_of_a_light_of_their_own_are_compared_under_it(right: Reconstruction, small_dataset: Dataset):
    light = np.random.default_rng(7).uniform(0.6, 1.6, 64).astype(np.float32)
    lit = dataclasses.replace(small_dataset, frames=small_dataset.frames * light[:, None, None])
    solved = dataclasses.replace(right, brightness=light)
    assert misplaced_frames(solved, lit).tolist() == []
    light[EXCHANGED] = light[np.roll(EXCHANGED, 1)]
    assert misplaced_frames(solved, exchanged(lit)).tolist() == EXCHANGED


def test_one_frame_is_not_enough(right: Reconstruction, small_dataset: Dataset):
    frames = small_dataset.frames.copy()
    frames[30] = frames[3]
    once = dataclasses.replace(small_dataset, frames=frames)
    assert misplaced_frames(right, once).tolist() == [30]
    assert misplaced_doubts(right, once) == []
