"""What a page says about a result in words and numbers, each with its unit."""

from typing import Any

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction, seconds_of

SHOWN = (
    ("deviance", "deviance of the frames held out", "per pixel"),
    ("fitted_deviance", "deviance of all frames, all fitted", "per pixel"),
    ("expected_deviance", "that of a perfect model", "per pixel"),
    ("misfit", "misfit, one over the other", ""),
    ("explained_share", "share of what frames differ by that is explained", "%"),
    ("frc_half_bit_nm", "half-period at half a bit, with the true object", "nm"),
    ("split_frc_half_bit_nm", "half-period at half a bit, between halves", "nm"),
    ("amplitude_ssim", "similarity of the amplitude to the true one (SSIM)", ""),
    ("phase_ssim", "similarity of the phase to the true one (SSIM)", ""),
    ("phase_psnr", "peak signal to noise of the phase", "dB"),
    ("lattice_share", "share of the phase's variance in the scan's lattice", "%"),
    ("seconds", "time from dataset to image", "s"),
)
"""Scores by name, what they are, and their unit; docs/scores.md has all."""


def score_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of `SHOWN`, each value with its unit."""
    rows = []
    for name, label, unit in SHOWN:
        value = scores.get(name)
        if value is not None:
            value = 100 * value if unit == "%" else value
            rows.append((label, f"{value:.4g} {unit}".strip()))
    return rows


def facts(reconstruction: Reconstruction, dataset: Dataset) -> list[tuple[str, str]]:
    """Where a result came from, in short; its whole record stands below."""
    made, height, width = reconstruction.provenance, *reconstruction.object.shape
    nanometres = 1e9 * reconstruction.pixel_size
    held_out = int(reconstruction.held_out.sum())
    rows = [
        ("method", made.get("method")),
        ("data", made.get("data_file")),
        ("sha256 of the data", made.get("data_sha256")),
        ("network", made.get("checkpoint_file")),
        ("sha256 of the network", made.get("checkpoint_sha256")),
        ("seed", made.get("seed")),
        ("frames", f"{len(reconstruction.positions)} of {dataset.size}×{dataset.size} pixels, {held_out} held out"),
        ("object", f"{height}×{width} pixels of {nanometres:.4g} nm"),
        ("photon energy", f"{dataset.energy / 1e3:.4g} keV"),
        ("distance to the detector", f"{dataset.detector_distance:.4g} m"),
        ("detector pixel", f"{1e6 * dataset.detector_pixel_size:.4g} µm"),
        ("background", f"{reconstruction.background:.3g} photons per pixel"),
        ("positions moved by", _with_unit(made.get("position_shift_rms"), "pixels RMS")),
        ("commit", f"{made['commit']}{', changed since' if made.get('dirty') else ''}" if "commit" in made else None),
        ("device", made.get("device")),
        ("finished", made.get("finished")),
        ("time from dataset to image", _with_unit(seconds_of(made), "s")),
    ]
    return [(name, str(value)) for name, value in rows if value is not None]


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.3g} {unit}"
