"""Smoothing against its adjoint, a closed form, and the total variation of scikit-image."""

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle

from ptychoflow.physics.total_variation import differences, gathered, smoothed


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def test_gathered_is_the_adjoint_of_differences():
    objects, steps = drawn(2, 7, 9), drawn(2, 2, 7, 9, seed=1)
    torch.testing.assert_close((differences(objects) * steps.conj()).sum(), (objects * gathered(steps).conj()).sum())


def test_a_step_loses_what_its_edge_costs():
    # Of two halves of n columns, each moves towards the other by the strength over n.
    image = torch.zeros(12, 20)
    image[:, 10:] = 1.0
    found = smoothed(image, torch.full_like(image, 0.5), iterations=2000)
    torch.testing.assert_close(found, (0.05 + 0.9 * image), rtol=0, atol=1e-4)


def test_real_images_come_out_as_in_scikit_image():
    image = np.random.default_rng(0).normal(size=(24, 31)).cumsum(axis=0) * 0.2
    expected = denoise_tv_chambolle(image, weight=0.3, eps=1e-9, max_num_iter=20000)
    found = smoothed(torch.from_numpy(image), torch.full(image.shape, 0.3, dtype=torch.float64), iterations=1000)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_twenty_iterations_are_enough_for_strengths_of_the_noise():
    noise = 0.05
    image = torch.zeros(40, 40, dtype=torch.complex128)
    image[10:30, 15:] = 1 + 0.5j
    noisy = image + noise * drawn(40, 40)
    strength = torch.full((40, 40), noise, dtype=torch.float64)
    soon, late = smoothed(noisy, strength), smoothed(noisy, strength, iterations=2000)
    assert (soon - late).abs().square().mean().sqrt() < 0.1 * noise
    assert (soon - image).abs().square().mean().sqrt() < 0.5 * (noisy - image).abs().square().mean().sqrt()


def test_no_direction_of_the_complex_plane_is_special():
    objects, strength = drawn(8, 9), torch.full((8, 9), 0.4, dtype=torch.float64)
    turn = torch.polar(torch.ones((), dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    torch.testing.assert_close(smoothed(turn * objects, strength), turn * smoothed(objects, strength))


@pytest.mark.parametrize("scans", [(), (3,)])
def test_without_strength_nothing_changes_and_means_stay(scans: tuple[int, ...]):
    objects, strength = drawn(*scans, 8, 9), torch.zeros(*scans, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(smoothed(objects, strength), objects)
    strength[..., 2:6, 2:6] = 1.0
    found = smoothed(objects, strength)
    assert not torch.allclose(found, objects)
    torch.testing.assert_close(found.mean(dim=(-2, -1)), objects.mean(dim=(-2, -1)))
