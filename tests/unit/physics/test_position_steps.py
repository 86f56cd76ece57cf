"""Steps on the scan positions against derivatives that torch finds by itself, and against displacements made before."""

import pytest
import torch

from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import FLOOR, modelled_frames
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.physics.position_steps import (
    MeasuredFrames,
    amplitude_jacobian,
    amplitude_residuals,
    damped_steps,
    position_steps,
    searched_offsets,
    spectral_slopes,
)

SIZE, SHAPE = 24, (48, 45)
PROPAGATORS = {"far": Propagator(SIZE), "near": Propagator(SIZE, 0.3, torch.complex128)}
BACKGROUND = torch.tensor(0.01, dtype=torch.float64)
POSITIONS = torch.tensor([[18.3, 20.6], [25.0, 24.2], [30.45, 27.7], [22.1, 30.0]], dtype=torch.float64)


def smooth(*shape: int, width: float, seed: int) -> torch.Tensor:
    """Random complex field of frequencies well below those that half a pixel's shift could not carry."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.fft.fftfreq(length, dtype=torch.float64) for length in shape[-2:])
    window = torch.exp(-(rows[:, None] ** 2 + columns**2) / (2 * width**2))
    field = torch.fft.ifft2(torch.randn(*shape, dtype=torch.complex128, generator=generator) * window)
    return field / field.abs().square().mean().sqrt()


def scene(modes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Object (H, W) and probe (modes, N, N), dark at its edges."""
    axis = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    window = torch.exp(-(axis[:, None] ** 2 + axis**2) / 18)
    return smooth(*SHAPE, width=0.06, seed=0), smooth(modes, SIZE, SIZE, width=0.06, seed=1) * window


def measured(canvas: torch.Tensor, probe: torch.Tensor, positions: torch.Tensor, propagator: Propagator):
    return modelled_frames(canvas[None], probe[None], positions[None], propagator, BACKGROUND[None])[0].sqrt()


@pytest.fixture(params=PROPAGATORS)
def propagator(request: pytest.FixtureRequest) -> Propagator:
    return PROPAGATORS[request.param]


def test_slopes_of_a_wave_are_its_frequency():
    rows = torch.arange(24.0)[:, None].expand(24, 16)
    wave = torch.exp(2j * torch.pi * 3 * rows / 24)
    along, across = spectral_slopes(wave)
    torch.testing.assert_close(along, 2j * torch.pi * 3 / 24 * wave, atol=1e-4, rtol=1e-4)
    assert across.abs().max() < 1e-4


@pytest.mark.parametrize("masked", [False, True])
def test_the_jacobian_is_the_derivative_by_a_move_of_the_object(propagator: Propagator, masked: bool):
    canvas, probe = scene()
    mask = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(2)) > (0.3 if masked else -1)
    amplitudes = torch.ones(len(POSITIONS), SIZE, SIZE, dtype=torch.float64)
    frames = MeasuredFrames(canvas, probe, amplitudes, POSITIONS, mask, propagator, BACKGROUND)
    jacobian, residual = amplitude_jacobian(frames, spectral_slopes(canvas))

    def modelled(move: torch.Tensor) -> torch.Tensor:
        # A frame that moves sees what the object shows when it moves the other way.
        moved = fourier_shift(canvas, -move)
        keys = (POSITIONS[None], propagator, BACKGROUND[None])
        return (modelled_frames(moved[None], probe[None], *keys)[0] + FLOOR).sqrt().flatten()

    still = torch.zeros(2, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(modelled, still).unflatten(0, residual.shape)
    good = mask.flatten()
    torch.testing.assert_close(jacobian[:, good], expected[:, good], rtol=1e-5, atol=1e-7)
    assert not jacobian[:, ~good].any()
    torch.testing.assert_close(residual[:, good], 1 - modelled(still).unflatten(0, residual.shape)[:, good])
    assert not residual[:, ~good].any()
    torch.testing.assert_close(amplitude_residuals(frames).flatten(1), residual)


def test_the_jacobian_of_a_deformation_is_the_derivative_by_an_object_that_is_deformed(propagator: Propagator):
    # Of an object that is one plane wave, every deformed patch is known: exp(i k·(L r)) about the frame's own place.
    wave = 2 * torch.pi * torch.tensor([4 / 48, -3 / 48], dtype=torch.float64)
    rows, columns = (torch.arange(48, dtype=torch.float64) for _ in range(2))
    canvas = torch.exp(1j * (wave[0] * rows[:, None] + wave[1] * columns))
    _, probe = scene()
    amplitudes = torch.zeros(len(POSITIONS), SIZE, SIZE, dtype=torch.float64)
    mask = torch.ones(SIZE, SIZE, dtype=torch.bool)
    frames = MeasuredFrames(canvas, probe, amplitudes, POSITIONS, mask, propagator, BACKGROUND)
    jacobian, residual = amplitude_jacobian(frames, spectral_slopes(canvas), deformed=True)
    axis = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2

    def modelled(entries: torch.Tensor) -> torch.Tensor:
        # Object and scan go to L r, so a place x about the frame's middle shows what was at L⁻¹ x: k becomes L⁻ᵀ k.
        turned = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + entries.reshape(2, 2)).T @ wave
        frames = []
        for place in POSITIONS:
            fraction = place - place.round()
            patch = torch.exp(1j * (turned[0] * (axis - fraction[0])[:, None] + turned[1] * (axis - fraction[1])))
            waves = propagator.moved(fraction)(fourier_shift(probe, fraction[None]) * patch)
            waves = waves.reshape(-1, SIZE, SIZE)
            frames.append((waves.abs().square().sum(dim=0) + BACKGROUND + FLOOR).sqrt())
        return torch.stack(frames).flatten()

    still = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(-residual, modelled(still).unflatten(0, residual.shape))
    expected = torch.autograd.functional.jacobian(modelled, still).unflatten(0, residual.shape)
    torch.testing.assert_close(jacobian, expected, rtol=1e-5, atol=1e-7)


def test_small_displacements_are_found(propagator: Propagator):
    canvas, probe = scene()
    away = torch.tensor([[0.2, -0.1], [-0.15, 0.0], [0.05, 0.25], [0.0, -0.2]], dtype=torch.float64)
    amplitudes, mask = measured(canvas, probe, POSITIONS, propagator), torch.ones(SIZE, SIZE, dtype=torch.bool)
    places = POSITIONS + away
    errors = [away.norm(dim=-1).max()]
    for _ in range(4):
        places = (
            places + position_steps(MeasuredFrames(canvas, probe, amplitudes, places, mask, propagator, BACKGROUND))[0]
        )
        errors.append((places - POSITIONS).norm(dim=-1).max())
    assert errors[1] < 0.5 * errors[0]
    assert errors[4] < 0.1 * errors[0]
    stays = position_steps(MeasuredFrames(canvas, probe, amplitudes, POSITIONS, mask, propagator, BACKGROUND))[0]
    assert stays.abs().max() < 1e-4


@pytest.mark.parametrize("factor", [0.3, 30.0])
def test_a_step_does_not_depend_on_the_power_of_the_light(propagator: Propagator, factor: float):
    canvas, probe = scene()
    amplitudes, mask = measured(canvas, probe, POSITIONS, propagator), torch.ones(SIZE, SIZE, dtype=torch.bool)
    first, second = (
        position_steps(
            MeasuredFrames(canvas, c * probe, c * amplitudes, POSITIONS + 0.2, mask, propagator, c**2 * BACKGROUND)
        )[0]
        for c in (1.0, factor)
    )
    torch.testing.assert_close(first, second, rtol=0, atol=2e-3)


def test_what_bad_pixels_hold_moves_nothing_and_pieces_are_the_whole(
    propagator: Propagator, monkeypatch: pytest.MonkeyPatch
):
    canvas, probe = scene()
    mask = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(2)) > 0.3
    amplitudes = measured(canvas, probe, POSITIONS, propagator)
    places = POSITIONS + 0.2
    before = position_steps(MeasuredFrames(canvas, probe, amplitudes, places, mask, propagator, BACKGROUND))[0]
    monkeypatch.setattr("ptychoflow.physics.pieces.ON_A_CPU", 3 * probe.numel())
    amplitudes = torch.where(mask, amplitudes, 1e5)
    after = position_steps(MeasuredFrames(canvas, probe, amplitudes, places, mask, propagator, BACKGROUND))[0]
    torch.testing.assert_close(after, before)


def test_a_frame_that_shows_nothing_stays():
    jacobian = torch.rand(3, 50, 2, generator=torch.Generator().manual_seed(0))
    jacobian[1] = 0
    steps, squares = damped_steps([(jacobian[:2], torch.ones(2, 50)), (jacobian[2:], torch.ones(1, 50))])
    assert not steps[1].any()
    assert steps[[0, 2]].norm(dim=-1).min() > 0.1
    torch.testing.assert_close(squares, torch.full((3,), 50.0))


def test_the_offset_that_explains_a_frame_best_is_found(propagator: Propagator):
    canvas, probe = scene()
    away = torch.tensor([[4.0, -2.0], [0.0, 0.0], [-4.0, 2.0], [2.0, 4.0]], dtype=torch.float64)
    amplitudes = measured(canvas, probe, POSITIONS, propagator)
    reach = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    offsets = torch.cartesian_prod(reach, reach)[:, None].expand(-1, len(POSITIONS), 2)
    mask = torch.ones(SIZE, SIZE, dtype=torch.bool)
    frames = MeasuredFrames(canvas, probe, amplitudes, POSITIONS - away, mask, propagator, BACKGROUND)
    best, squares = searched_offsets(frames, offsets)
    torch.testing.assert_close(best, away)
    assert squares.max() < 1e-7
