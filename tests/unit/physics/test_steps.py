"""Steps on object and probe against the gradients that torch finds by itself."""

import pytest
import torch
from scipy.stats import poisson

from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.steps import (
    REGULARISATION,
    missing_share,
    object_change,
    regularised,
    unbiased_ratio,
    wave_change,
)

SIZE = 16
FRACTION = torch.tensor([[0.3, -0.45], [0.0, 0.2], [-0.1, 0.5]], dtype=torch.float64)
PROPAGATORS = {
    "far": Propagator(SIZE),
    "near": Propagator(SIZE, 0.2, torch.complex128),
    "moved": Propagator(SIZE, 0.2, torch.complex128).moved(FRACTION),
}


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=PROPAGATORS)
def propagator(request: pytest.FixtureRequest) -> Propagator:
    return PROPAGATORS[request.param]


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("own_probes", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_changes_are_minus_the_gradients_of_the_amplitude_error(
    propagator: Propagator, modes: int, own_probes: bool, masked: bool
):
    patches = drawn(3, SIZE, SIZE, seed=0).requires_grad_()
    probes = drawn(*([3] if own_probes else []), modes, SIZE, SIZE, seed=1).requires_grad_()
    amplitudes = drawn(3, SIZE, SIZE, seed=2).abs()
    mask = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(3)) > (0.3 if masked else -1)
    # Written out, with the floor under the root that the change divides by.
    modelled = (propagator(probes * patches[:, None]).abs().square().sum(dim=1) + 1e-8).sqrt()
    (modelled - amplitudes)[:, mask].square().sum().backward()
    with torch.no_grad():
        change = wave_change(patches, amplitudes, probes, mask, propagator)
        assert change.shape == (3, modes, SIZE, SIZE)
        for_object, for_probe = object_change(change, probes), patches.conj()[:, None] * change
    # torch's gradient of a real function by a complex number is twice the one by its conjugate.
    torch.testing.assert_close(-2 * for_object, patches.grad)
    # One probe that all frames share has the sum of what they ask.
    torch.testing.assert_close(-2 * (for_probe if own_probes else for_probe.sum(dim=0)), probes.grad)


def test_the_change_puts_measured_amplitudes_in_the_place_of_the_modelled(propagator: Propagator):
    patches, probes = drawn(3, SIZE, SIZE, seed=0), drawn(2, SIZE, SIZE, seed=1)
    amplitudes = drawn(3, SIZE, SIZE, seed=2).abs()
    good = torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(3)) > 0.3
    waves = probes * patches[:, None]
    before = propagator(waves).abs().square().sum(dim=1).sqrt()
    changed = propagator(waves + wave_change(patches, amplitudes, probes, good, propagator))
    after = changed.abs().square().sum(dim=1).sqrt()
    torch.testing.assert_close(after, torch.where(good, amplitudes, before), rtol=1e-6, atol=1e-6)


def test_the_change_vanishes_at_the_solution_and_ignores_bad_pixels(propagator: Propagator):
    patches, probes = drawn(3, SIZE, SIZE, seed=0), drawn(2, SIZE, SIZE, seed=1)
    amplitudes, mask = propagator.intensity(patches, probes).sqrt(), torch.ones(SIZE, SIZE, dtype=torch.bool)
    assert wave_change(patches, amplitudes, probes, mask, propagator).abs().max() < 1e-5
    amplitudes[:, 3, 5] = 1e4
    assert wave_change(patches, amplitudes, probes, mask, propagator).abs().max() > 1
    mask[3, 5] = False
    assert wave_change(patches, amplitudes, probes, mask, propagator).abs().max() < 1e-5


def test_waves_without_light_ask_for_nothing_and_stay_finite():
    dark = torch.zeros(2, SIZE, SIZE, dtype=torch.complex64)
    assert all(part.isfinite().all() for part in missing_share(dark, torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)))
    patches, mask = torch.ones(3, SIZE, SIZE, dtype=torch.complex64), torch.ones(SIZE, SIZE, dtype=torch.bool)
    change = wave_change(patches, torch.ones(3, SIZE, SIZE), dark, mask, PROPAGATORS["far"])
    assert not change.any()


def test_a_step_is_whole_in_much_light_and_damped_in_little():
    light = torch.tensor([0.0, REGULARISATION, 1.0, 1e6])
    wanted = torch.tensor(2 - 1j)
    torch.testing.assert_close(
        regularised(wanted * light, light, torch.tensor(1.0)), wanted * torch.tensor([0.0, 0.5, 1 / 1.1, 1.0])
    )


@pytest.mark.parametrize("mean", [0.003, 0.05, 0.5, 3.0, 30.0, 1e4])
def test_few_photons_ask_for_no_change_on_average(mean: float):
    counts = torch.arange(int(mean + 10 * mean**0.5 + 20), dtype=torch.float64)
    chances = torch.from_numpy(poisson.pmf(counts.numpy(), mean))
    asked = unbiased_ratio((counts / mean).sqrt() - 1, torch.full_like(counts, mean))
    assert abs((chances * asked).sum()) < 0.02
    if mean <= 0.5:
        assert (chances * (counts / mean).sqrt()).sum() - 1 < -0.2


def test_many_photons_are_asked_for_by_their_amplitude():
    intensity = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    amplitudes = 3 * intensity.flip(0).sqrt()
    expected = amplitudes / intensity.sqrt() - 1
    torch.testing.assert_close(unbiased_ratio(expected, 1e12 * intensity), expected)


def test_a_dark_model_does_not_overshoot_what_it_lacks():
    intensity = torch.logspace(-6, 2, 40, dtype=torch.float64)
    for count in (1.0, 10.0, 1e3):
        amplitude = torch.full_like(intensity, count**0.5)
        wave = intensity.sqrt() * (1 + unbiased_ratio(amplitude / intensity.sqrt() - 1, intensity))
        assert (wave <= 2 * amplitude.maximum(intensity.sqrt())).all()
        assert (wave >= 0.5 * amplitude.minimum(intensity.sqrt())).all() or count == 0
    dark = intensity.sqrt() * (1 + unbiased_ratio(torch.full_like(intensity, -1), intensity))
    assert ((dark >= 0) & (dark < intensity.sqrt())).all()
