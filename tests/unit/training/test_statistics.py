"""The statistics of training are those of the optimiser, the gradients and the machine."""

import pytest
import torch

from ptychoflow.training.statistics import memory_mb, optimizer_statistics


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.zeros(3))]


def test_adam_has_two_betas_and_plain_descent_its_momentum():
    adam = torch.optim.AdamW(parameters(), lr=0.1, betas=(0.8, 0.95))
    assert optimizer_statistics(adam) == {"train/lr": 0.1, "train/beta1": 0.8, "train/beta2": 0.95}
    descent = torch.optim.SGD(parameters(), lr=0.2, momentum=0.7)
    assert optimizer_statistics(descent) == {"train/lr": 0.2, "train/momentum": 0.7}


def test_the_probe_has_its_own_rate():
    optimizer = torch.optim.AdamW([{"params": parameters()}, {"params": parameters(), "lr": 0.5}], lr=0.1)
    assert optimizer_statistics(optimizer)["train/probe_lr"] == 0.5


@pytest.mark.slow
def test_memory_grows_by_what_is_taken():
    before = memory_mb(torch.device("cpu"))
    # Peak memory only grows once it is passed again.
    block = torch.ones(int(before + 64) * 2**18)
    assert memory_mb(torch.device("cpu")) >= before + 60
    assert block.sum() > 0
