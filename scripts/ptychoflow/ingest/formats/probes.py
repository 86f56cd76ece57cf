"""Probes of files, brought into one shape."""

import logging

import numpy as np

from ptychoflow.errors import InputError

log = logging.getLogger(__name__)


def probe_modes(probe: np.ndarray) -> np.ndarray:
    """Drop leading axes of length one and keep one for the modes, or the last for them, (modes, N, N) complex64."""
    if not np.iscomplexobj(probe):
        if probe.ndim == 3 and 2 in (probe.shape[0], probe.shape[-1]):
            raise InputError(
                f"the probe has shape {probe.shape} and real numbers, which seem to be its two parts: expected complex "
                "numbers"
            )
        log.warning(
            "the probe holds real numbers, %s: expected complex ones, for amplitudes or intensities have no phase "
            "(probe_diameter draws a disk in its place)",
            probe.dtype,
        )
    if probe.ndim == 3 and probe.shape[0] == probe.shape[1] != probe.shape[2]:
        probe = np.moveaxis(probe, -1, 0)
    if probe.ndim < 2 or probe.shape[-1] != probe.shape[-2] or probe.size == 0:
        raise InputError(f"the probe has shape {probe.shape}: expected (N, N) or (modes, N, N)")
    modes = probe.shape[-3] if probe.ndim > 2 else 1
    if probe.size != modes * probe.shape[-1] ** 2:
        raise InputError(f"the probe has shape {probe.shape}: expected (N, N) or (modes, N, N)")
    return probe.reshape(modes, *probe.shape[-2:]).astype(np.complex64)


def first_coherent(probe: np.ndarray) -> np.ndarray:
    """Keep the first of coherent modes (coherent, incoherent, N, N), the mean probe where it varies over a scan."""
    return probe_modes(probe[0] if probe.ndim == 4 else probe)
