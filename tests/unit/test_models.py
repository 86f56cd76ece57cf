"""Every model keeps the one call; the unrolled one starts as the iterative engine it learns to improve."""

import numpy as np
import pytest
import torch

from ptychoflow.errors import InputError
from ptychoflow.models import MODELS, build_model
from ptychoflow.models.unrolled import exit_wave_update
from ptychoflow.physics.diffraction import diffraction
from ptychoflow.settings import ModelSettings

SIZE = 16


def tiny(name: str, **settings: object) -> ModelSettings:
    return ModelSettings(name=name, features=4, depth=1, iterations=3, **settings)


def with_random_weights(name: str) -> torch.nn.Module:
    """A model none of whose layers is zero."""
    model = build_model(tiny(name), SIZE, channels=2)
    for number, parameter in enumerate(model.parameters()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(number))
    return model


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Amplitudes (3, 2, N, N) of random patches under two probe modes, the probe, and a mask."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(1, 2, SIZE, SIZE, dtype=torch.complex64, generator=generator) / 3
    amplitude, phase = torch.rand(2, 3, 2, SIZE, SIZE, generator=generator)
    patches = torch.polar(amplitude + 0.5, phase)
    return diffraction(patches, probe[:, None]).sqrt(), probe, torch.ones(1, SIZE, SIZE, dtype=torch.bool)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_patches_are_complex_and_every_weight_is_reached(name: str, scene: tuple):
    model = build_model(tiny(name), SIZE, channels=2)
    patches = model(*scene)
    assert patches.shape == (3, 2, SIZE, SIZE)
    assert patches.dtype == torch.complex64
    # A first layer behind a last layer of zeros gets no gradient: a step has to be taken first.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        (model(*scene) - 0.7j).abs().square().mean().backward()
        optimizer.step()
    for path, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), path
        assert parameter.grad.abs().sum() > 0, path


@pytest.mark.parametrize("name", sorted(MODELS))
def test_mixed_precision_gives_nearly_the_same(name: str, scene: tuple):
    model = with_random_weights(name)
    exact = model(*scene)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(*scene)
    assert mixed.dtype == torch.complex64
    assert 0 < (mixed - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_says_whether_it_mixes_the_frames_of_a_group(name: str, scene: tuple):
    amplitudes, probe, mask = scene
    model = with_random_weights(name)
    changed = amplitudes.clone()
    changed[:, 1] *= 2
    same = torch.allclose(model(amplitudes, probe, mask)[:, 0], model(changed, probe, mask)[:, 0])
    assert same is not model.mixes_frames


def test_untrained_it_is_the_regularised_ptychographic_engine(scene: tuple):
    amplitudes, probe, mask = scene
    computed = build_model(tiny("unrolled"), SIZE, channels=2)(amplitudes, probe, mask).detach().numpy()
    modes = probe[0].numpy().astype(complex)
    illumination = (np.abs(modes) ** 2).sum(axis=0)
    denominator = 0.9 * illumination + 0.1 * illumination.max()
    for group in range(3):
        for channel in range(2):
            patch = np.ones((SIZE, SIZE), complex)
            for _ in range(3):
                waves = np.fft.fft2(modes * patch, norm="ortho")
                modelled = np.sqrt((np.abs(waves) ** 2).sum(axis=0))
                replaced = waves * amplitudes[group, channel].numpy() / modelled
                change = np.fft.ifft2(replaced - waves, norm="ortho")
                patch = patch + (modes.conj() * change).sum(axis=0) / denominator
            np.testing.assert_allclose(computed[group, channel], patch, atol=2e-3)


def test_the_update_vanishes_at_the_solution_and_ignores_bad_pixels(scene: tuple):
    _, probe, mask = scene
    patches = torch.randn(4, SIZE, SIZE, dtype=torch.complex64)
    amplitudes = diffraction(patches, probe).sqrt()
    assert exit_wave_update(patches, amplitudes, probe, mask).abs().max() < 1e-3
    hot, mask = amplitudes.clone(), mask.clone()
    hot[:, 3, 5] = 1e4
    assert exit_wave_update(patches, hot, probe, mask).abs().max() > 1
    mask[:, 3, 5] = False
    assert exit_wave_update(patches, hot, probe, mask).abs().max() < 1e-3


def test_iterations_may_share_their_weights():
    apart, shared = (build_model(tiny("unrolled", share_weights=share), SIZE, 1) for share in (False, True))
    assert (len(apart.corrections), len(shared.corrections)) == (3, 1)


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(("frames", "modes"), [(1, 1), (4, 3)])
def test_any_number_of_frames_and_probe_modes_fits(name: str, frames: int, modes: int):
    generator = torch.Generator().manual_seed(2)
    probe = torch.randn(5, modes, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    amplitudes = torch.rand(5, frames, SIZE, SIZE, generator=generator)
    patches = build_model(tiny(name), SIZE, frames)(amplitudes, probe, torch.ones(5, SIZE, SIZE, dtype=torch.bool))
    assert patches.shape == (5, frames, SIZE, SIZE)
    assert torch.isfinite(torch.view_as_real(patches)).all()


def test_a_network_serves_probes_it_never_saw(scene: tuple):
    amplitudes, probe, mask = scene
    model = with_random_weights("unrolled")
    other = model(amplitudes, torch.roll(probe, 3, dims=-1), mask)
    assert other.shape == (3, 2, SIZE, SIZE)
    assert (other - model(*scene)).abs().mean() > 1e-2
    assert model(amplitudes, probe[:, :1], mask).shape == other.shape


@pytest.mark.parametrize(("size", "reason"), [(20, "multiple of 8"), (24, "at least 32 pixels")])
def test_a_frame_that_cannot_be_halved_often_enough_is_refused(size: int, reason: str):
    with pytest.raises(InputError, match=rf"frame size {size} does not suit model\.depth 3.*{reason}"):
        build_model(ModelSettings(depth=3), size, 1)
