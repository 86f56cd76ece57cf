"""Tiles cut a scan into pieces: each frame once, small enough, with the neighbours that it overlaps."""

import numpy as np
import pytest

from ptychoflow.loading.tiles import make_tiles

POSITIONS = np.random.default_rng(0).uniform(0, (300, 100), (200, 2))


@pytest.mark.parametrize("most", [1, 7, 64, 200, 1000])
def test_every_frame_is_in_one_tile(most: int):
    tiles = make_tiles(POSITIONS, most, margin=10)
    assert np.array_equal(np.sort(np.concatenate([tile.frames for tile in tiles])), np.arange(200))
    assert max(len(tile.frames) for tile in tiles) <= most
    assert len(tiles) == 1 or most < 200


def test_the_context_is_what_lies_round_a_tile():
    for tile in make_tiles(POSITIONS, 30, margin=12):
        low, high = POSITIONS[tile.frames].min(axis=0) - 12, POSITIONS[tile.frames].max(axis=0) + 12
        inside = ((low <= POSITIONS) & (high >= POSITIONS)).all(axis=1)
        assert set(tile.frames) | set(tile.context) == set(np.flatnonzero(inside))
        assert not set(tile.frames) & set(tile.context)


def test_tiles_are_compact_and_the_same_each_time():
    tiles = make_tiles(POSITIONS, 30, margin=0)
    # Halving the longer side keeps pieces of a 3:1 field from becoming strips.
    assert all(np.ptp(POSITIONS[tile.frames], axis=0).max() < 110 for tile in tiles)
    again = make_tiles(POSITIONS, 30, margin=0)
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(tiles, again, strict=True))
