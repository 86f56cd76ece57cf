"""The flux that photons tell, whatever a file says of it."""

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.frame_blocks import blocks
from ptychoflow.dataset.scan_shape import empty_beam
from ptychoflow.errors import InputError
from ptychoflow.physics.gauge import BRIGHT

MOST_FRAMES = 512
"""Frames that are asked, spread over the scan."""
LEAST_SHARE = 1e-6
"""Of the probe's light on good pixels, from which the flux can be told; less is what rounding leaves of none."""


def probe_by_photons(dataset: Dataset, frames: np.ndarray) -> np.ndarray:
    """Scale the probe of a dataset so that its empty beam is as bright as the brightest frames.

    Object and probe may trade a factor without any photon noticing. This one is that of `ingest`: right for a sample
    with a clear spot in the field, which then has an amplitude of 1.

    Parameters
    ----------
    dataset : Dataset
        Its probe, and frames that have photons.
    frames : ndarray
        (frames,) int, those that may be asked.

    Returns
    -------
    ndarray
        (modes, N, N) complex64, Σ|P|² = photons in the empty beam.

    Raises
    ------
    InputError
        Where the frames are dark.
    """
    some = frames[:: -(-len(frames) // MOST_FRAMES)]
    parts = blocks(len(some), dataset.mask.shape)
    photons = np.concatenate([dataset.frames[some[part]][:, dataset.mask].sum(axis=1) for part in parts])
    flux = np.quantile(photons, BRIGHT) / good_share(dataset.probe, dataset.mask, dataset.fresnel_number)
    if not flux > 0:
        raise InputError(f"{len(some)} frames have no photons: expected some that tell the flux (learn_flux)")
    return (dataset.probe * np.sqrt(flux / np.sum(np.abs(dataset.probe) ** 2))).astype(np.complex64)


def good_share(probe: np.ndarray, mask: np.ndarray, fresnel_number: float | None = None) -> float:
    """Share of the light that a probe sends to good pixels, which alone tell of the flux.

    Parameters
    ----------
    probe : ndarray
        (modes, N, N) complex.
    mask : ndarray
        (N, N) bool, True for good pixels.
    fresnel_number : float, optional
        Of a pixel in a near field; None in the far field.

    Raises
    ------
    InputError
        Where hardly any of it falls on a good pixel.
    """
    if mask.all():
        return 1.0
    light = empty_beam(probe, fresnel_number)
    share = float(light[mask].sum() / light.sum())
    if share < LEAST_SHARE:
        raise InputError(
            f"a share of {share:.2g} of the probe's light falls on good pixels: expected at least {LEAST_SHARE:g}, or "
            "the setting flux"
        )
    return share
