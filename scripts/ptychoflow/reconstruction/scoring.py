"""All scores of one reconstruction of one dataset."""

import json
from pathlib import Path

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.metrics.alignment import between_probes, moved_area, probe_radius, register, scored_area
from ptychoflow.metrics.doubts import LEAST_EXPLAINED, LEAST_VARIATION, doubts
from ptychoflow.metrics.lattice import lattice_shares
from ptychoflow.metrics.names import SCORES, THRESHOLDS
from ptychoflow.metrics.resolution import RingCorrelation, ring_correlation
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.reconstruction.file import Reconstruction, as_reconstructed, seconds_of
from ptychoflow.reconstruction.photons import photon_scores
from ptychoflow.reconstruction.stitching import coverage_of

KINDS = {"truth": "frc", "halves": "split_frc"}
"""What the crossings of a Fourier ring correlation are called, by what was correlated with."""
LEAST_PEARSON = 0.5
"""Correlation with the truth below which it shows something else: not a quarter of what varies is right."""


def score(
    reconstruction: Reconstruction, dataset: Dataset, reference: Reconstruction | None = None
) -> tuple[dict[str, float | int | None], dict[str, RingCorrelation]]:
    """Compute all scores and the Fourier ring correlations.

    Parameters
    ----------
    reconstruction : Reconstruction
        What to score.
    dataset : Dataset
        The frames it was made from, with the true object if there is one; its positions are turned as the
        reconstruction found them to run.
    reference : Reconstruction, optional
        Another reconstruction of the dataset to compare with, where the network saw no light in training.

    Returns
    -------
    scores : dict
        Flat, as docs/scores.md describes them; what cannot be computed is None.
    correlations : dict
        ``truth``: with the true object; ``halves``: between the objects of the even and of the odd frames, where those
        know nothing of each other. What has no rings is left out.

    Raises
    ------
    InputError
        Where reconstruction and dataset do not belong together, or no light fell.
    """
    dataset, count = as_reconstructed(dataset, reconstruction), len(reconstruction.positions)
    if not count or not reconstruction.coverage.any():
        raise InputError(f"the reconstruction has {count} frames and no light: expected at least one frame with some")
    scores: dict[str, float | int | None] = dict.fromkeys(SCORES)
    area = scored_area(reconstruction.coverage, reconstruction.probe, reconstruction.positions)
    correlations = {}
    scores["variation"] = variation(reconstruction.object, area)
    if dataset.truth is not None:
        probes = between_probes(reconstruction.probe, dataset.reference_probe)
        aligned, shift = register(reconstruction.object, dataset.truth, area, *probes)
        lit = moved_area(area, shift)
        scores |= similarity_scores(aligned, dataset.truth, lit)
        correlations["truth"] = ring_correlation(aligned, dataset.truth, lit)
    if np.isfinite(reconstruction.halves).all():
        correlations["halves"] = _correlated_halves(reconstruction, area)
    if reference is not None:
        unseen = area & ~trained_area(reconstruction)
        compared = unseen if unseen.any() else area
        probes = between_probes(reconstruction.probe, reference.probe)
        aligned, shift = register(reconstruction.object, reference.object, compared, *probes)
        pairs = similarity_scores(aligned, reference.object, moved_area(compared, shift))
        scores |= {f"reference_{name}": pairs[name] for name in ("amplitude_pearson", "phase_pearson")}
    correlations = {name: rings for name, rings in correlations.items() if len(rings.frequency)}
    for name, rings in correlations.items():
        for threshold in THRESHOLDS:
            key = f"{KINDS[name]}_{threshold}"
            scores[key] = rings.crossing(threshold)
            scores[f"{key}_nm"] = 1e9 * reconstruction.pixel_size / scores[key]
    scores |= lattice_shares(reconstruction.object, area, reconstruction.positions)
    scores |= photon_scores(reconstruction, dataset)
    likeness = scores["complex_pearson"]
    scores["collapsed"] = _empty(scores) or (likeness is not None and likeness < LEAST_PEARSON)
    scores["frames"] = count
    scores["seconds"] = seconds_of(reconstruction.provenance)
    return scores, correlations


def _correlated_halves(reconstruction: Reconstruction, area: np.ndarray) -> RingCorrelation:
    even, odd = reconstruction.halves
    # Halves that were solved for with probes of their own lie as far apart as those.
    apart = reconstruction.provenance.get("half_displacements")
    start = None if apart is None else np.subtract(apart[1], apart[0])
    aligned, shift = register(even, odd, area, start, probe_radius(reconstruction.probe))
    return ring_correlation(aligned, odd, moved_area(area, shift))


def own_scores(reconstruction: Reconstruction, dataset: Dataset) -> dict[str, float | bool | None]:
    """What can be doubted without the truth, by the names of `SCORES` and as `score` computes it."""
    area = scored_area(reconstruction.coverage, reconstruction.probe, reconstruction.positions)
    scores = {**photon_scores(reconstruction, dataset), "variation": variation(reconstruction.object, area)}
    return {
        **scores,
        "collapsed": _empty(scores),
        **lattice_shares(reconstruction.object, area, reconstruction.positions),
    }


def _empty(scores: dict[str, float | bool | None]) -> bool:
    """Whether an image shows next to nothing, though its photons tell of more."""
    share = scores["explained_share"]
    explains = scores["featureless"] or (share is not None and share >= LEAST_EXPLAINED)
    return not scores["variation"] >= LEAST_VARIATION and not explains


def known_doubts(reconstruction: Reconstruction, dataset: Dataset) -> list[str]:
    """What the record of a reconstruction says is doubtful, or its own scores where the record does not say."""
    recorded = reconstruction.provenance.get("warnings")
    if recorded is not None:
        return list(recorded)
    dataset = turned_dataset(dataset, reconstruction.orientation)
    return doubts(own_scores(reconstruction, dataset))


def trained_area(reconstruction: Reconstruction) -> np.ndarray:
    """Where light of the frames that a network was trained on fell, (H, W) bool."""
    trained = reconstruction.trained
    positions = reconstruction.positions[[] if trained is None else trained]
    coverage = coverage_of(reconstruction.probe, positions, reconstruction.object.shape)
    return coverage > 0.1 * np.median(reconstruction.coverage[reconstruction.coverage > 0])


def variation(image: np.ndarray, area: np.ndarray) -> float:
    """Standard deviation of a complex object over the scored area, as a share of its mean amplitude."""
    return float(np.std(image[area]) / max(np.abs(image[area]).mean(), 1e-12))


def write_scores(path: Path, scores: dict[str, float | int | None]) -> None:
    """Write the scores as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(scores, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_scores(path: Path) -> dict[str, float | int | None]:
    """Read the JSON that `write_scores` wrote.

    Raises
    ------
    InputError
        Where it is none.
    """
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}): expected the scores that evaluate.py wrote") from None
    if not isinstance(scores, dict):
        raise InputError(f"{path} holds no scores by name: expected what evaluate.py wrote")
    return scores
