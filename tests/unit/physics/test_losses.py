"""Losses against values worked out by hand and against scipy."""

import numpy as np
import pytest
import torch
from scipy import stats

from ptychoflow.physics.losses import (
    LOSSES,
    amplitude_absolute_error,
    amplitude_squared_error,
    expected_deviance,
    masked_mean,
    poisson_deviance,
)

GOOD = torch.ones(1, 4, dtype=torch.bool)


def test_deviance_worked_out_by_hand():
    intensity, counts = torch.tensor([[2.0, 1.0, 3.0, 4.0]]), torch.tensor([[2.0, 0.0, 1.0, 8.0]])
    # 2 (I − n + n ln(n/I)): 0, 2, 2 (2 − ln 3), 2 (−4 + 8 ln 2)
    expected = (0 + 2 + 2 * (2 - np.log(3)) + 2 * (-4 + 8 * np.log(2))) / 4
    assert float(poisson_deviance(intensity, counts, GOOD)) == pytest.approx(expected, rel=1e-6)


def test_deviance_is_twice_the_log_likelihood_ratio():
    random = np.random.default_rng(0)
    counts, intensity = random.poisson(20, (6, 6)), random.uniform(10, 30, (6, 6))
    best = stats.poisson.logpmf(counts, counts)
    expected = 2 * (best - stats.poisson.logpmf(counts, intensity)).mean()
    mask = torch.ones(6, 6, dtype=torch.bool)
    computed = poisson_deviance(torch.from_numpy(intensity), torch.from_numpy(counts).double(), mask)
    assert float(computed) == pytest.approx(expected)


def test_deviance_of_the_true_model_is_about_one():
    expected = torch.full((200, 200), 50.0)
    counts = torch.poisson(expected, generator=torch.Generator().manual_seed(0))
    assert float(poisson_deviance(expected, counts, torch.ones(200, 200, dtype=torch.bool))) == pytest.approx(
        1, abs=0.03
    )


def test_amplitude_errors_worked_out_by_hand():
    intensity, counts = torch.tensor([[4.0, 9.0, 1.0, 16.0]]), torch.tensor([[1.0, 9.0, 4.0, 4.0]])
    assert float(amplitude_squared_error(intensity, counts, GOOD)) == pytest.approx((1 + 0 + 1 + 4) / 4)
    assert float(amplitude_absolute_error(intensity, counts, GOOD)) == pytest.approx((1 + 0 + 1 + 2) / 4)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_masked_pixels_do_not_count(name: str):
    intensity, counts = torch.rand(3, 4, 4) + 1, torch.rand(3, 4, 4) + 1
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[1, 2] = False
    spoiled = counts.clone()
    spoiled[:, 1, 2] = 1e6
    torch.testing.assert_close(LOSSES[name](intensity, spoiled, mask), LOSSES[name](intensity, counts, mask))
    assert LOSSES[name](intensity, spoiled, torch.ones_like(mask)) > 10 * LOSSES[name](intensity, counts, mask)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_finite_in_the_dark(name: str):
    intensity = torch.zeros(1, 4, requires_grad=True)
    LOSSES[name](intensity, torch.tensor([[0.0, 1.0, 0.0, 5.0]]), GOOD).backward()
    assert torch.isfinite(intensity.grad).all()


def test_the_gradient_of_the_deviance_worked_out_by_hand():
    intensity = torch.tensor([[2.0, 1.0, 3.0, 4.0]], requires_grad=True)
    counts = torch.tensor([[2.0, 0.0, 1.0, 8.0]])
    poisson_deviance(intensity, counts, GOOD).backward()
    # 2 (1 − n/I), a quarter of it for the mean of four.
    torch.testing.assert_close(intensity.grad, torch.tensor([[0.0, 2.0, 4 / 3, -2.0]]) / 4)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_zero_where_the_model_is_the_measurement_and_positive_elsewhere(name: str):
    counts = torch.tensor([[1.0, 2.0, 7.0, 30.0]])
    assert float(LOSSES[name](counts, counts, GOOD)) == pytest.approx(0, abs=1e-6)
    for factor in (0.8, 1.2):
        assert LOSSES[name](factor * counts, counts, GOOD) > 1e-3


def test_the_mean_runs_over_good_pixels_of_all_frames():
    values = torch.tensor([[[1.0, 100.0], [3.0, 4.0]], [[5.0, torch.inf], [7.0, 10.0]]])
    mask = torch.tensor([[True, False], [True, True]])
    assert float(masked_mean(values, mask)) == (1 + 3 + 4 + 5 + 7 + 10) / 6


@pytest.mark.parametrize("intensity", [0.0, 3e-5, 0.004, 0.01, 0.07, 0.3, 1.0, 2.7, 11.0, 140.0, 999.0, 1001.0, 3e5])
def test_the_expected_deviance_is_that_of_scipys_poisson_distribution(intensity: float):
    counts = np.arange(*stats.poisson.interval(1 - 1e-14, intensity) + np.array([0, 2])) if intensity else np.zeros(1)
    modelled = max(intensity, 0.01)  # the floor of the deviance itself
    deviance = 2 * (stats.poisson.logpmf(counts, counts) - stats.poisson.logpmf(counts, modelled))
    expected = (stats.poisson.pmf(counts, intensity) * deviance).sum()
    found = expected_deviance(torch.full((3, 4, 4), intensity), torch.ones(4, 4, dtype=torch.bool))
    assert float(found) == pytest.approx(expected, rel=1e-3)


def test_the_deviance_of_drawn_counts_is_the_expected_one_over_good_pixels():
    generator = torch.Generator().manual_seed(1)
    intensity = 10 ** (6 * torch.rand(50, 40, 40, generator=generator) - 3)
    counts = torch.poisson(intensity, generator=generator)
    mask = torch.rand(40, 40, generator=generator) > 0.3
    counts[:, ~mask], intensity[:, ~mask] = 1e6, 1e-3
    expected = float(expected_deviance(intensity, mask))
    assert 0.6 < expected < 0.95
    assert float(poisson_deviance(intensity, counts, mask)) == pytest.approx(expected, rel=0.02)
