"""Positions are read as they stand wherever that fits, turned over where only that fits, and rasters are crossed."""

import numpy as np
import pytest

from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.coordinates import paired_axes, places


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize(("width", "widths"), [(2, (2,)), (3, (3, 2)), (2, (3, 2))])
def test_an_array_is_turned_over_only_where_it_does_not_fit(count: int, width: int, widths: tuple[int, ...]):
    value = np.random.default_rng(0).random((count, width))
    np.testing.assert_array_equal(places(value, count, "key", widths), value)
    if count not in widths:
        np.testing.assert_array_equal(places(value.T, count, "key", widths), value)


@pytest.mark.parametrize("surplus", [-3, 2])
def test_surplus_positions_stay_as_they_stand(surplus: int):
    value = np.random.default_rng(0).random((10 + surplus, 3))
    np.testing.assert_array_equal(places(value, 10, "key", (3, 2)), value)


def test_rasters_are_laid_out_row_by_row():
    rows, columns = np.meshgrid(np.arange(4.0), np.arange(5.0) * 2, indexing="ij")
    expected = np.stack([rows.ravel(), columns.ravel()], axis=1)
    np.testing.assert_array_equal(places(np.stack([rows, columns], axis=-1), 20, "key"), expected)
    np.testing.assert_array_equal(places(np.stack([rows, columns]), 20, "key"), expected)
    np.testing.assert_array_equal(paired_axes(rows, columns, 20), expected)


@pytest.mark.parametrize(("height", "width"), [(4, 5), (3, 3), (2, 2), (6, 1)])
def test_axes_of_a_raster_are_crossed(height: int, width: int, caplog: pytest.LogCaptureFixture):
    rows, columns = np.arange(height) * 1.5, np.arange(width) + 7.0
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    found = paired_axes(rows, columns, height * width, (height, width))
    np.testing.assert_array_equal(found, grid.reshape(-1, 2))
    assert not caplog.messages
    if height != width:
        found = paired_axes(rows, columns, height * width, (width, height))
        np.testing.assert_array_equal(found, grid.swapaxes(0, 1).reshape(-1, 2))
    np.testing.assert_array_equal(paired_axes(rows, columns, height * width), grid.reshape(-1, 2))
    assert "columns are taken to run fastest" in caplog.text


@pytest.mark.parametrize("shape", [(5,), (5, 4), (4, 4, 4), ()])
def test_what_holds_no_coordinates_is_refused(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"key has shape .*: expected \(9, 2\) beside 9 frames"):
        places(np.zeros(shape), 9, "key")


def test_axes_that_cross_to_another_number_are_refused():
    with pytest.raises(InputError, match="are 4 rows and 5 columns: expected as many of each, 19 beside 19 frames, or"):
        paired_axes(np.zeros(4), np.zeros(5), 19)
