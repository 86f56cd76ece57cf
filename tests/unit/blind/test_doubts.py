"""What is said of a scan after its reconstruction, beside its image under the truth."""

from dataclasses import replace

import numpy as np
from blind_scans import right_image

from ptychoflow.blind.doubts import brightness_doubts, scan_doubts
from ptychoflow.dataset.dataset import Dataset


def test_light_that_changes_from_frame_to_frame_is_named_with_how_much(small_dataset: Dataset):
    right = right_image(small_dataset)
    assert brightness_doubts(right, small_dataset) == []
    factors = 1 + 0.2 * np.random.default_rng(2).choice([-1, 1], len(small_dataset.frames))
    flicker = replace(small_dataset, frames=(small_dataset.frames * factors[:, None, None]).astype(np.float32))
    (sentence,) = brightness_doubts(right, flicker)
    assert "by 20% (rms)" in sentence
    assert "solve_brightness: true" in sentence
    # Solved for, it is said no more; and an object that is wrong is no light that changes.
    assert brightness_doubts(replace(right, brightness=factors.astype(np.float32)), flicker) == []
    wrong = replace(right, object=np.roll(small_dataset.truth, 5, axis=0))
    assert brightness_doubts(wrong, small_dataset) == []


def test_a_scan_that_reaches_less_far_than_its_light_is_named(small_dataset: Dataset):
    right = right_image(small_dataset)
    assert scan_doubts(right, small_dataset) == []
    middle = right.positions.mean(axis=0)
    narrow = replace(right, positions=middle + 0.1 * (right.positions - middle))
    (sentence,) = scan_doubts(narrow, small_dataset)
    assert sentence.startswith("the positions reach over ")
    line = replace(right, positions=np.stack([right.positions[:, 0], np.full(len(right.positions), 20.0)], axis=1))
    assert any(" by 0.0 pixels" in sentence for sentence in scan_doubts(line, small_dataset))
    # The light of a near field fills its frame: what it shows of the object changes by steps that are far smaller.
    assert scan_doubts(narrow, replace(small_dataset, propagation="near")) == []
