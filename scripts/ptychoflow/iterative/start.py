"""The reconstruction that a solver starts from: whether it is better than nothing, and what a record says of it."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ingest_settings_of
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.metrics.alignment import scored_area
from ptychoflow.metrics.doubts import LEAST_VARIATION
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, seconds_of
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.scoring import read_scores, variation

log = logging.getLogger(__name__)

FRAMES = 256
"""Whose photons judge an image to start from."""


def sound_start(path: Path, dataset: Dataset, data: Path, scores: Path | None = None) -> Reconstruction:
    """Read a reconstruction to start from, once it is sure that it is better than nothing.

    Parameters
    ----------
    path : Path
        The reconstruction.
    dataset : Dataset
        What is to be solved for from there.
    data : Path
        Its file, for messages.
    scores : Path, optional
        What evaluate.py wrote about the reconstruction.

    Raises
    ------
    InputError
        Where it does not belong to the dataset, is empty, or is recorded to have collapsed. One that explains the
        photons worse than an empty object under the dataset's probe is warned of.
    """
    earlier = read_reconstruction(path)
    if earlier.orientation:
        keys = ingest_settings_of(earlier.orientation, dataset.provenance)
        raise InputError(
            f"{path} has the axes of its positions otherwise than {data}: expected a dataset ingested with {keys}, and "
            "a start made from it"
        )
    if earlier.object.shape != tuple(dataset.object_shape) or earlier.probe.shape[1:] != dataset.probe.shape[1:]:
        raise InputError(
            f"{path} has an object of {earlier.object.shape} and a probe of {earlier.probe.shape[1:]} pixels: "
            f"expected those of {data}, {tuple(dataset.object_shape)} and {dataset.probe.shape[1:]}"
        )
    record = earlier.provenance if scores is None else read_scores(scores)
    varied = variation(earlier.object, scored_area(earlier.coverage, earlier.probe, earlier.positions))
    if record.get("collapsed") or not varied >= LEAST_VARIATION:
        empty = f"empty, it varies by {varied:.2g} of its mean"
        found = "collapsed, by its scores" if record.get("collapsed") else empty
        raise InputError(
            f"{path} is {found}: expected an image to start from that shows something; without start_from the solver "
            "begins with an empty object"
        )
    everything = np.arange(len(dataset.frames))
    some = everything[:: -(-len(everything) // FRAMES)]
    placed = replace(earlier, positions=dataset.positions)
    nothing = replace(placed, object=np.ones_like(earlier.object), probe=dataset.probe, background=0.0)
    own, none = (photon_deviance(one, dataset, some) for one in (placed, nothing))
    if not own < none:
        log.warning(
            "%s explains the photons worse than nothing: deviance %.3g, that of an empty object under the dataset's "
            "probe %.3g; expected a start that is better, or none (start_from)",
            path,
            own,
            none,
        )
    return earlier


def unseen_by(earlier: Reconstruction, held_out: np.ndarray) -> np.ndarray:
    """Those of the held-out frames (chosen,) int64 that the image to start from was not made from either."""
    left_out = earlier.held_out
    if earlier.provenance.get("held_out_seen"):  # as earlier versions say of networks that were given all frames
        left_out = np.zeros_like(left_out)
    unseen = np.setdiff1d(held_out, np.flatnonzero(~left_out))
    if len(unseen) < len(held_out):
        log.warning(
            "the image to start from was made from %d of the %d frames that are held out: expected the same share and "
            "seed of both, and those frames judge nothing now",
            len(held_out) - len(unseen),
            len(held_out),
        )
    return unseen


def origin_of(path: Path, earlier: Reconstruction) -> dict[str, Any]:
    """What a record says of the reconstruction that was started from."""
    return {
        "start_file": str(path),
        "start_sha256": sha256_of(path),
        "start": earlier.provenance,
        "starting_seconds": seconds_of(earlier.provenance),
    }
