"""What object and probe may trade changes no photon, and is told from them in closed form."""

import pytest
import torch

from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import balance, centre_of, mix_modes, orthogonal_modes, with_power
from ptychoflow.physics.joint_steps import modelled_frames
from ptychoflow.physics.patches import fourier_shift

SIZE, FIELD = 32, 64
PROPAGATORS = {"far": Propagator(SIZE), "near": Propagator(SIZE, 0.2, torch.complex128)}
POSITIONS = torch.tensor([[[24.3, 30.0], [31.6, 27.2], [35.0, 38.45]]], dtype=torch.float64)
NOTHING = torch.zeros(1, dtype=torch.float64)


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def gaussian(size: int, centre: tuple[float, float], width: float) -> torch.Tensor:
    """(size, size) float64 about the pixel size // 2."""
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    rows, columns = ((-((axis - place) ** 2) / (2 * width**2)).exp() for place in centre)
    return rows[:, None] * columns


def beam(modes: int = 1) -> torch.Tensor:
    """(1, modes, N, N) in the middle of the frame, dark at its edges, of low frequencies that a shift moves exactly."""
    spectrum = drawn(modes, SIZE, SIZE, seed=1) * torch.fft.ifftshift(gaussian(SIZE, (0.0, 0.0), 2.5))
    return (SIZE * torch.fft.ifft2(spectrum) * gaussian(SIZE, (0.0, 0.0), 2.5))[None]


def smooth_object() -> torch.Tensor:
    """(1, H, W), periodic and without frequencies that a shift by a fraction of a pixel could not carry."""
    spectrum = drawn(FIELD, FIELD, seed=2) * torch.fft.ifftshift(gaussian(FIELD, (0.0, 0.0), 6.0))
    return (1 + 4 * FIELD * torch.fft.ifft2(spectrum))[None]


@pytest.fixture(params=PROPAGATORS)
def propagator(request: pytest.FixtureRequest) -> Propagator:
    return PROPAGATORS[request.param]


def test_the_mean_amplitude_where_light_falls_is_told():
    light = torch.zeros(2, 8, 8)
    light[:, 2:6, 2:6] = 100.0
    light[:, 2, 2] = 10.0  # a tenth of the largest counts as much as any more
    objects = torch.full((2, 8, 8), 50.0 + 0j)
    objects[0, 2:6, 2:6], objects[1, 2:6, 2:6] = 3j, -0.25
    torch.testing.assert_close(balance(objects, light), torch.tensor([3.0, 0.25]))
    # Less light counts less: one pixel of 16 at a hundredth of the light, a tenth of the weight.
    light[0, 3, 3], objects[0, 3, 3] = 1.0, 0.0
    assert balance(objects, light)[0] == pytest.approx(3.0 * 15 / 15.1)


def test_a_balanced_pair_has_mean_amplitude_one_and_diffracts_alike(propagator: Propagator):
    objects, probes = 7.3 * smooth_object(), beam()
    factor = balance(objects, gaussian(FIELD, (0.0, 0.0), 9.0)[None])
    before = modelled_frames(objects, probes, POSITIONS, propagator, NOTHING)
    after = modelled_frames(objects / factor, probes * factor, POSITIONS, propagator, NOTHING)
    torch.testing.assert_close(after, before)
    assert balance(objects / factor, gaussian(FIELD, (0.0, 0.0), 9.0)[None]) == pytest.approx(1.0)


def test_modes_become_orthogonal_the_strongest_first_and_diffract_alike(propagator: Propagator):
    probes = beam(4) * torch.tensor([0.2, 1.0, 0.5, 0.7])[None, :, None, None]
    probes[:, 3] += 0.8 * probes[:, 1]
    mixed = mix_modes(probes, orthogonal_modes(probes))
    flat = mixed[0].flatten(-2)
    gram = flat @ flat.mH
    powers = gram.diagonal().real
    assert (gram - gram.diagonal().diag()).abs().max() < 1e-10 * powers[0]
    assert (powers[:-1] > powers[1:]).all()
    torch.testing.assert_close(powers.sum(), probes.abs().square().sum())
    torch.testing.assert_close(mixed.abs().square().sum(dim=1), probes.abs().square().sum(dim=1))
    objects = smooth_object()
    torch.testing.assert_close(
        modelled_frames(objects, mixed, POSITIONS, propagator, NOTHING),
        modelled_frames(objects, probes, POSITIONS, propagator, NOTHING),
    )


def test_the_mixture_is_unitary_even_of_modes_without_light_and_has_no_gradient():
    probes = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.complex128)
    probes[0, :2] = drawn(2, SIZE, SIZE, seed=0)
    probes.requires_grad_()
    unitary = orthogonal_modes(probes)
    torch.testing.assert_close(unitary @ unitary.mH, torch.eye(3, dtype=unitary.dtype).expand(2, 3, 3))
    assert not unitary.requires_grad
    assert mix_modes(probes, unitary).requires_grad


@pytest.mark.parametrize("centre", [(0.0, 0.0), (3.37, -2.81), (-7.5, 6.25)])
def test_the_centre_of_a_beam_is_told_to_a_fraction_of_a_pixel(centre: tuple[float, float]):
    expected = torch.tensor(centre, dtype=torch.float64)
    torch.testing.assert_close(centre_of(gaussian(SIZE, centre, 2.0)), expected, atol=1e-3, rtol=0)
    stack = torch.stack([gaussian(SIZE, (1.5, -4.0), 2.0), 3e5 * gaussian(SIZE, centre, 1.5)])
    torch.testing.assert_close(centre_of(stack)[1], expected, atol=1e-3, rtol=0)


def test_even_light_moves_no_centre():
    lit = gaussian(SIZE, (3.3, -2.1), 2.0)
    torch.testing.assert_close(centre_of(lit + 0.05), centre_of(lit))


def test_light_that_fills_the_frame_lies_in_its_middle():
    light = torch.rand(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(centre_of(light), torch.zeros(2, dtype=torch.float64))
    # Along one axis it may fill the frame, and along the other not.
    rows = gaussian(SIZE, (3.0, 0.0), 2.0).sum(dim=1, keepdim=True).expand(SIZE, SIZE)
    torch.testing.assert_close(centre_of(rows), torch.tensor([3.0, 0.0], dtype=torch.float64), atol=1e-3, rtol=0)


def test_the_centre_moves_by_what_a_beam_is_moved_by():
    shift = torch.tensor([2.63, -1.27], dtype=torch.float64)
    moved = fourier_shift(beam(2), shift)
    before, after = (centre_of(light.abs().square().sum(dim=1))[0] for light in (beam(2), moved))
    torch.testing.assert_close(after - before, shift, atol=2e-3, rtol=0)


def test_scale_is_free(propagator: Propagator):
    objects, probes, factor = smooth_object(), beam(2), 0.3 - 1.4j
    torch.testing.assert_close(
        modelled_frames(objects / factor, probes * factor, POSITIONS, propagator, NOTHING),
        modelled_frames(objects, probes, POSITIONS, propagator, NOTHING),
    )


@pytest.mark.parametrize("shift", [(2.0, -3.0), (0.4, 1.7)])
def test_place_is_free(propagator: Propagator, shift: tuple[float, float]):
    objects, probes = smooth_object(), beam(2)
    away = torch.tensor(shift, dtype=torch.float64)
    if propagator.transfer is None:
        expected = modelled_frames(objects, probes, POSITIONS, propagator, NOTHING)
    else:
        # In a near field a beam that moves takes its light along on the detector.
        expected = modelled_frames(objects, probes, POSITIONS, propagator.moved(-away), NOTHING)
    moved = modelled_frames(fourier_shift(objects, away), fourier_shift(probes, away), POSITIONS, propagator, NOTHING)
    assert (moved - expected).norm() < 2e-3 * expected.norm()
    assert (modelled_frames(objects, fourier_shift(probes, away), POSITIONS, propagator, NOTHING) - expected).norm() > (
        0.1 * expected.norm()
    )


def test_tilt_is_free_in_the_far_field():
    objects, probes, cycles = smooth_object(), beam(2), (0.11, -0.07)

    def ramp(size: int, sign: int) -> torch.Tensor:
        axis = torch.arange(size, dtype=torch.float64)
        turns = cycles[0] * axis[:, None] + cycles[1] * axis
        return torch.polar(torch.ones_like(turns), 2 * torch.pi * sign * turns)

    # Whole pixels: a ramp with its jump at the edge is none that a fraction of a pixel could carry.
    positions = POSITIONS.round()
    torch.testing.assert_close(
        modelled_frames(objects * ramp(FIELD, -1), probes * ramp(SIZE, 1), positions, PROPAGATORS["far"], NOTHING),
        modelled_frames(objects, probes, positions, PROPAGATORS["far"], NOTHING),
    )


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_a_probe_of_any_power_gets_that_which_is_asked_for(size: float):
    probes = beam(3).to(torch.complex64).repeat(2, 1, 1, 1) * torch.tensor([1.0, 0.1])[:, None, None, None]
    found = with_power(probes * size, torch.tensor(1e6))
    torch.testing.assert_close(found.abs().square().sum(dim=(1, 2, 3)), torch.full((2,), 1e6))
    torch.testing.assert_close(found[0] / found[0].norm(), probes[0] / probes[0].norm())
