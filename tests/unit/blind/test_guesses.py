"""What the mean frame puts right in a file's probe: its far field's place and intensity, never its phases."""

import pytest
import torch

from ptychoflow.blind.guesses import under_pupil
from ptychoflow.physics.diffraction import Propagator, incoherent_sum

EVERYWHERE = torch.ones(32, 32, dtype=torch.bool)


def beam(tilt: tuple[float, float] = (0.0, 0.0), modes: int = 1) -> torch.Tensor:
    """A curved Gaussian whose far field lies `tilt` pixels off the middle, (modes, 32, 32) complex128."""
    axis = torch.arange(32, dtype=torch.float64) - 16
    square = axis[:, None] ** 2 + axis**2
    ramp = 2 * torch.pi * (tilt[0] * axis[:, None] + tilt[1] * axis) / 32
    probe = torch.polar(torch.exp(-square / 50), 0.05 * square + ramp)
    return torch.stack([probe * (0.5 * axis / 5) ** order for order in range(modes)])


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.conj() * other).sum().abs() / one.norm() / other.norm())


@pytest.mark.parametrize("propagator", [Propagator(32, dtype=torch.complex128), Propagator(32, 0.3, torch.complex128)])
@pytest.mark.parametrize("modes", [1, 2])
def test_the_far_field_is_that_of_the_mean_frame_and_the_phases_are_those_of_the_guess(
    propagator: Propagator, modes: int
):
    truth = 7 * beam(modes=modes)
    mean = incoherent_sum(propagator(truth))
    # A guess of the right phases and the wrong intensities.
    waves = propagator(truth)
    wrong = propagator.adjoint(waves * (1 + 0.8 * torch.cos(16 * torch.pi * torch.fft.fftfreq(32)))[:, None])
    found = under_pupil(wrong, mean, EVERYWHERE, propagator)
    torch.testing.assert_close(incoherent_sum(propagator(found)), mean, rtol=0.3, atol=float(mean.max()) * 1e-2)
    assert likeness(found, truth) > 0.995
    assert likeness(wrong, truth) < 0.95


def test_a_tilted_guess_is_turned_to_where_the_light_is():
    truth, tilted = beam(), beam((2.6, -1.7))
    assert likeness(tilted, truth) < 0.5
    far = Propagator(32, dtype=torch.complex128)
    found = under_pupil(0.1 * tilted, incoherent_sum(far(truth)), EVERYWHERE, far)
    assert likeness(found, truth) > 0.995


def test_where_nothing_was_measured_the_guess_stays():
    far, truth = Propagator(32, dtype=torch.complex128), beam()
    mask = EVERYWHERE.clone()
    mask[:3, :3] = False
    mean = torch.where(mask, incoherent_sum(far(truth)), 0)
    assert likeness(under_pupil(3 * truth, mean, mask, far), truth) > 0.9999
