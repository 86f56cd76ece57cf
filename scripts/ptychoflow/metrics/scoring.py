"""All scores of one reconstruction of one dataset."""

import json
from pathlib import Path

import numpy as np
import torch

from ptychoflow.data.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.metrics.alignment import align, scored_area
from ptychoflow.metrics.resolution import RingCorrelation, ring_correlation
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.losses import poisson_deviance
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction import Reconstruction, seconds_of
from ptychoflow.stitching import coverage_of

THRESHOLDS = ("half", "half_bit", "one_seventh")
SCORES = (
    *(
        f"{image}_{score}"
        for score in ("ssim", "ssim_uniform", "psnr", "psnr_legacy", "mae")
        for image in ("amplitude", "phase")
    ),
    *("amplitude_pearson", "phase_pearson", "complex_pearson", "variation", "collapsed"),
    *("reference_amplitude_pearson", "reference_phase_pearson"),
    *("complex_nrmse", "frc_half", "frc_half_bit", "frc_one_seventh", "deviance", "frames", "seconds"),
)
FRAMES_AT_ONCE = 256
LEAST_VARIATION = 0.02
"""Standard deviation of an object as a share of its mean amplitude, below which it shows nothing."""
LEAST_PEARSON = 0.5
"""Correlation with the truth below which it shows something else: not a quarter of what varies is right."""


def score(
    reconstruction: Reconstruction, dataset: Dataset, reference: Reconstruction | None = None
) -> tuple[dict[str, float | int | None], RingCorrelation]:
    """Compute all scores and the Fourier ring correlation.

    Parameters
    ----------
    reconstruction : Reconstruction
        What to score.
    dataset : Dataset
        The frames it was made from, with the true object if there is one.
    reference : Reconstruction, optional
        Another reconstruction of the dataset to compare with, where the network saw no light in training.

    Returns
    -------
    scores : dict
        Flat; what cannot be computed is None. ``frc_*`` are fractions of Nyquist and ``frc_*_nm`` the half-periods they
        stand for in nanometres; ``deviance`` is the Poisson deviance per good pixel of the held-out frames;
        ``collapsed`` says whether the object is empty or unlike the truth, which a loss alone does not tell.
    correlation : RingCorrelation
        With the true object, or without one between the objects of the even and of the odd frames; of no rings where
        there are none that know nothing of each other.

    Raises
    ------
    InputError
        Where reconstruction and dataset do not belong together.
    """
    count = len(reconstruction.positions)
    if reconstruction.object.shape != tuple(dataset.object_shape) or count > len(dataset.frames):
        raise InputError(
            f"the reconstruction has {count} frames and an object of {reconstruction.object.shape} pixels: "
            f"expected those of the dataset, {len(dataset.frames)} and {tuple(dataset.object_shape)}"
        )
    scores: dict[str, float | int | None] = dict.fromkeys(SCORES)
    area = scored_area(reconstruction.coverage, reconstruction.probe, reconstruction.positions)
    scores["variation"] = variation(reconstruction.object, area)
    if dataset.truth is not None:
        aligned = align(reconstruction.object, dataset.truth, area)
        scores.update(similarity_scores(aligned, dataset.truth, area))
        correlation = ring_correlation(aligned, dataset.truth, area)
    elif np.isfinite(reconstruction.halves).all():
        even, odd = reconstruction.halves
        correlation = ring_correlation(align(even, odd, area), odd, area)
    else:
        correlation = RingCorrelation(*np.empty((3, 0)))
    likeness = scores["complex_pearson"]
    scores["collapsed"] = scores["variation"] < LEAST_VARIATION or (likeness is not None and likeness < LEAST_PEARSON)
    if reference is not None:
        unseen = area & ~trained_area(reconstruction)
        compared = unseen if unseen.any() else area
        pairs = similarity_scores(align(reconstruction.object, reference.object, compared), reference.object, compared)
        scores |= {f"reference_{name}": pairs[name] for name in ("amplitude_pearson", "phase_pearson")}
    for name in THRESHOLDS if len(correlation.frequency) else ():
        crossing = correlation.crossing(name)
        scores[f"frc_{name}"] = crossing
        scores[f"frc_{name}_nm"] = 1e9 * reconstruction.pixel_size / crossing
    held_out = np.flatnonzero(reconstruction.held_out)
    scores["deviance"] = photon_deviance(reconstruction, dataset, held_out) if held_out.size else None
    scores["frames"] = count
    scores["seconds"] = seconds_of(reconstruction.provenance)
    return scores, correlation


def trained_area(reconstruction: Reconstruction) -> np.ndarray:
    """Where light of the frames that were trained on or fitted fell, (H, W) bool."""
    positions = reconstruction.positions[~reconstruction.held_out]
    coverage = coverage_of(reconstruction.probe, positions, reconstruction.object.shape)
    return coverage > 0.1 * np.median(reconstruction.coverage[reconstruction.coverage > 0])


def variation(image: np.ndarray, area: np.ndarray) -> float:
    """Standard deviation of a complex object over the scored area, as a share of its mean amplitude."""
    return float(np.std(image[area]) / max(np.abs(image[area]).mean(), 1e-12))


def photon_deviance(reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray) -> float:
    """Poisson deviance per good pixel of measured frames under the stitched object and its probe."""
    canvas = torch.from_numpy(reconstruction.object)[None]
    probe = torch.from_numpy(reconstruction.probe)
    mask = torch.from_numpy(dataset.mask)
    propagator = Propagator(dataset.size, dataset.fresnel_number)
    total = 0.0
    for chosen in np.array_split(frames, -(-len(frames) // FRAMES_AT_ONCE)):
        places = torch.from_numpy(reconstruction.positions[chosen]).float()[None]
        expected = propagator.intensity(extract_patches(canvas, places, probe.shape[-1])[0], probe)
        counts = torch.from_numpy(dataset.frames[chosen])
        total += len(chosen) * float(poisson_deviance(torch.fft.fftshift(expected, dim=(-2, -1)), counts, mask))
    return total / len(frames)


def write_scores(path: Path, scores: dict[str, float | int | None]) -> None:
    """Write the scores as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n", encoding="utf-8")
