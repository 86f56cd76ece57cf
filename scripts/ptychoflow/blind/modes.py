"""Further modes of a probe, to be solved for."""

import torch
from torch import Tensor

EXTRA_MODE = 0.1
"""Amplitude of each further probe mode at the start, as a share of the first."""


def more_modes(probe: Tensor, modes: int, seed: int) -> Tensor:
    """Give a probe (modes, N, N) as many modes as asked for: the first with random phases for those it has not."""
    missing = modes - len(probe)
    if missing <= 0:
        return probe[:modes]
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * torch.pi * torch.rand(missing, *probe.shape[1:], generator=generator)
    return torch.cat([probe, EXTRA_MODE * probe[:1] * torch.polar(torch.ones_like(phases), phases)])
