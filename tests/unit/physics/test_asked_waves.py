"""Tests of `ptychoflow.physics.asked_waves`; what it asks is held against gradients in test_joint_steps.py."""

import logging

import pytest
import torch

from ptychoflow.physics import asked_waves
from ptychoflow.physics.asked_waves import photon_noise


def test_the_noise_of_an_amplitude_is_that_of_drawn_photons():
    photons = torch.logspace(-3, 4, 29, dtype=torch.float64)
    counts = torch.arange(12000, dtype=torch.float64)
    chance = (torch.xlogy(counts, photons[:, None]) - photons[:, None] - torch.lgamma(counts + 1)).exp()
    expected = (chance * (photons[:, None].sqrt() - counts.sqrt()).square()).sum(dim=1)
    torch.testing.assert_close(photon_noise(photons), expected, rtol=0.08, atol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, whose kernel tests/gpu holds against torch")
def test_where_the_kernel_cannot_be_made_it_is_said_once_and_torch_computes(caplog: pytest.LogCaptureFixture):
    asked_waves._fused.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert asked_waves._fused() is None
        assert asked_waves._fused() is None
    assert [record.message.split(": ")[0] for record in caplog.records] == [
        "steps on a GPU are made by torch, which takes longer than by Triton"
    ]
