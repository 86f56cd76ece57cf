"""Fourier ring correlation against brute force, its thresholds and crossings against hand-worked values."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ptychoflow.errors import InputError
from ptychoflow.metrics.resolution import (
    RingCorrelation,
    inner_square,
    read_correlations,
    ring_correlation,
    write_correlations,
)

SIZE = 64
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def noise(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(SIZE, SIZE)) + 1j * random.normal(size=(SIZE, SIZE))


def test_rings_equal_a_loop_over_all_frequencies():
    first = noise(0)
    second = first + noise(1)
    rings = ring_correlation(first, second, EVERYWHERE)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, SIZE + 1) / (SIZE + 1))
    spectra = [np.fft.fft2((image - image.mean()) * np.outer(window, window)) for image in (first, second)]
    sums = np.zeros((SIZE // 2 + 1, 4))
    for row in range(SIZE):
        for column in range(SIZE):
            ring = round(np.hypot((row + SIZE // 2) % SIZE - SIZE // 2, (column + SIZE // 2) % SIZE - SIZE // 2))
            if ring <= SIZE // 2:
                a, b = spectra[0][row, column], spectra[1][row, column]
                sums[ring] += (a * np.conj(b)).real, abs(a) ** 2, abs(b) ** 2, 1
    cross, one, other, samples = sums[1:].T
    np.testing.assert_allclose(rings.correlation, cross / np.sqrt(one * other))
    np.testing.assert_array_equal(rings.samples, samples)
    np.testing.assert_allclose(rings.frequency, np.arange(1, SIZE // 2 + 1) / (SIZE / 2))


def test_a_factor_keeps_the_correlation_and_a_sign_turns_it():
    image = noise(0)
    np.testing.assert_allclose(ring_correlation(image, 3.5 * image, EVERYWHERE).correlation, 1)
    np.testing.assert_allclose(ring_correlation(image, -image, EVERYWHERE).correlation, -1)


def test_independent_noise_correlates_as_its_samples_allow():
    # The correlation of n independent complex samples has a standard deviation near 1/√(2n); the window smooths some
    # neighbours together, so it is somewhat more here.
    rings = [ring_correlation(noise(2 * k), noise(2 * k + 1), EVERYWHERE) for k in range(20)]
    values = np.stack([ring.correlation for ring in rings])[:, 8:]
    assert abs(values.mean()) < 0.01
    expected = 1 / np.sqrt(2 * rings[0].samples[8:])
    assert 1 < values.std() / np.sqrt(np.mean(expected**2)) < 2


def test_equal_signal_and_noise_correlate_by_one_half():
    pairs = [(noise(3 * k), noise(3 * k + 1), noise(3 * k + 2)) for k in range(10)]
    values = [ring_correlation(s + a, s + b, EVERYWHERE).correlation[8:].mean() for s, a, b in pairs]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_only_the_inside_of_the_area_is_compared():
    area = np.zeros((SIZE, SIZE), bool)
    area[20:50, 14:46] = True
    first = noise(0)
    second = np.where(area, first, noise(1))
    rings = ring_correlation(first, second, area)
    np.testing.assert_allclose(rings.correlation, 1)
    # A square of 30 pixels has room: 15 rings.
    assert len(rings.frequency) == 15


@pytest.mark.parametrize(("name", "value"), [("half", 0.5), ("one_seventh", 1 / 7)])
def test_fixed_thresholds_are_flat(name: str, value: float):
    rings = RingCorrelation(np.array([0.5, 1.0]), np.ones(2), np.array([4, 100]))
    np.testing.assert_allclose(rings.threshold(name), value)


def test_the_half_bit_threshold_worked_out_by_hand():
    rings = RingCorrelation(np.array([0.5, 1.0]), np.ones(2), np.array([4, 100]))
    # (0.2071 + 1.9102/√n) / (1.2071 + 0.9102/√n)
    np.testing.assert_allclose(rings.threshold("half_bit"), [1.1622 / 1.6622, 0.39812 / 1.29812])


@pytest.mark.parametrize(
    ("correlation", "crossing"),
    [
        ([1.0, 0.9, 0.7, 0.6], 1.0),  # never below
        ([1.0, 0.8, 0.4, 0.9], 0.5 + 0.25 * 0.3 / 0.4),  # the first crossing counts
        ([1.0, 0.5, 0.0, 0.0], 0.5),  # exactly on the threshold is not below it
        ([0.2, 0.1, 0.0, 0.0], 0.25),  # never above
    ],
)
def test_crossings_worked_out_by_hand(correlation: list[float], crossing: float):
    rings = RingCorrelation(np.array([0.25, 0.5, 0.75, 1.0]), np.array(correlation), np.full(4, 50))
    assert rings.crossing("half") == pytest.approx(crossing)


def test_a_file_keeps_every_number_of_every_correlation(tmp_path: Path):
    rings = {
        "truth": ring_correlation(noise(0), noise(1), EVERYWHERE),
        "halves": ring_correlation(noise(0)[:20, :20], noise(1)[:20, :20], np.ones((20, 20), bool)),
    }
    write_correlations(tmp_path / "rings.csv", rings)
    read = read_correlations(tmp_path / "rings.csv")
    assert read.keys() == rings.keys()
    for name, correlation in rings.items():
        for part in ("frequency", "correlation", "samples"):
            np.testing.assert_array_equal(getattr(read[name], part), getattr(correlation, part))
    assert (tmp_path / "rings.csv").read_text().splitlines()[0] == "frequency,correlation,samples,with"
    write_correlations(tmp_path / "none.csv", {})
    assert read_correlations(tmp_path / "none.csv") == {}


def test_another_table_is_refused(tmp_path: Path):
    (tmp_path / "old.csv").write_text("frequency,correlation,samples\n0.5,1.0,4\n")
    with pytest.raises(InputError, match=r"old\.csv is no table of correlations"):
        read_correlations(tmp_path / "old.csv")


@pytest.mark.parametrize("seed", range(4))
def test_the_square_is_the_largest_that_lies_inside(seed: int):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(70, 90)), 9)
    area = smooth > np.quantile(smooth, 0.4)
    edges = [
        edge
        for edge in range(16, 70, 2)
        if any(area[r : r + edge, c : c + edge].all() for r in range(71 - edge) for c in range(91 - edge))
    ]
    box = inner_square(area)
    if not edges:
        assert box is None
    else:
        assert area[box].shape == (max(edges), max(edges))
        assert area[box].all()


def test_an_area_whose_middle_lies_outside_is_compared_inside():
    area = np.zeros((SIZE, SIZE), bool)
    area[:20], area[:, :18] = True, True  # an angle: its middle is dark
    first = noise(0)
    rings = ring_correlation(first, np.where(area, first, noise(1)), area)
    np.testing.assert_allclose(rings.correlation, 1)
    assert len(rings.frequency) == 10


@pytest.mark.parametrize("edge", [0, 6, 15])
def test_an_area_without_a_square_of_sixteen_pixels_has_no_rings(edge: int):
    area = np.zeros((SIZE, SIZE), bool)
    area[10 : 10 + edge, 3:60] = True
    assert len(ring_correlation(noise(0), noise(1), area).frequency) == 0
    assert len(ring_correlation(noise(0)[:12, :12], noise(1)[:12, :12], np.ones((12, 12), bool)).frequency) == 0
