"""Tests of `ptychoflow.physics.asked_waves`; what it asks is held against gradients in test_joint_steps.py."""

import torch

from ptychoflow.physics.asked_waves import photon_noise


def test_the_noise_of_an_amplitude_is_that_of_drawn_photons():
    photons = torch.logspace(-3, 4, 29, dtype=torch.float64)
    counts = torch.arange(12000, dtype=torch.float64)
    chance = (torch.xlogy(counts, photons[:, None]) - photons[:, None] - torch.lgamma(counts + 1)).exp()
    expected = (chance * (photons[:, None].sqrt() - counts.sqrt()).square()).sum(dim=1)
    torch.testing.assert_close(photon_noise(photons), expected, rtol=0.08, atol=0)
