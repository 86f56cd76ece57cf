"""Far and near fields against energy conservation, its adjoint and plain NumPy."""

import numpy as np
import pytest
import torch

from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum, total_transmission
from ptychoflow.physics.patches import fourier_shift

DOUBLE = torch.complex128
FAR = Propagator(16)


@pytest.fixture
def waves() -> torch.Tensor:
    return torch.randn(3, 2, 16, 16, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[None, 0.3, float("inf")])
def propagator(request: pytest.FixtureRequest) -> Propagator:
    return Propagator(16, request.param, DOUBLE)


@pytest.fixture(params=[False, True], ids=["in place", "moved"])
def somewhere(request: pytest.FixtureRequest, propagator: Propagator) -> Propagator:
    """The propagator, also of waves (3, modes, N, N) that came out moved by a fraction of a pixel each."""
    fraction = torch.tensor([[0.3, -0.45], [0.0, 0.0], [-0.1, 0.5]], dtype=torch.float64)
    return propagator.moved(fraction) if request.param else propagator


def test_propagation_conserves_photons(waves: torch.Tensor, somewhere: Propagator):
    before, after = (field.abs().square().sum(dim=(-2, -1)) for field in (waves, somewhere(waves)))
    torch.testing.assert_close(after, before)


def test_propagating_back_is_inverse_and_adjoint(waves: torch.Tensor, somewhere: Propagator):
    torch.testing.assert_close(somewhere.adjoint(somewhere(waves)), waves)
    other = torch.randn(waves.shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(somewhere(somewhere.adjoint(other)), other)
    left, right = (somewhere(waves).conj() * other).sum(), (waves.conj() * somewhere.adjoint(other)).sum()
    torch.testing.assert_close(left, right)


def test_a_moved_near_field_is_moved_back_and_a_far_field_only_turned(propagator: Propagator):
    # Band-limited below Nyquist, whose sign a shift by a fraction cannot tell.
    spectrum = torch.zeros(3, 2, 16, 16, dtype=DOUBLE)
    spectrum[..., :7, :7] = torch.randn(3, 2, 7, 7, dtype=DOUBLE, generator=torch.Generator().manual_seed(3))
    waves = torch.fft.ifft2(spectrum)
    fraction = torch.tensor([[0.3, -0.45], [0.0, 0.2], [-0.1, 0.5]], dtype=torch.float64)
    seen = propagator.moved(fraction)(fourier_shift(waves, fraction[:, None]))
    if propagator.transfer is None:
        assert propagator.moved(fraction) is propagator
        torch.testing.assert_close(seen.abs(), propagator(waves).abs())
    else:
        torch.testing.assert_close(seen, propagator(waves))


def test_a_propagator_leaves_nothing_in_a_state_and_goes_where_its_module_goes():
    module = torch.nn.ModuleDict({"propagator": Propagator(16, 0.3)})
    assert not module.state_dict()
    assert module.to("meta")["propagator"].transfer.device.type == "meta"


def test_a_detector_at_the_sample_sees_the_wave_itself(waves: torch.Tensor):
    seen = Propagator(16, float("inf"), DOUBLE)(waves)
    torch.testing.assert_close(torch.fft.fftshift(seen, dim=(-2, -1)), waves)


def test_two_distances_are_one_after_the_other(waves: torch.Tensor):
    first, second, both = (Propagator(16, number, DOUBLE) for number in (0.5, 0.25, 1 / (2 + 4)))
    # Both bring the middle into the corner: twice, and it is back.
    torch.testing.assert_close(second(first(waves)), torch.fft.fftshift(both(waves), dim=(-2, -1)))


def test_a_gaussian_beam_widens_as_its_closed_form_says():
    # Saleh and Teich, Fundamentals of Photonics, section 3.1: waist w, z / z_R = λ z / (π w²).
    size, waist, number = 64, 4.0, 0.02
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    squared = axis[:, None] ** 2 + axis[None, :] ** 2
    turned = 1 + 1j / (number * np.pi * waist**2)
    beam = torch.exp(-squared / waist**2).to(torch.complex128)
    seen = torch.fft.fftshift(Propagator(size, number, DOUBLE)(beam))
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
    computed = FAR.intensity(torch.from_numpy(patches), torch.from_numpy(probe))
    np.testing.assert_allclose(computed, expected)


def test_an_empty_beam_delivers_the_flux_of_the_probe():
    probe = torch.randn(2, 16, 16, dtype=torch.complex128)
    frame = FAR.intensity(torch.ones(16, 16, dtype=torch.complex128), probe)
    torch.testing.assert_close(frame.sum(), probe.abs().square().sum())


def test_modes_add_up_incoherently():
    probe, patch = torch.randn(2, 8, 8, dtype=torch.complex128), torch.randn(8, 8, dtype=torch.complex128)
    apart = sum(FAR.intensity(patch, probe[i : i + 1]) for i in range(2))
    torch.testing.assert_close(FAR.intensity(patch, probe), apart)
    assert exit_waves(patch, probe).shape == (2, 8, 8)
    assert incoherent_sum(probe).shape == (8, 8)


def test_transmission_is_added_up_over_frames(waves: torch.Tensor):
    torch.testing.assert_close(total_transmission(waves), waves.abs().square().sum(dim=1))


def test_a_tilted_wave_lands_on_its_pixel():
    axis = torch.arange(16, dtype=torch.float64)
    tilt = torch.exp(2j * torch.pi * (3 * axis[:, None] - 5 * axis[None, :]) / 16)
    frame = FAR.intensity(tilt, torch.full((1, 16, 16), 2.0, dtype=torch.complex128))
    expected = torch.zeros(16, 16, dtype=torch.float64)
    expected[3, -5] = 4 * 16 * 16
    torch.testing.assert_close(frame, expected)


def test_the_gradient_of_propagation_is_the_way_back(waves: torch.Tensor, somewhere: Propagator):
    leaf = waves.clone().requires_grad_()
    arriving = torch.randn(waves.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(somewhere(leaf), leaf, grad_outputs=arriving)
    torch.testing.assert_close(gradient, somewhere.adjoint(arriving))


def test_a_probe_for_each_frame_is_broadcast():
    generator = torch.Generator().manual_seed(2)
    patches = torch.randn(4, 8, 8, dtype=torch.complex128, generator=generator)
    probes = torch.randn(4, 2, 8, 8, dtype=torch.complex128, generator=generator)
    apart = torch.stack([FAR.intensity(patch, probe) for patch, probe in zip(patches, probes, strict=True)])
    torch.testing.assert_close(FAR.intensity(patches, probes), apart)
