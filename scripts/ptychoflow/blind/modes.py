"""Further modes of a probe, to be solved for."""

import numpy as np

EXTRA_MODE = 0.1
"""Amplitude of each further probe mode at the start, as a share of the first."""


def more_modes(probe: np.ndarray, modes: int | None, seed: int) -> np.ndarray:
    """Give a probe (modes, N, N) as many modes as asked for: the first with random phases for those it has not."""
    missing = (modes or len(probe)) - len(probe)
    if missing < 0:
        return probe[:modes]
    phases = np.random.default_rng(seed).random((missing, *probe.shape[1:]))
    return np.concatenate([probe, EXTRA_MODE * probe[:1] * np.exp(2j * np.pi * phases)]).astype(np.complex64)
