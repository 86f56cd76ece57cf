"""Scores of patches are those that scikit-image and a loop over rings give."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from ptychoflow.metrics.patches import align_patches, lit_area, lit_half, patch_scores, ring_correlations
from ptychoflow.metrics.resolution import ring_correlation


@pytest.fixture
def patches() -> torch.Tensor:
    """(4, 32, 32) complex64, smooth and without a phase wrap."""
    noise = torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return torch.polar(0.7 + 0.5 * smooth[:, 0], smooth[:, 1])


def noisy(patches: torch.Tensor, level: float = 0.05) -> torch.Tensor:
    return patches + level * torch.randn(patches.shape, dtype=patches.dtype, generator=torch.Generator().manual_seed(1))


LIGHT = torch.ones(4, 32, 32)


def test_a_factor_is_undone_and_the_truth_scores_best(patches: torch.Tensor):
    turned = patches * torch.polar(torch.tensor(2.0), torch.tensor(0.5))
    torch.testing.assert_close(align_patches(turned, patches, LIGHT), patches, atol=1e-5, rtol=0)
    scores = patch_scores(turned, patches, LIGHT, half=16)
    assert scores["amplitude_ssim"] == pytest.approx(1, abs=1e-4)
    assert scores["phase_ssim"] == pytest.approx(1, abs=1e-4)
    assert scores["amplitude_psnr"] > 90
    assert scores["frc_half"] == 1


def test_similarity_is_that_of_scikit_image(patches: torch.Tensor):
    estimate = noisy(patches)
    scores = patch_scores(estimate, patches, LIGHT, half=16)
    aligned = align_patches(estimate, patches, LIGHT).abs().numpy()
    expected = [
        structural_similarity(
            image,
            truth,
            data_range=np.ptp(truth),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1].mean()
        for image, truth in zip(aligned, patches.abs().numpy(), strict=True)
    ]
    assert scores["amplitude_ssim"] == pytest.approx(np.mean(expected), abs=2e-3)
    error = np.mean((aligned - patches.abs().numpy()) ** 2)
    assert scores["amplitude_psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_what_lies_in_the_dark_does_not_count(patches: torch.Tensor):
    light = torch.zeros(4, 32, 32)
    light[:, 4:28, 4:28] = 1
    spoilt = patches.clone()
    spoilt[:, :4] = 5
    one, other = (patch_scores(image, patches, light, half=8) for image in (spoilt, patches))
    assert one["amplitude_psnr"] == other["amplitude_psnr"]
    assert one["frc_half"] == other["frc_half"] == 1


def test_patches_without_contrast_do_not_count_beside_others(patches: torch.Tensor):
    flat = patches.clone()
    flat[0] = 0.5
    estimate = noisy(patches)
    some = patch_scores(estimate, flat, LIGHT, 16)["amplitude_ssim"]
    rest = patch_scores(estimate[1:], patches[1:], LIGHT[1:], 16)["amplitude_ssim"]
    assert float(some) == pytest.approx(float(rest), abs=1e-5)
    assert torch.isfinite(patch_scores(flat[:1], flat[:1], LIGHT[:1], 16)["amplitude_ssim"])


def test_rings_of_a_single_patch_are_those_of_the_image_score(patches: torch.Tensor):
    estimate = noisy(patches)
    expected = ring_correlation(estimate[0].numpy(), patches[0].numpy(), np.ones((32, 32), bool))
    found = ring_correlations(estimate[:1], patches[:1], 16)
    np.testing.assert_allclose(found, expected.correlation, atol=1e-4)


def test_noise_lowers_the_crossing(patches: torch.Tensor):
    crossings = [float(patch_scores(noisy(patches, level), patches, LIGHT, 16)["frc_half"]) for level in (0.01, 0.2, 2)]
    assert crossings[0] >= crossings[1] >= crossings[2]
    assert crossings[0] > crossings[2]


@pytest.mark.parametrize("radius", [3.0, 7.5, 12.0, 40.0])
def test_the_lit_square_is_the_largest_by_brute_force(radius: float):
    axis = torch.arange(32) - 16
    light = (torch.hypot(axis[:, None].float(), axis.float()) <= radius).float()[None]
    lit = lit_area(light)[0]
    largest = max(half for half in range(17) if lit[16 - half : 16 + half, 16 - half : 16 + half].all())
    assert lit_half(light) == largest


def test_a_narrow_light_has_no_correlation(patches: torch.Tensor):
    assert "frc_half" not in patch_scores(patches, patches, LIGHT, half=7)
