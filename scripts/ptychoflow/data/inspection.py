"""What a scan holds, and what about it looks wrong before anything is reconstructed."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.frame_orientation import Orientation, oriented
from ptychoflow.data.geometry import wavelength_of
from ptychoflow.data.scan_shape import (
    disk_overlap,
    empty_beam,
    neighbour_distances,
    overlap_of,
    overlap_warnings,
    probe_width,
    scan_order,
)
from ptychoflow.errors import InputError

LEAST_OVERSAMPLING = 2.0
"""Frame over probe width: below, the autocorrelation of the exit wave does not fit into the frame."""
DIHEDRAL: dict[str, Orientation] = {
    "as it is": "as_stored",
    "turned upside down": "flip_rows",
    "mirrored left to right": "flip_columns",
    "turned by 180°": "flip_both",
    "transposed": "transpose",
    "turned by 90° anticlockwise": "transpose_flip_rows",
    "turned by 90° clockwise": "transpose_flip_columns",
    "mirrored at the other diagonal": "transpose_flip_both",
}
"""Orientations by what they do to a picture that is laid over another."""


def inspect(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Describe a validated dataset.

    Parameters
    ----------
    dataset : Dataset
        The scan.

    Returns
    -------
    facts : dict
        Numbers and words by name, with their units in the name.
    warnings : list of str
        One sentence each of what looks wrong.
    """
    if dataset.propagation != "far":
        raise InputError("the scan is of near fields: expected far fields, which alone are inspected")
    facts: dict[str, Any] = {}
    warnings: list[str] = []
    dataset = replace(dataset, frames=np.asarray(dataset.frames[:]))  # which may be in a file still
    for part in (_frames, _detector, _geometry, _probe, _scan):
        own, wrong = part(dataset)
        facts |= own
        warnings += wrong
    return facts, warnings


def as_json(facts: dict[str, Any], warnings: list[str]) -> str:
    """Give facts and warnings as one JSON object."""
    return json.dumps(facts | {"warnings": warnings}, indent=2, ensure_ascii=False)


def as_text(facts: dict[str, Any], warnings: list[str]) -> str:
    """Give facts and warnings as lines, a fact or a warning each."""
    width = max(len(name) for name in facts)
    lines = [f"{name.replace('_', ' '):{width}}  {_written(value)}" for name, value in facts.items()]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in warnings)])


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_written(part)}" for name, part in value.items())
    return ", ".join(map(_written, value)) if isinstance(value, list) else str(value)


def _frames(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    frames, good = dataset.frames, dataset.mask
    counts = frames[:, good]
    photons = counts.sum(axis=1, dtype=np.float64)
    largest = float(counts.max())
    # A squared root of a whole number is not whole to the last digit.
    fractional = float(np.mean(np.abs(counts - counts.round()) > 1e-4 * np.maximum(counts, 1)))
    at_limit = np.count_nonzero(counts == largest)
    near_limit = np.count_nonzero((counts >= 0.9 * largest) & (counts < largest))
    saturated = at_limit if largest >= 100 and at_limit >= 10 and at_limit > near_limit else 0
    flux = float(np.sum(np.abs(dataset.probe.astype(np.complex128)) ** 2))
    facts = {
        "frames": len(frames),
        "frame_size_pixels": dataset.size,
        "counts_least": float(counts.min()),
        "counts_largest": largest,
        "counts_fractional_share": fractional,
        "counts_at_limit": saturated,
        "photons_per_frame_median": float(np.median(photons)),
        "photons_per_frame_least": float(photons.min()),
        "photons_per_frame_largest": float(photons.max()),
        "photons_in_probe": flux,
    }
    warnings = []
    if fractional > 0.01:
        warnings.append(
            f"{fractional:.0%} of the counts are fractional: expected whole photons, unless the frames are amplitudes "
            "(quantity), scaled, or without noise"
        )
    if saturated:
        warnings.append(
            f"{saturated} counts stand at the largest value, {largest:g}, and fewer just below: the detector seems to "
            "be saturated"
        )
    if not 0.8 < flux / photons.max() < 50:
        warnings.append(
            f"the probe holds {flux:.3g} photons and the brightest frame {photons.max():.3g}: expected about as many "
            "(flux, quantity)"
        )
    if photons.min() < 0.1 * np.median(photons):
        warnings.append(
            f"frame {photons.argmin()} holds {photons.min():.3g} photons, the median {np.median(photons):.3g}: "
            "expected no frame without beam"
        )
    return facts, warnings


def _detector(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    light = np.where(dataset.mask, dataset.frames.sum(axis=0, dtype=np.float64), 0)
    around = ndimage.median_filter(light, size=5, mode="nearest")
    dead = int(np.count_nonzero((light == 0) & dataset.mask & (around > 20)))
    quarter = dataset.size // 4
    middle = light[quarter:-quarter, quarter:-quarter].sum() / light.sum()
    corners = np.fft.fftshift(light)[quarter:-quarter, quarter:-quarter].sum() / light.sum()
    masked = 1 - float(dataset.mask.mean())
    facts = {
        "masked_share": masked,
        "dead_pixels": dead,
        "light_in_middle_share": float(middle),
        "zero_frequency": "corner" if corners > middle else "centre",
    }
    warnings = []
    if corners > middle:
        warnings.append(
            f"the outermost quarters hold {corners:.0%} of the light and the middle {middle:.0%}: the zero frequency "
            "seems to lie in the corner (zero_frequency)"
        )
    if dead:
        warnings.append(f"{dead} pixels never count where their neighbours do: expected them in the mask")
    if masked > 0.2:
        warnings.append(f"the mask leaves out {masked:.0%} of the detector: expected a few per cent of bad pixels")
    return facts, warnings


def _geometry(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    facts = {
        "energy_eV": dataset.energy,
        "wavelength_m": wavelength_of(dataset.energy),
        "detector_distance_m": dataset.detector_distance,
        "detector_pixel_size_m": dataset.detector_pixel_size,
        "pixel_size_m": dataset.pixel_size,
        "numerical_aperture": dataset.size * dataset.detector_pixel_size / 2 / dataset.detector_distance,
    }
    warnings = []
    if facts["numerical_aperture"] > 0.5:
        warnings.append(
            f"the detector's half width over its distance is {facts['numerical_aperture']:.2g}: expected well below 1, "
            "so that the far field is a Fourier transform"
        )
    return facts, warnings


def _probe(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    intensity = (np.abs(dataset.probe) ** 2).astype(np.float64).sum(axis=(1, 2))
    whole = (np.abs(dataset.probe) ** 2).astype(np.float64).sum(axis=0)
    width, rim = probe_width(dataset.probe), max(1, dataset.size // 16)
    outside = 1 - whole[rim:-rim, rim:-rim].sum() / whole.sum()
    fits = probe_fits(dataset)
    best, given = max(fits, key=fits.__getitem__), fits["as it is"]
    offset = beam_offset(dataset)
    facts = {
        "probe_modes": len(dataset.probe),
        "probe_mode_shares": [float(share) for share in intensity / intensity.sum()],
        "probe_width_pixels": width,
        "probe_width_m": width * dataset.pixel_size,
        "probe_at_edge_share": float(outside),
        "oversampling": dataset.size / width,
        "probe_fit": given,
        "probe_fit_best": fits[best],
        "probe_fit_best_orientation": best,
        "beam_offset_pixels": list(offset),
    }
    warnings = []
    if dataset.size / width < LEAST_OVERSAMPLING:
        warnings.append(
            f"the probe is {width:.1f} pixels wide in frames of {dataset.size}, an oversampling of "
            f"{dataset.size / width:.2f}: expected at least {LEAST_OVERSAMPLING:g}"
        )
    if outside > 0.05:
        warnings.append(f"{outside:.0%} of the probe's light lies at the edge of its frame: expected next to none")
    if fits[best] - given > 0.1 * (1 - given) and fits[best] - given > 0.03:
        warnings.append(
            f"the probe's far field resembles the mean frame best {best} (correlation {fits[best]:.2f}, as it is "
            f"{given:.2f}): frames and probe seem to be oriented differently"
        )
    elif given < 0.5:
        warnings.append(
            f"the probe's far field hardly resembles the mean frame (correlation {given:.2f}): expected above 0.5"
        )
    elif np.hypot(*offset) > max(1.5, dataset.size / 32):
        warnings.append(
            f"the mean frame lies {offset[0]:d}, {offset[1]:d} pixels (rows, columns) off the probe's far field: "
            "expected the beam in the centre"
        )
    return facts, warnings


def probe_fits(dataset: Dataset) -> dict[str, float]:
    """Correlation of the probe's far field with the mean frame, by how the frame is laid over it.

    Both are compared as amplitudes over the good pixels, in each orientation of `DIHEDRAL`.
    """
    mean, field = np.sqrt(dataset.frames.mean(axis=0)), np.sqrt(empty_beam(dataset.probe))
    fits = {}
    for name, orientation in DIHEDRAL.items():
        picture, good = (oriented(image, orientation) for image in (mean, dataset.mask))
        fits[name] = float(np.corrcoef(picture[good], field[good])[0, 1])
    return fits


def beam_offset(dataset: Dataset) -> tuple[int, int]:
    """(row, column) pixels by which the mean frame is moved against the probe's far field, by cross-correlation."""
    mean = np.where(dataset.mask, np.sqrt(dataset.frames.mean(axis=0)), 0)
    field = np.sqrt(empty_beam(dataset.probe))
    product = np.fft.ifft2(np.fft.fft2(mean) * np.fft.fft2(field).conj()).real
    peak = np.unravel_index(product.argmax(), product.shape)
    half = dataset.size // 2
    return int((peak[0] + half) % dataset.size - half), int((peak[1] + half) % dataset.size - half)


def _scan(dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    positions, width = dataset.positions, probe_width(dataset.probe)
    extent = np.ptp(positions, axis=0)
    facts: dict[str, Any] = {"extent_pixels": extent.tolist(), "extent_m": (extent * dataset.pixel_size).tolist()}
    facts["object_shape"] = list(dataset.object_shape)
    if len(positions) < 2:
        return facts, ["there is one frame: expected several that overlap"]
    distance = neighbour_distances(positions)
    step, apart = float(np.median(distance)), float(np.median(distance[:, 0]))
    facts |= {
        "step_pixels": step,
        "step_m": step * dataset.pixel_size,
        "scan_order": scan_order(positions),
        "overlap_of_diameter": overlap_of(step, width),
        "overlap_of_area": disk_overlap(step / width),
        "frames_at_same_place": int(np.count_nonzero(distance[:, 0] < 1e-6)),
    }
    warnings = []
    if apart < 0.1:
        warnings.append(
            f"neighbouring positions are {step:.2g} pixels apart: expected some pixels (units of positions, geometry)"
        )
    else:
        warnings += overlap_warnings(step, width)
    return facts, warnings
