"""The far-field model against energy conservation, its adjoint and plain NumPy."""

import numpy as np
import pytest
import torch

from ptychoflow.physics.diffraction import diffraction, exit_waves, far_field, incoherent_sum, near_side


@pytest.fixture
def waves() -> torch.Tensor:
    return torch.randn(3, 2, 16, 16, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


def test_propagation_conserves_photons(waves: torch.Tensor):
    torch.testing.assert_close(far_field(waves).abs().square().sum(), waves.abs().square().sum())


def test_propagating_back_is_inverse_and_adjoint(waves: torch.Tensor):
    torch.testing.assert_close(near_side(far_field(waves)), waves)
    other = torch.randn_like(waves)
    left = (far_field(waves).conj() * other).sum()
    torch.testing.assert_close(left, (waves.conj() * near_side(other)).sum())


@pytest.mark.parametrize("modes", [1, 3])
def test_intensity_equals_plain_numpy(modes: int):
    random = np.random.default_rng(4)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(size=shape) + 1j * random.normal(size=shape)

    patches, probe = draw(5, 12, 12), draw(modes, 12, 12)
    expected = np.zeros((5, 12, 12))
    for frame in range(5):
        for mode in range(modes):
            expected[frame] += np.abs(np.fft.fft2(probe[mode] * patches[frame]) / 12) ** 2
    computed = diffraction(torch.from_numpy(patches), torch.from_numpy(probe))
    np.testing.assert_allclose(computed, expected)


def test_an_empty_beam_delivers_the_flux_of_the_probe():
    probe = torch.randn(2, 16, 16, dtype=torch.complex128)
    frame = diffraction(torch.ones(16, 16, dtype=torch.complex128), probe)
    torch.testing.assert_close(frame.sum(), probe.abs().square().sum())


def test_modes_add_up_incoherently():
    probe, patch = torch.randn(2, 8, 8, dtype=torch.complex128), torch.randn(8, 8, dtype=torch.complex128)
    apart = sum(diffraction(patch, probe[i : i + 1]) for i in range(2))
    torch.testing.assert_close(diffraction(patch, probe), apart)
    assert exit_waves(patch, probe).shape == (2, 8, 8)
    assert incoherent_sum(probe).shape == (8, 8)


def test_a_tilted_wave_lands_on_its_pixel():
    axis = torch.arange(16, dtype=torch.float64)
    tilt = torch.exp(2j * torch.pi * (3 * axis[:, None] - 5 * axis[None, :]) / 16)
    frame = diffraction(tilt, torch.full((1, 16, 16), 2.0, dtype=torch.complex128))
    expected = torch.zeros(16, 16, dtype=torch.float64)
    expected[3, -5] = 4 * 16 * 16
    torch.testing.assert_close(frame, expected)


def test_the_gradient_of_propagation_is_the_way_back(waves: torch.Tensor):
    leaf = waves.clone().requires_grad_()
    arriving = torch.randn(waves.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(far_field(leaf), leaf, grad_outputs=arriving)
    torch.testing.assert_close(gradient, near_side(arriving))


def test_a_probe_for_each_frame_is_broadcast():
    generator = torch.Generator().manual_seed(2)
    patches = torch.randn(4, 8, 8, dtype=torch.complex128, generator=generator)
    probes = torch.randn(4, 2, 8, 8, dtype=torch.complex128, generator=generator)
    apart = torch.stack([diffraction(patch, probe) for patch, probe in zip(patches, probes, strict=True)])
    torch.testing.assert_close(diffraction(patches, probes), apart)
