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


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Amplitudes (3, 2, N, N) of random patches under two probe modes, the probe, and a mask."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(1, 2, SIZE, SIZE, dtype=torch.complex64, generator=generator) / 3
    patches = torch.polar(torch.rand(3, 2, SIZE, SIZE, generator=generator) + 0.5, torch.rand(3, 2, SIZE, SIZE))
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
    for parameter, gradient in ((p, p.grad) for p in model.parameters()):
        assert gradient is not None
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0 or parameter.numel() == 1


@pytest.mark.parametrize("name", sorted(MODELS))
def test_mixed_precision_gives_nearly_the_same(name: str, scene: tuple):
    model = build_model(tiny(name), SIZE, channels=2)
    exact = model(*scene)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(*scene)
    assert mixed.dtype == torch.complex64
    assert (mixed - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_says_whether_it_mixes_the_frames_of_a_group(name: str, scene: tuple):
    amplitudes, probe, mask = scene
    model = build_model(tiny(name), SIZE, channels=2)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
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


def test_a_frame_that_cannot_be_halved_is_refused():
    with pytest.raises(InputError, match=r"frame size 20 does not suit model\.depth 3"):
        build_model(ModelSettings(depth=3), 20, 1)
