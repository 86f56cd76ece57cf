"""Far and near fields against energy conservation, its adjoint and plain NumPy."""

import numpy as np
import pytest
import torch

from ptychoflow.physics.diffraction import (
    diffraction,
    exit_waves,
    fresnel_transfer,
    incoherent_sum,
    to_detector,
    to_sample,
)


@pytest.fixture
def waves() -> torch.Tensor:
    return torch.randn(3, 2, 16, 16, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[None, 0.3, float("inf")])
def transfer(request: pytest.FixtureRequest) -> torch.Tensor | None:
    return fresnel_transfer(16, request.param, torch.complex128)


def test_propagation_conserves_photons(waves: torch.Tensor, transfer: torch.Tensor | None):
    torch.testing.assert_close(to_detector(waves, transfer).abs().square().sum(), waves.abs().square().sum())


def test_propagating_back_is_inverse_and_adjoint(waves: torch.Tensor, transfer: torch.Tensor | None):
    torch.testing.assert_close(to_sample(to_detector(waves, transfer), transfer), waves)
    other = torch.randn_like(waves)
    left = (to_detector(waves, transfer).conj() * other).sum()
    torch.testing.assert_close(left, (waves.conj() * to_sample(other, transfer)).sum())


def test_a_detector_at_the_sample_sees_the_wave_itself(waves: torch.Tensor):
    seen = to_detector(waves, fresnel_transfer(16, float("inf"), torch.complex128))
    torch.testing.assert_close(torch.fft.fftshift(seen, dim=(-2, -1)), waves)


def test_two_distances_are_one_after_the_other(waves: torch.Tensor):
    first, second, both = (fresnel_transfer(16, number, torch.complex128) for number in (0.5, 0.25, 1 / (2 + 4)))
    twice = to_detector(to_detector(waves, first), second)
    # Both bring the middle into the corner: twice, and it is back.
    torch.testing.assert_close(twice, torch.fft.fftshift(to_detector(waves, both), dim=(-2, -1)))


def test_a_gaussian_beam_widens_as_its_closed_form_says():
    # Saleh and Teich, Fundamentals of Photonics, section 3.1: waist w, z / z_R = λ z / (π w²).
    size, waist, number = 64, 4.0, 0.02
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    squared = axis[:, None] ** 2 + axis[None, :] ** 2
    turned = 1 + 1j / (number * np.pi * waist**2)
    beam = torch.exp(-squared / waist**2).to(torch.complex128)
    seen = torch.fft.fftshift(to_detector(beam, fresnel_transfer(size, number, torch.complex128)))
    assert abs(turned) > 1.2
    torch.testing.assert_close(seen, torch.exp(-squared / waist**2 / turned) / turned, atol=1e-6, rtol=1e-6)


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
    (gradient,) = torch.autograd.grad(to_detector(leaf), leaf, grad_outputs=arriving)
    torch.testing.assert_close(gradient, to_sample(arriving))


def test_a_probe_for_each_frame_is_broadcast():
    generator = torch.Generator().manual_seed(2)
    patches = torch.randn(4, 8, 8, dtype=torch.complex128, generator=generator)
    probes = torch.randn(4, 2, 8, 8, dtype=torch.complex128, generator=generator)
    apart = torch.stack([diffraction(patch, probe) for patch, probe in zip(patches, probes, strict=True)])
    torch.testing.assert_close(diffraction(patches, probes), apart)
