"""What a scan holds, and what about it looks wrong before anything is reconstructed."""

import json
from dataclasses import replace
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.scan_shape import (
    disk_overlap,
    distances,
    overlap_of,
    overlap_warnings,
    probe_width,
    scan_order,
)
from ptychoflow.ingest.inspected_light import inspected_detector, inspected_frames
from ptychoflow.ingest.inspected_probe import inspected_probe
from ptychoflow.physics.geometry import wavelength_of

MOST_PIXELS = 2**23
"""Of the frames that are looked at; a second or two for those of any size."""
STUCK = 4
"""Frames at one place, beyond which others should be there as often."""
LONELY = 0.1
"""Share of the places that lie apart, up to which that is a fault and not what the scan is like."""
PAIRS = 32
"""Neighbouring frames whose scatter is compared."""


def inspect(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Describe a validated dataset, by all of its positions and by as many of its frames as take a second or two.

    Parameters
    ----------
    dataset : Dataset
        The scan; its frames may be in a file still.

    Returns
    -------
    facts : dict
        Numbers and words by name, with their units in the name.
    warnings : list of str
        One sentence each of what looks wrong.
    """
    sample, pairs = sampled(dataset)
    facts: dict[str, Any] = {"frames": len(dataset.frames), "frame_size_pixels": dataset.size}
    if len(sample.frames) < len(dataset.frames):
        facts["frames_looked_at"] = len(sample.frames)
    warnings: list[str] = []
    for own, wrong in (
        inspected_frames(sample, pairs),
        inspected_detector(sample),
        _geometry(dataset),
        inspected_probe(sample),
        _scan(dataset),
    ):
        facts |= own
        warnings += wrong
    return facts, warnings


def sampled(dataset: Dataset) -> tuple[Dataset, np.ndarray]:
    """Some of the frames of a dataset, spread over the scan, each with its nearest neighbour.

    Returns
    -------
    sample : Dataset
        Of those frames alone, in memory.
    pairs : ndarray
        (pairs, 2) int, numbers of neighbouring frames within the sample.
    """
    count = len(dataset.frames)
    few = int(np.clip(MOST_PIXELS // dataset.size**2, min(4, count), count))
    anchors = np.unique(np.linspace(0, count - 1, max(1, few // 2)).astype(int))
    partners = anchors
    if count > 1:
        from scipy.spatial import cKDTree

        near = cKDTree(dataset.positions).query(dataset.positions[anchors], k=2)[1]
        # Of frames at one place, either may come first.
        partners = np.where(near[:, 0] == anchors, near[:, 1], near[:, 0])
    rows = np.arange(count) if few == count else np.unique([anchors, partners])
    chosen = anchors != partners
    pairs = np.stack([np.searchsorted(rows, numbers[chosen]) for numbers in (anchors, partners)], axis=1)
    pairs = pairs[np.unique(np.linspace(0, len(pairs) - 1, PAIRS).astype(int))] if len(pairs) > PAIRS else pairs
    own = {"frames": np.asarray(dataset.frames[rows]), "positions": dataset.positions[rows], "true_positions": None}
    return replace(dataset, **own), pairs


def as_json(facts: dict[str, Any], warnings: list[str]) -> str:
    """Give facts and warnings as one JSON object."""
    return json.dumps(facts | {"warnings": warnings}, indent=2, ensure_ascii=False)


def as_text(facts: dict[str, Any], warnings: list[str]) -> str:
    """Give facts and warnings as lines, a fact or a warning each."""
    width = max(len(name) for name in facts)
    lines = [f"{name.replace('_', ' '):{width}}  {_written(value)}" for name, value in facts.items()]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in warnings)])


def _written(value: Any) -> str:
    if value is None:
        return "not told by the frames"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_written(part)}" for name, part in value.items())
    return ", ".join(map(_written, value)) if isinstance(value, list) else str(value)


def _geometry(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    facts = {
        "propagation": dataset.propagation,
        "energy_eV": dataset.energy,
        "wavelength_m": wavelength_of(dataset.energy),
        "detector_distance_m": dataset.detector_distance,
        "detector_pixel_size_m": dataset.detector_pixel_size,
        "pixel_size_m": dataset.pixel_size,
    }
    if dataset.propagation == "near":
        return facts | {"fresnel_number_of_pixel": dataset.fresnel_number}, []
    aperture = dataset.size * dataset.detector_pixel_size / 2 / dataset.detector_distance
    warnings = []
    if aperture > 0.5:
        warnings.append(
            f"the detector's half width over its distance is {aperture:.2g}: expected well below 1, so that the far "
            "field is a Fourier transform (detector_distance, detector_pixel_size)"
        )
    return facts | {"numerical_aperture": aperture}, warnings


def _scan(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    positions, width = dataset.positions, probe_width(dataset.probe)
    extent = np.ptp(positions, axis=0)
    facts: dict[str, Any] = {"extent_pixels": extent.tolist(), "extent_m": (extent * dataset.pixel_size).tolist()}
    facts["object_shape"] = list(dataset.object_shape)
    if len(positions) < 2:
        return facts, ["there is one frame: expected several that overlap"]
    step, _ = distances(positions)
    from scipy.spatial import cKDTree

    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    facts |= {
        "step_pixels": step,
        "step_m": step * dataset.pixel_size,
        "scan_order": scan_order(positions),
        "overlap_of_diameter": overlap_of(step, width),
        "overlap_of_area": disk_overlap(step / width),
        "frames_at_same_place": int(np.count_nonzero(nearest < 1e-6)),
    }
    warnings = []
    if extent.max() < 1:
        warnings.append(
            f"the scan extends over {extent.max():.2g} pixels: expected many (units of positions, geometry)"
        )
    elif dataset.probe_known:
        warnings += overlap_warnings(step, width)
    return facts, warnings + position_faults(positions, dataset.size)


def position_faults(positions: np.ndarray, size: int) -> list[str]:
    """Say where single positions lie off the scan, or stand still while others move.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float, pixels.
    size : int
        Edge length N of a frame.
    """
    warnings = []
    places, back, counts = np.unique(np.round(positions, 3), axis=0, return_inverse=True, return_counts=True)
    most = int(counts.max())
    if len(places) > 1 and most > max(STUCK, 3 * np.median(counts)):
        first = int(np.flatnonzero(back.reshape(-1) == counts.argmax())[0])
        warnings.append(
            f"{most} frames, from frame {first} on, have one position while others have their own: expected a scan "
            "that moves (frames.leave_out)"
        )
    if len(places) > STUCK:
        from scipy.spatial import cKDTree

        alone = np.flatnonzero(cKDTree(places).query(places, k=2)[0][:, 1] > size)
        if 0 < len(alone) <= LONELY * len(places):
            numbers = np.flatnonzero(np.isin(back.reshape(-1), alone))
            some = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
            warnings.append(
                f"frames {some} lie further from all others than a frame is wide: expected positions without gaps "
                f"(frames.leave_out: [{some}])"
            )
    return warnings
