"""What is said of a scan after its reconstruction, beside its image under the truth."""

from dataclasses import replace

import numpy as np
from blind_scans import right_image

from ptychoflow.blind.doubts import brightness_doubts
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
