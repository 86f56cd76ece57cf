"""The lattice of a scan is found from its positions, and its share of an image from closed forms."""

import numpy as np
import pytest
from scipy import ndimage

from ptychoflow.metrics.lattice import harmonics, lattice_shares, lattice_vectors, variance_share, windowed
from ptychoflow.settings.simulation import ObjectSettings, ScanSettings
from ptychoflow.simulation.objects import make_object
from ptychoflow.simulation.scans import make_scan

SIZE = 140
EVERYWHERE = np.ones((SIZE, SIZE), bool)
GRID = np.stack(np.meshgrid(np.arange(18), np.arange(22), indexing="ij"), axis=-1).reshape(-1, 2)
RASTER = 6.0 * GRID + 10


def same_lattice(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two bases span the same lattice: each is a combination of the other by whole numbers."""
    steps = found @ np.linalg.inv(expected)
    return np.abs(steps - np.rint(steps)).max() < 0.02 and round(abs(np.linalg.det(steps))) == 1


@pytest.mark.parametrize(
    "basis",
    [
        [[6.0, 0.0], [0.0, 6.0]],
        [[5.0, 0.0], [0.0, 9.0]],
        [[3.0, 0.0], [0.0, 14.0]],
        [[6.0, 0.0], [3.0, 5.196]],
        [[4.9, 1.3], [-1.3, 4.9]],
    ],
)
def test_the_reciprocal_lattice_is_that_of_the_positions(basis: list):
    positions = GRID @ np.array(basis) + np.random.default_rng(0).normal(0, 0.2, GRID.shape)
    found = lattice_vectors(positions)
    assert same_lattice(found, np.linalg.inv(np.array(basis)).T)
    np.testing.assert_allclose(lattice_vectors(positions + 1000), found, atol=1e-4)


@pytest.mark.parametrize(("kind", "jitter"), [("raster", 0.3), ("fermat", 0.0), ("random", 0.0)])
@pytest.mark.parametrize("frames", [64, 400, 2500])
def test_irregular_scans_have_no_lattice(kind: str, jitter: float, frames: int):
    for seed in range(5):
        scan = make_scan(ScanSettings(kind=kind, frames=frames, jitter=jitter), np.random.default_rng(seed))
        assert lattice_vectors(scan) is None


@pytest.mark.parametrize(
    "positions",
    [
        np.zeros((0, 2)),
        np.ones((50, 2)),
        np.stack([np.arange(50.0), np.zeros(50)], axis=1),
        np.repeat(RASTER[:40:13], 20, axis=0),
    ],
)
def test_a_line_or_a_point_is_no_lattice(positions: np.ndarray):
    shares = lattice_shares(np.ones((SIZE, SIZE), complex), EVERYWHERE, positions)
    assert shares == {"lattice_share": None, "amplitude_lattice_share": None}


def test_the_eight_harmonics_of_a_square_lattice_are_its_neighbours():
    found = harmonics(np.array([[0.0, 0.125], [0.125, 0.0]])) * 8
    expected = {(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)} - {(0, 0)}
    assert {tuple(vector) for vector in found.round(9)} == expected


@pytest.mark.parametrize("period", [5.7, 6.0, 11.3])
@pytest.mark.parametrize("strength", [0.1, 0.5, 2.0])
def test_the_share_of_waves_in_noise_is_that_of_their_variances(period: float, strength: float):
    rows, columns = np.indices((128, 128))
    vectors = harmonics(np.eye(2) / period)
    shares = []
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(size=rows.shape)
        waves = np.cos(2 * np.pi * rows / period + seed) + np.sin(2 * np.pi * (rows + columns) / period)
        shares.append(variance_share(windowed(noise + strength * waves + 3 + 0.05 * rows), vectors))
    # Each wave has half the square of its amplitude as variance.
    assert np.mean(shares) == pytest.approx(strength**2 / (strength**2 + 1), rel=0.1, abs=0.005)


def test_a_share_cannot_be_told_from_a_few_periods_or_a_flat_image():
    small, large = (windowed(np.random.default_rng(0).normal(size=(size, size))) for size in (40, 128))
    assert variance_share(small, harmonics(np.eye(2) / 10)) is None
    assert variance_share(windowed(np.ones((128, 128))), harmonics(np.eye(2) / 8)) is None
    assert variance_share(large, harmonics(np.eye(2) / 1.5)) is None


def test_objects_without_the_lattice_have_next_to_nothing_of_it():
    random = np.random.default_rng(1)
    for settings in (ObjectSettings(), ObjectSettings(kind="image", absorption=0.0, phase_shift=0.1)):
        shares = lattice_shares(make_object(settings, (SIZE, SIZE), random), EVERYWHERE, RASTER)
        assert shares["lattice_share"] < 0.02


def test_a_lattice_in_the_phase_is_told_under_a_ramp_and_a_factor():
    random = np.random.default_rng(2)
    rows, columns = np.indices((SIZE, SIZE))
    smooth = ndimage.gaussian_filter(random.normal(size=rows.shape), 3)
    wave = np.cos(2 * np.pi * (rows - 10) / 6) + np.cos(2 * np.pi * (columns - 10) / 6)
    # The wave's variance is 1; a quarter of all varies with the scan.
    phase = 0.1 * (np.sqrt(3) * smooth / smooth.std() + wave)
    image = 0.3 * np.exp(1j * (phase + 0.7 + 0.08 * rows - 0.05 * columns))
    shares = lattice_shares(image, EVERYWHERE, RASTER)
    assert shares["lattice_share"] == pytest.approx(0.25, abs=0.04)
    assert shares["amplitude_lattice_share"] is None
    printed = lattice_shares(np.exp(smooth / smooth.std() * 0.1 + 0.05 * wave) * image, EVERYWHERE, RASTER)
    assert printed["amplitude_lattice_share"] == pytest.approx(0.2, abs=0.05)


def test_what_hardly_varies_has_no_share():
    """The amplitude of a pure phase: a lattice of a thousandth, all of its variance, is no fault of the image."""
    random = np.random.default_rng(6)
    phase = ndimage.gaussian_filter(random.normal(size=(SIZE, SIZE)), 2)
    phase *= 0.1 / phase.std()
    rows = np.arange(SIZE)[:, None] * np.ones(SIZE)
    wave = np.cos(2 * np.pi * rows / 6)
    for strength, told in ((0.001, False), (0.05, True)):
        image = (1 + strength * wave) * np.exp(1j * (phase + 0.02 * rows))
        shares = lattice_shares(image, EVERYWHERE, RASTER)
        assert shares["lattice_share"] < 0.02
        assert (shares["amplitude_lattice_share"] is not None) == told
    assert shares["amplitude_lattice_share"] > 0.9
