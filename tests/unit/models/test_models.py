"""Every model keeps the one call; the unrolled one starts as the iterative engine it learns to improve."""

import numpy as np
import pytest
import torch

from ptychoflow.errors import InputError
from ptychoflow.models import MODELS, build_model
from ptychoflow.models.blocks import ConvolutionBlock, FewOutputs
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.patches import extract_patches
from ptychoflow.settings.model import ModelSettings

SIZE = 16
FAR = Propagator(SIZE)


def tiny(name: str, **settings: object) -> ModelSettings:
    return ModelSettings(name=name, features=4, depth=1, iterations=3, **settings)


def with_random_weights(name: str) -> torch.nn.Module:
    """A model none of whose layers is zero."""
    model = build_model(tiny(name), SIZE, channels=2)
    for number, parameter in enumerate(model.parameters()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(number))
    return model


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Propagator]:
    """Amplitudes (3, 2, N, N) of random patches under two probe modes, the probe, a mask, positions, the propagator."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(1, 2, SIZE, SIZE, dtype=torch.complex64, generator=generator) / 3
    amplitude, phase = torch.rand(2, 3, 2, SIZE, SIZE, generator=generator)
    patches = torch.polar(amplitude + 0.5, phase)
    positions = torch.tensor([[20.0, 30.0], [23.0, 31.0]]).expand(3, -1, -1)
    mask = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    return FAR.intensity(patches, probe[:, None]).sqrt(), probe, mask, positions, FAR


@pytest.mark.parametrize("name", sorted(MODELS))
def test_settings_know_whether_a_network_joins_frames(name: str):
    assert build_model(tiny(name), SIZE, channels=2).joins_frames == tiny(name).joins_frames


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
def test_a_model_says_whether_it_joins_the_frames_of_a_group(name: str, scene: tuple):
    amplitudes, probe, mask, positions, _ = scene
    model = with_random_weights(name)
    # Patches of one object at one place are one patch, whatever was measured there.
    same_place = positions[:, :1].expand(-1, 2, -1)
    patches = model(amplitudes, probe, mask, same_place, FAR)
    assert torch.allclose(patches[:, 0], patches[:, 1]) is model.joins_frames


def test_untrained_it_is_the_ptychographic_engine_of_all_frames_together(scene: tuple):
    amplitudes, probe, mask, _, _ = scene
    corners = np.array([[1, 2], [4, 3]])
    positions = torch.from_numpy(corners + SIZE // 2).float().expand(3, -1, -1)
    model = build_model(tiny("unrolled"), SIZE, channels=2)
    computed = model.objects(amplitudes, probe, mask, positions, (24, 22), FAR).detach().numpy()
    modes = probe[0].numpy().astype(complex)
    light = (np.abs(modes) ** 2).sum(axis=0)
    places = [np.s_[row : row + SIZE, column : column + SIZE] for row, column in corners]
    coverage = np.zeros((24, 22))
    for place in places:
        coverage[place] += light
    for group in range(3):
        canvas = np.ones((24, 22), complex)
        for _ in range(3):
            total = np.zeros_like(canvas)
            for place, measured in zip(places, amplitudes[group].numpy(), strict=True):
                waves = np.fft.fft2(modes * canvas[place], norm="ortho")
                modelled = np.sqrt((np.abs(waves) ** 2).sum(axis=0))
                change = np.fft.ifft2(waves * measured / modelled - waves, norm="ortho")
                total[place] += (modes.conj() * change).sum(axis=0)
            canvas = canvas + total / (coverage + 0.1 * light.max())
        np.testing.assert_allclose(computed[group], canvas, atol=2e-3)


@pytest.mark.parametrize(("fresnel_number", "most", "factor"), [(None, 0.03, 3.0), (0.035, 0.06, 1.7)])
def test_positions_between_pixels_are_not_rounded(fresnel_number: float | None, most: float, factor: float):
    # Enough iterations of the untrained network find a smooth object, wherever the scan lies on the grid of pixels.
    size, grid = 32, torch.arange(64.0)
    probe = torch.exp(-((grid[:size] - size // 2) ** 2) / 18)
    probe = (probe[:, None] * probe)[None, None].to(torch.complex64)
    steps = torch.arange(22.0, 43.0, 3.0)
    places = torch.cartesian_prod(steps, steps)[None] + 0.4
    bump = torch.exp(-((grid - 32) ** 2) / 8)
    truth = 1 - 0.5 * (bump[:, None] * bump).to(torch.complex64)
    propagator = Propagator(size, fresnel_number)
    amplitudes = propagator.intensity(extract_patches(truth[None], places, size), probe[:, None]).sqrt()
    model = build_model(ModelSettings(features=4, depth=1, iterations=60), size, 1)
    mask = torch.ones(1, size, size, dtype=torch.bool)
    middle = np.s_[20:44, 20:44]
    errors = []
    for shift in (0.0, 0.1):
        found = model.objects(amplitudes, probe, mask, places + shift, (64, 64), propagator).detach()[0]
        errors.append(float((found - truth)[middle].abs().mean() / (1 - truth)[middle].abs().mean()))
    assert errors[0] < most
    assert errors[1] > factor * errors[0]


def test_iterations_may_share_their_weights():
    apart, shared = (build_model(tiny("unrolled", share_weights=share), SIZE, 1) for share in (False, True))
    assert (len(apart.corrections), len(shared.corrections)) == (3, 1)


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(("frames", "modes"), [(1, 1), (4, 3)])
def test_any_number_of_frames_and_probe_modes_fits(name: str, frames: int, modes: int):
    generator = torch.Generator().manual_seed(2)
    probe = torch.randn(5, modes, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    amplitudes = torch.rand(5, frames, SIZE, SIZE, generator=generator)
    positions = 20 + 3 * torch.rand(5, frames, 2, generator=generator)
    mask = torch.ones(5, SIZE, SIZE, dtype=torch.bool)
    patches = build_model(tiny(name), SIZE, frames)(amplitudes, probe, mask, positions, FAR)
    assert patches.shape == (5, frames, SIZE, SIZE)
    assert torch.isfinite(torch.view_as_real(patches)).all()


def test_a_network_serves_probes_it_never_saw(scene: tuple):
    amplitudes, probe, mask, positions, _ = scene
    model = with_random_weights("unrolled")
    other = model(amplitudes, torch.roll(probe, 3, dims=-1), mask, positions, FAR)
    assert other.shape == (3, 2, SIZE, SIZE)
    assert (other - model(*scene)).abs().mean() > 1e-2
    assert model(amplitudes, probe[:, :1], mask, positions, FAR).shape == other.shape


@pytest.mark.parametrize(("size", "reason"), [(20, "multiple of 8"), (24, "at least 32 pixels")])
def test_a_frame_that_cannot_be_halved_often_enough_is_refused(size: int, reason: str):
    with pytest.raises(InputError, match=rf"frame size {size} does not suit model\.depth 3.*{reason}"):
        build_model(ModelSettings(depth=3), size, 1)


def test_a_convolution_to_few_channels_has_the_gradients_of_any_other():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 12, 9, 7, dtype=torch.float64, generator=draw)
    few = FewOutputs(12, 2).double()
    plain = torch.nn.Conv2d(12, 2, 3, padding=1).double()
    plain.load_state_dict(few.state_dict())
    found = []
    for convolution in (few, plain):
        given = x.clone().requires_grad_()
        convolution(given).square().sum().backward()
        found.append([given.grad, *(weight.grad for weight in convolution.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_block_gives_the_same_with_and_without_gradients(normalise: bool):
    block, x = ConvolutionBlock(3, 5, normalise), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    given = x.clone()
    with torch.no_grad():
        found = block(given)
    torch.testing.assert_close(found, block(x).detach(), rtol=0, atol=0)
    assert torch.equal(given, x)
