"""Patches at sub-pixel positions against closed forms, adjointness and what goes in coming out."""

import numpy as np
import pytest
import torch

from ptychoflow.physics.patches import MARGIN, accumulate_patches, extract_patches, fade, fourier_shift, weighted_mean


def gaussian(rows: torch.Tensor, columns: torch.Tensor, centre: tuple[float, float], width: float) -> torch.Tensor:
    squared = (rows[:, None] - centre[0]) ** 2 + (columns[None, :] - centre[1]) ** 2
    return torch.exp(-squared / (2 * width**2)).to(torch.complex128)


def test_a_shifted_plane_wave_changes_its_phase_alone():
    size, shift = 16, torch.tensor([0.3, -1.7], dtype=torch.float64)
    rows = torch.arange(size, dtype=torch.float64)
    wave = torch.exp(2j * torch.pi * (3 * rows[:, None] - 2 * rows[None, :]) / size)
    expected = wave * torch.exp(-2j * torch.pi * (3 * shift[0] - 2 * shift[1]) / size)
    torch.testing.assert_close(fourier_shift(wave, shift), expected)


def test_a_whole_pixel_shift_rolls_the_image():
    image = torch.randn(12, 14, dtype=torch.complex128)
    shifted = fourier_shift(image, torch.tensor([3.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(shifted, image.roll((3, -2), dims=(0, 1)))


def test_shifting_there_and_back_keeps_every_frequency():
    image, shift = torch.randn(16, 16, dtype=torch.complex128), torch.tensor([0.37, -0.21], dtype=torch.float64)
    torch.testing.assert_close(fourier_shift(fourier_shift(image, shift), -shift), image)


def test_a_patch_at_a_whole_pixel_is_a_slice():
    canvas = torch.randn(1, 60, 64, dtype=torch.complex128)
    positions = torch.tensor([[[24.0, 40.0]]], dtype=torch.float64)
    patch = extract_patches(canvas, positions, 16)[0, 0]
    torch.testing.assert_close(patch, canvas[0, 16:32, 32:48])


def test_a_patch_between_pixels_samples_the_gaussian_it_was_cut_from():
    rows = torch.arange(64, dtype=torch.float64)
    canvas = gaussian(rows, rows, (30.0, 33.0), 3.0)[None]
    centre = (29.36, 34.71)
    patch = extract_patches(canvas, torch.tensor([[centre]], dtype=torch.float64), 32)[0, 0]
    inside = torch.arange(32, dtype=torch.float64) - 16
    expected = gaussian(inside + centre[0], inside + centre[1], (30.0, 33.0), 3.0)
    assert (patch - expected).abs().max() < 1e-6


def test_the_gradient_of_extraction_is_its_adjoint():
    generator = torch.Generator().manual_seed(1)
    canvas = torch.randn(1, 40, 44, dtype=torch.complex128, generator=generator, requires_grad=True)
    positions = torch.tensor([[[14.3, 20.8], [22.5, 17.1]]], dtype=torch.float64)
    patches = extract_patches(canvas, positions, 12)
    weights = torch.randn(patches.shape, dtype=torch.complex128, generator=generator)
    inner = (weights.conj() * patches).sum()
    (adjoint,) = torch.autograd.grad(inner.real, canvas)
    torch.testing.assert_close(inner.real, (adjoint.conj() * canvas).sum().real)


def test_batches_do_not_mix():
    canvases = torch.randn(2, 40, 40, dtype=torch.complex64)
    positions = torch.rand(2, 3, 2) * 8 + 16
    together = extract_patches(canvases, positions, 16)
    apart = torch.stack([extract_patches(canvases[i : i + 1], positions[i : i + 1], 16)[0] for i in range(2)])
    torch.testing.assert_close(together, apart)


def test_the_fade_is_one_inside_and_zero_at_the_edge():
    window = fade(32, torch.zeros(2))
    assert torch.all(window[MARGIN:-MARGIN, MARGIN:-MARGIN] == 1)
    assert window[0].max() < 0.02
    torch.testing.assert_close(window, window.T)


def test_coverage_counts_the_weights():
    weight = torch.rand(1, 1, 24, 24)
    weight = weight / weight.max()
    positions = torch.tensor([[[20.0, 20.0], [20.0, 20.0]]])
    _, coverage = accumulate_patches(torch.ones(1, 2, 24, 24, dtype=torch.complex64), weight, positions, (40, 40))
    expected = torch.zeros(40, 40)
    expected[8:32, 8:32] = 2 * weight[0, 0] * fade(24, torch.zeros(2))
    torch.testing.assert_close(coverage[0], expected)


@pytest.mark.parametrize("shape", [(96, 96), (92, 104)])
def test_merging_the_cuts_of_a_smooth_object_gives_the_object_back(shape: tuple[int, int]):
    generator = torch.Generator().manual_seed(2)
    spectrum = torch.zeros(shape, dtype=torch.complex128)
    spectrum[:9, :9] = torch.randn(9, 9, dtype=torch.complex128, generator=generator)
    canvas = torch.fft.ifft2(spectrum)[None] * 500 + 1
    # The patches with their margins stay inside the object, as they do in a simulated scan.
    low, high = torch.tensor([24.0, 24.0]), torch.tensor(shape) - 24.0
    positions = (low + torch.rand(1, 400, 2, generator=generator) * (high - low)).double()
    weight = fade(32, torch.zeros(2, dtype=torch.float64))[None, None]
    merged = weighted_mean(*accumulate_patches(extract_patches(canvas, positions, 32), weight, positions, shape))
    inside = np.s_[0, 24:-24, 24:-24]
    error = (merged[inside] - canvas[inside]).abs().square().sum() / canvas[inside].abs().square().sum()
    assert error.sqrt() < 3e-4


def test_where_no_light_fell_the_object_is_empty():
    total, coverage = torch.zeros(1, 8, 8, dtype=torch.complex64), torch.zeros(1, 8, 8)
    assert torch.all(weighted_mean(total, coverage) == 1)


def test_a_patch_between_pixels_equals_the_sum_over_its_frequencies():
    random = np.random.default_rng(5)
    canvas = random.normal(size=(44, 50)) + 1j * random.normal(size=(44, 50))
    row, column, size = 22.4, 24.7, 8
    wide = size + 2 * MARGIN
    # The corner of the patch lies at (18.4, 20.7): whole pixels (18, 21), fraction (0.4, −0.3).
    crop = canvas[18 - MARGIN : 18 + size + MARGIN, 21 - MARGIN : 21 + size + MARGIN]
    line = np.sin(np.pi / 2 * np.clip((np.minimum(np.arange(wide), np.arange(wide)[::-1]) + 0.5) / MARGIN, 0, 1)) ** 2
    spectrum = np.fft.fft2(crop * np.outer(line, line)) / wide**2
    frequency = np.fft.fftfreq(wide)
    rows, columns = MARGIN + np.arange(size) + 0.4, MARGIN + np.arange(size) - 0.3
    expected = np.exp(2j * np.pi * np.outer(rows, frequency)) @ spectrum
    expected = expected @ np.exp(2j * np.pi * np.outer(frequency, columns))
    positions = torch.tensor([[[row, column]]], dtype=torch.float64)
    computed = extract_patches(torch.from_numpy(canvas)[None], positions, size)[0, 0]
    np.testing.assert_allclose(computed, expected, atol=1e-10)


def test_the_adjoint_of_extraction_passes_the_dot_test():
    generator = torch.Generator().manual_seed(6)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.complex128, generator=generator)

    positions = torch.tensor([[[14.3, 20.8], [22.5, 17.1]]], dtype=torch.float64)
    somewhere, elsewhere, weights = draw(1, 40, 44), draw(1, 40, 44), draw(1, 2, 12, 12)
    canvas = elsewhere.requires_grad_()
    (adjoint,) = torch.autograd.grad(extract_patches(canvas, positions, 12), canvas, grad_outputs=weights)
    # ⟨weights, E x⟩ = ⟨E* weights, x⟩ for an object x at which the gradient was not taken.
    forward = (weights.conj() * extract_patches(somewhere, positions, 12)).sum()
    torch.testing.assert_close((adjoint.conj() * somewhere).sum(), forward)


def test_beyond_the_edge_of_the_object_it_is_dark():
    # The margin round a patch in the corner reaches out of the object; the patch itself is all there.
    canvas = torch.ones(1, 24, 24, dtype=torch.complex128)
    at_the_corner = extract_patches(canvas, torch.tensor([[[8.0, 8.0]]], dtype=torch.float64), 16)
    torch.testing.assert_close(at_the_corner, torch.ones(1, 1, 16, 16, dtype=torch.complex128))


def test_accumulating_one_patch_at_a_whole_pixel_puts_it_in_its_place():
    patch = torch.randn(1, 1, 24, 24, dtype=torch.complex128, generator=torch.Generator().manual_seed(7))
    weight = torch.ones(1, 1, 24, 24, dtype=torch.float64)
    total, coverage = accumulate_patches(patch, weight, torch.tensor([[[20.0, 25.0]]], dtype=torch.float64), (40, 50))
    inside = slice(MARGIN, 24 - MARGIN)
    torch.testing.assert_close(total[0, 8:32, 13:37][inside, inside], patch[0, 0][inside, inside])
    assert torch.count_nonzero(coverage) == torch.count_nonzero(coverage[0, 8:32, 13:37])
    assert coverage.max() == 1
