"""The flux that photons tell, whatever a file says of it."""

import numpy as np

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.frame_blocks import blocks
from ptychoflow.data.ingested_probe import good_share
from ptychoflow.errors import InputError
from ptychoflow.physics.gauge import BRIGHT

MOST_FRAMES = 512
"""Frames that are asked, spread over the scan."""


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
