"""How much is worked on at a time: as much as a CPU's cache holds, and as a GPU needs to be busy."""

from collections.abc import Iterator

import torch
from jaxtyping import Inexact
from torch import Tensor

ON_A_CPU, ON_A_GPU = 2**18, 2**24
"""Pixels of frames and modes. Beyond its cache, more at once take a CPU longer; a GPU, whose kernels take longer to
start than so few pixels take, makes 15 times as many frames a second by the second as by the first (H200)."""


def pixels_at_once(device: torch.device) -> int:
    """Pixels of frames and modes whose waves are in memory at a time on a device, about."""
    return ON_A_CPU if device.type == "cpu" else ON_A_GPU


def pieces(frames: int, probes: Inexact[Tensor, "*axes N N"], copies: int = 1) -> Iterator[slice]:
    """Of so many frames those whose waves are in memory at a time: a few more rather than a small rest by itself.

    Parameters
    ----------
    frames : int
        How many there are of each scan.
    probes : Tensor
        (..., modes, N, N) complex, of all scans that are worked on together.
    copies : int
        How many arrays as large as the waves of a frame are made of them.
    """
    waves = frames * copies * probes.numel()
    return slices(frames, -(-frames // max(1, round(waves / pixels_at_once(probes.device)))))


def slices(count: int, most: int) -> Iterator[slice]:
    """Cut so many things into pieces of a given size, the last of which may be smaller."""
    return (slice(first, first + most) for first in range(0, count, most))
