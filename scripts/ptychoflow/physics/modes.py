"""Further modes of a probe, to be solved for."""

import numpy as np
from jaxtyping import Complex

EXTRA_MODE = 0.1
"""Amplitude of each further probe mode at the start, as a share of the first."""
COHERENCE = 0.1
"""Power of each further mode of partially coherent light at the start, as a share of the first's."""


def more_modes(
    probe: Complex[np.ndarray, "given N N"], modes: int | None, seed: int
) -> Complex[np.ndarray, "asked N N"]:
    """Give a probe (modes, N, N) as many modes as asked for: the first with random phases for those it has not."""
    missing = (modes or len(probe)) - len(probe)
    if missing < 0:
        return probe[:modes]
    phases = np.random.default_rng(seed).random((missing, *probe.shape[1:]))
    return np.concatenate([probe, EXTRA_MODE * probe[:1] * np.exp(2j * np.pi * phases)]).astype(np.complex64)


def coherence_modes(probe: Complex[np.ndarray, "given N N"], modes: int | None) -> Complex[np.ndarray, "asked N N"]:
    """Give a probe (modes, N, N) as many modes as asked for: the first's derivatives for those it has not.

    Light of a source of some width is, to first order, the coherent probe and its derivatives along the two axes, which
    are its neighbours' differences (the modes of a Gaussian Schell-model beam are Hermite-Gaussian: Starikov and Wolf,
    J. Opt. Soc. Am. 72, 923, 1982). From modes that are made of noise the way there is far longer.

    Parameters
    ----------
    probe : ndarray
        (modes, N, N) complex.
    modes : int, optional
        As many as the probe has if not given.

    Returns
    -------
    ndarray
        (modes, N, N) complex64; each further mode has `COHERENCE` of the first one's power.
    """
    missing = (modes or len(probe)) - len(probe)
    if missing <= 0:
        return probe[:modes]
    far = np.fft.fft2(probe[0])
    rows = 2j * np.pi * np.fft.fftfreq(probe.shape[-1])[:, None]
    # Along one axis, the other, both, and so on: the orders of a sum that rises.
    orders = [(order - column, column) for order in range(1, missing + 1) for column in range(order + 1)][:missing]
    further = [np.fft.ifft2(far * rows**down * rows.T**across) for down, across in orders]
    norms = [np.linalg.norm(mode) for mode in further]
    power = np.sqrt(COHERENCE) * np.linalg.norm(probe[0])
    # A probe without a slope has no such neighbours.
    scaled = [mode * (power / norm if norm > 1e-6 * power else 0) for mode, norm in zip(further, norms, strict=True)]
    return np.stack([*probe, *scaled]).astype(np.complex64)
