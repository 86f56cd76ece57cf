"""The light of modes from intensities that are known to be made of them."""

import pytest
import torch

from ptychoflow.physics.coherence import CoherenceFit


def waves_of(modes: int, frames: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(frames, modes, 8, 8, dtype=torch.complex128, generator=generator)


def fitted(waves: torch.Tensor, counts: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    fit = CoherenceFit(waves.shape[1])
    mask = torch.ones(8, 8, dtype=torch.bool) if mask is None else mask
    background, photons = torch.tensor(0.25), torch.tensor(1e4)
    for some in torch.arange(len(waves)).split(5):
        fit.add(waves[some], counts[some], background, mask, photons)
    return fit.mixture().to(waves.dtype)


@pytest.mark.parametrize("modes", [1, 2, 3])
def test_light_that_is_any_mixture_of_the_modes_is_found(modes: int):
    waves = waves_of(modes)
    mixture = torch.randn(modes, modes, dtype=waves.dtype, generator=torch.Generator().manual_seed(1))
    counts = torch.einsum("ab,fbij->faij", mixture, waves).abs().square().sum(dim=1) + 0.25
    found = fitted(waves, counts)
    # What mixes them is known up to a unitary factor, which no intensity shows.
    torch.testing.assert_close(found.mH @ found, mixture.mH @ mixture, rtol=5e-3, atol=5e-3)


def test_modes_that_have_their_light_keep_it():
    waves = waves_of(3)
    found = fitted(waves, waves.abs().square().sum(dim=1) + 0.25)
    torch.testing.assert_close(found.mH @ found, torch.eye(3, dtype=waves.dtype), rtol=0, atol=1e-5)


def test_a_mode_that_is_not_in_the_light_ends_dark_and_bad_pixels_tell_nothing():
    waves, mask = waves_of(2), torch.ones(8, 8, dtype=torch.bool)
    mask[2, 3] = False
    counts = waves[:, 0].abs().square() + 0.25
    counts[:, 2, 3] = torch.inf
    mixture = fitted(waves, torch.where(mask, counts, 1e6), mask)
    powers = torch.linalg.eigvalsh(mixture.mH @ mixture)
    torch.testing.assert_close(powers, powers.new_tensor([0.0, 1.0]), rtol=0, atol=5e-3)
