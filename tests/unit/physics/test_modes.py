import numpy as np
import pytest

from ptychoflow.physics.modes import COHERENCE, coherence_modes, more_modes


def gaussian(size: int = 32, width: float = 3.0) -> np.ndarray:
    axis = np.arange(size) - size // 2
    return np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * width**2)).astype(np.complex64)[None]


def test_further_modes_are_the_derivatives_of_the_first():
    probe = gaussian()
    found = coherence_modes(probe, 4)
    axis = np.arange(32) - 16
    # Those of a Gaussian are Hermite-Gaussian.
    for mode, factor in zip(found[1:], (axis[:, None], axis[None, :], axis[:, None] ** 2 - 9.0), strict=True):
        expected = factor * probe[0]
        likeness = abs(np.vdot(expected, mode)) / (np.linalg.norm(expected) * np.linalg.norm(mode))
        assert likeness == pytest.approx(1, abs=1e-4)
    powers = (np.abs(found) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(powers[1:] / powers[0], COHERENCE, rtol=1e-5)


def test_modes_that_are_there_stay():
    probe = np.concatenate([gaussian(), 0.5 * gaussian(width=2)])
    np.testing.assert_array_equal(coherence_modes(probe, 3)[:2], probe)
    np.testing.assert_array_equal(coherence_modes(probe, 1), probe[:1])
    np.testing.assert_array_equal(coherence_modes(probe, None), probe)


def test_a_probe_without_a_slope_has_no_further_light():
    flat = np.ones((1, 16, 16), np.complex64)
    found = coherence_modes(flat, 3)
    assert np.isfinite(found).all()


def test_further_modes_are_weaker_and_drawn_by_the_seed():
    probe = gaussian()
    three = more_modes(probe, 3, seed=1)
    np.testing.assert_array_equal(three[0], probe[0])
    np.testing.assert_allclose(np.abs(three[2]), 0.1 * np.abs(probe[0]), rtol=1e-4)
    np.testing.assert_array_equal(three, more_modes(probe, 3, seed=1))
    np.testing.assert_array_equal(more_modes(three, 1, seed=1), probe)
