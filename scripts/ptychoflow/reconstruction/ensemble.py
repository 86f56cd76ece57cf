"""How far images may be off at each pixel: by what several seeds differ in, or by what one says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.errors import InputError
from ptychoflow.metrics.alignment import align, between_probes, scored_area
from ptychoflow.provenance.record import circumstances
from ptychoflow.reconstruction.file import Reconstruction, image_file, read_image

ARRAYS = ("object", "amplitude_deviation", "phase_deviation", "area", "predicted", "found")
BINS = 10


@dataclass
class Ensemble:
    """Reconstructions of one dataset by several seeds, together.

    Parameters
    ----------
    object : ndarray
        (H, W) complex64, their mean.
    amplitude_deviation, phase_deviation : ndarray
        (H, W) float32, standard deviation over the seeds; radians for the phase.
    area : ndarray
        (H, W) bool, where they are compared.
    predicted, found : ndarray
        (2, bins) float64, for amplitude and phase: the deviation in tenths of the area, from where the seeds agree most
        to where they agree least, and the root mean square error of single seeds there. NaN where no truth is known.
    pixel_size : float
        Metres at the sample.
    provenance : dict
        What made it.
    """

    object: np.ndarray
    amplitude_deviation: np.ndarray
    phase_deviation: np.ndarray
    area: np.ndarray
    predicted: np.ndarray
    found: np.ndarray
    pixel_size: float
    provenance: dict[str, Any] = field(default_factory=dict)


def combine(reconstructions: list[Reconstruction], dataset: Dataset) -> Ensemble:
    """Bring reconstructions to one place, scale and phase, and see where they differ.

    Parameters
    ----------
    reconstructions : list of Reconstruction
        Of the same dataset, two at least.
    dataset : Dataset
        That dataset; its true object is the reference where there is one, else the first reconstruction.

    Raises
    ------
    InputError
        Where there are too few, or they have different shapes.
    """
    shapes = {one.object.shape for one in reconstructions}
    if len(reconstructions) < 2 or len(shapes) > 1:
        raise InputError(
            f"{len(reconstructions)} reconstructions have shapes {sorted(shapes)}: expected two or more of one shape"
        )
    axes = {one.orientation for one in reconstructions}
    if len(axes) > 1:
        raise InputError(
            f"the reconstructions found the axes of the positions to run in {len(axes)} ways: expected one, as ingest "
            "says it, and reconstruction.orientation false"
        )
    first = reconstructions[0]
    dataset = turned_dataset(dataset, *axes)
    area = scored_area(first.coverage, first.probe, first.positions)
    reference, probe = (
        (first.object, first.probe) if dataset.truth is None else (dataset.truth, dataset.reference_probe)
    )
    members = np.stack(
        [align(one.object, reference, area, *between_probes(one.probe, probe)) for one in reconstructions]
    )
    mean = members.mean(axis=0)
    # Phases about the mean's own: a difference never wraps.
    deviations = [np.abs(members).std(axis=0, ddof=1), np.angle(members * mean.conj()).std(axis=0, ddof=1)]
    provenance = {
        "result": "ensemble",
        "data": dataset.provenance,
        "members": [one.provenance for one in reconstructions],
        **circumstances(),
    }
    return _ensemble(mean, members, dataset.truth, deviations, area, first.pixel_size, provenance)


def own_uncertainty(reconstruction: Reconstruction, dataset: Dataset) -> Ensemble:
    """What one reconstruction says of its own error, in the form of an ensemble; parameters as in `combine`.

    Raises
    ------
    InputError
        Where it says nothing.
    """
    if reconstruction.amplitude_deviation is None or reconstruction.phase_deviation is None:
        raise InputError(
            "the reconstruction has no amplitude_deviation: expected one of the pretrained network with "
            "reconstruction.uncertainty true"
        )
    dataset = turned_dataset(dataset, reconstruction.orientation)
    deviations = reconstruction.amplitude_deviation, reconstruction.phase_deviation
    area, image = np.isfinite(deviations[0]), reconstruction.object
    if dataset.truth is not None:
        probes = between_probes(reconstruction.probe, dataset.reference_probe)
        aligned = align(image, dataset.truth, area, *probes)
        # The object's scale is free: its deviation is in units of what it came to have.
        scale = np.abs(aligned[area]).mean() / np.abs(image[area]).mean()
        image, deviations = aligned, (scale * deviations[0], deviations[1])
    size, provenance = reconstruction.pixel_size, reconstruction.provenance
    return _ensemble(image, image[None], dataset.truth, deviations, area, size, provenance)


def _ensemble(
    image: np.ndarray,
    members: np.ndarray,
    truth: np.ndarray | None,
    deviations: Sequence[np.ndarray],
    area: np.ndarray,
    pixel_size: float,
    provenance: dict[str, Any],
) -> Ensemble:
    """The ensemble of an image (H, W), whose deviations are held against the errors of its members (members, H, W)."""
    predicted, found = _calibrations(members, truth, deviations, area)
    return Ensemble(
        object=image.astype(np.complex64),
        amplitude_deviation=deviations[0].astype(np.float32),
        phase_deviation=deviations[1].astype(np.float32),
        area=area,
        predicted=predicted,
        found=found,
        pixel_size=pixel_size,
        provenance=provenance,
    )


def _calibrations(
    members: np.ndarray, truth: np.ndarray | None, deviations: Sequence[np.ndarray], area: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and found deviations (2, BINS) of amplitude and phase of images (members, H, W); NaN without truth."""
    if truth is None:
        return np.full((2, BINS), np.nan), np.full((2, BINS), np.nan)
    errors = [np.abs(members) - np.abs(truth), np.angle(members * truth.conj())]
    pairs = [calibration(d[area], e[:, area]) for d, e in zip(deviations, errors, strict=True)]
    predicted, found = (np.stack(parts) for parts in zip(*pairs, strict=True))
    return predicted, found


def calibration(deviation: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare what an ensemble says of its error with its error.

    Parameters
    ----------
    deviation : ndarray
        (pixels,) float, standard deviation over the members.
    errors : ndarray
        (members, pixels) float, difference of each from the truth.

    Returns
    -------
    predicted, found : ndarray
        (bins,) float64, root mean square of both in equally filled bins of rising deviation.
    """
    bins = np.array_split(np.argsort(deviation, kind="stable"), BINS)
    predicted = [np.sqrt(np.mean(deviation[pixels] ** 2)) for pixels in bins]
    return np.array(predicted), np.array([np.sqrt(np.mean(errors[:, pixels] ** 2)) for pixels in bins])


def write_ensemble(path: Path, ensemble: Ensemble) -> None:
    """Write an ensemble as HDF5, whole or not at all."""
    with image_file(path, ensemble, ARRAYS):
        pass


def read_ensemble(path: Path) -> Ensemble:
    """Read what `write_ensemble` wrote.

    Raises
    ------
    InputError
        Where the file is no HDF5 file or a key is missing.
    """
    return Ensemble(**read_image(path, ARRAYS, "an ensemble written by combine_seeds.py"))
