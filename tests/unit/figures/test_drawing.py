"""Scale bars, scales and unwrapped phases of figures."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.figures.drawing import bar_of, extent_of, phase_scale, show_map, show_phase
from ptychoflow.figures.result import dataset_figure, probe_figure, reconstruction_figure, scan_figure
from ptychoflow.figures.unwrapping import residues, unwrapped
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.stitching import coverage_of

EVERYWHERE = np.ones((40, 50), bool)


@pytest.fixture
def vortices() -> np.ndarray:
    """Phase of a wave with a zero of one turn and one of the opposite turn."""
    rows, columns = np.mgrid[:40, :50]
    one, other = (columns - 10.5) + 1j * (rows - 20.5), (columns - 38.5) - 1j * (rows - 12.5)
    return np.angle(one * other)


@pytest.mark.parametrize(
    ("width", "expected"),
    [(8.0, (2.0, "2 µm")), (7.9, (1.0, "1 µm")), (1.0, (0.2, "200 nm")), (0.03, (0.005, "5 nm")), (4e3, (1e3, "1 mm"))],
)
def test_a_bar_has_a_round_length_of_at_most_a_quarter(width: float, expected: tuple[float, str]):
    length, label = bar_of(width)
    assert (pytest.approx(length), label) == expected


def test_pixels_lie_where_their_numbers_say():
    assert extent_of((20, 30), 1e-7, (5, 2)) == pytest.approx((0.2, 3.2, 2.5, 0.5))


def test_a_ramp_of_many_turns_is_unwrapped_but_for_whole_ones():
    rows, columns = np.mgrid[:40, :50]
    ramp = 0.9 * columns - 0.7 * rows
    found = unwrapped(np.angle(np.exp(1j * ramp)), EVERYWHERE)
    turns = (found - ramp) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns[0, 0]), atol=1e-9)
    assert abs(found.mean()) <= np.pi


def test_outside_the_area_nothing_is_said():
    area = EVERYWHERE.copy()
    area[:, 30:] = False
    found = unwrapped(np.zeros((40, 50)), area)
    assert np.isnan(found[:, 30:]).all()
    assert (found[:, :30] == 0).all()


def test_zeros_of_a_wave_are_its_residues(vortices: np.ndarray):
    found = residues(vortices, EVERYWHERE)
    assert found[20, 10] == 1
    assert found[12, 38] == -1
    assert np.abs(found).sum() == 2
    area = EVERYWHERE.copy()
    area[20, 11] = False
    assert residues(vortices, area).sum() == -1
    assert not residues(np.tile(np.linspace(-3, 3, 50), (40, 1)), EVERYWHERE).any()


def test_phases_that_go_round_have_cyclic_colours_and_the_whole_circle():
    assert phase_scale(np.linspace(-np.pi, np.pi, 1000)) == ((-np.pi, np.pi), "twilight_shifted")
    ends, colours = phase_scale(np.linspace(-1, 1, 1001))
    assert colours == "gray"
    assert ends == pytest.approx((-0.99, 0.99), abs=0.01)


def test_residues_are_marked_where_they_are(vortices: np.ndarray):
    figure, axis = plt.subplots()
    show_phase(axis, vortices, EVERYWHERE, extent_of((40, 50), 1e-6), "phase", unwrap=True)
    (one, other) = axis.lines
    assert (one.get_xdata()[0], one.get_ydata()[0]) == pytest.approx((11, 21))
    assert (other.get_xdata()[0], other.get_ydata()[0]) == pytest.approx((39, 13))
    plt.close(figure)


def test_two_unwrapped_phases_are_whole_turns_apart_no_longer():
    phase = np.full((40, 50), np.pi - 0.01)
    figure, axis = plt.subplots()
    show_phase(axis, phase, EVERYWHERE, (0, 5, 4, 0), "phase", unwrap=True, like=phase + 0.02 - 2 * np.pi)
    shown = axis.images[0].get_array()
    assert shown.mean() == pytest.approx(-np.pi - 0.01)
    plt.close(figure)


def test_every_picture_of_object_and_probe_has_a_bar_and_units(small_dataset: Dataset):
    shape = small_dataset.object_shape
    made = Reconstruction(
        object=small_dataset.truth,
        coverage=coverage_of(small_dataset.probe, small_dataset.positions, shape),
        halves=np.full((2, *shape), np.nan, np.complex64),
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.zeros(64, bool),
        pixel_size=1e-8,
    )
    untold = dataclasses.replace(small_dataset, truth=None)
    figures = [reconstruction_figure(made, small_dataset), reconstruction_figure(made, untold, unwrap=True)]
    figures += [probe_figure(made), scan_figure(made)]
    for figure in figures:
        pictures = [axis for axis in figure.axes if axis.images and axis.get_xlabel()]
        assert len(pictures) == sum(axis.get_label() != "<colorbar>" for axis in figure.axes)
        for axis in pictures:
            assert (axis.get_xlabel(), axis.get_ylabel()) == ("x [µm]", "y [µm]")
            assert [artist for artist in axis.artists if "SizeBar" in type(artist).__name__]
        plt.close(figure)
    phase = [axis for axis in figures[0].axes if "phase" in axis.get_title()]
    assert len(phase) == 3
    assert sum(axis.get_ylabel() == "rad" for axis in figures[0].axes) == 3
    whole = dataset_figure(small_dataset)
    assert all(axis.get_xlabel() for axis in whole.axes if axis.get_label() != "<colorbar>")
    plt.close(whole)


def test_a_map_of_one_value_can_be_drawn():
    figure, axis = plt.subplots()
    show_map(axis, np.ones((4, 4)), (0, 1, 1, 0), "flat", "gray", (1.0, 1.0))
    assert axis.images[0].get_clim()[1] > 1
    plt.close(figure)
