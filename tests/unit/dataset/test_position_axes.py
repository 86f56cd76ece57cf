"""Positions that run another way."""

import numpy as np

from ptychoflow.dataset.position_axes import ORIENTATIONS, turned, twin_of


def test_the_eight_orientations_are_all_different_and_each_is_undone_by_one():
    positions = np.random.default_rng(0).uniform(20, 60, (30, 2))
    centred = positions - (positions.min(axis=0) + positions.max(axis=0)) / 2
    ways = [turned(centred, number) for number in range(8)]
    np.testing.assert_allclose(ways[0], centred, atol=1e-12)
    assert next(iter(ORIENTATIONS)) == "as they are"
    for number, one in enumerate(ways):
        assert all(np.abs(one - other).max() > 1 for other in ways[:number])
        assert any(np.allclose(turned(one, back), centred) for back in range(8))


def test_twins_are_half_a_circle_apart():
    offsets = np.array([[-3.0, -5.0], [3.0, 5.0], [1.0, 2.0]])
    for number in range(8):
        np.testing.assert_allclose(turned(offsets, twin_of(number)), -turned(offsets, number))


def test_the_names_say_what_is_done():
    offsets = np.array([[-3.0, -5.0], [3.0, 5.0], [1.0, 2.0]])
    found = {name: turned(offsets, number)[2].tolist() for number, name in enumerate(ORIENTATIONS)}
    assert found == {
        "as they are": [1, 2],
        "their columns negated": [1, -2],
        "their rows negated": [-1, 2],
        "rows and columns both negated": [-1, -2],
        "rows and columns exchanged": [2, 1],
        "exchanged, then columns negated": [2, -1],
        "exchanged, then rows negated": [-2, 1],
        "exchanged, then both negated": [-2, -1],
    }
