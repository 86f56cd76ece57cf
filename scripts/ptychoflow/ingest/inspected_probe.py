"""Whether the probe of a dataset belongs to its frames: its size, and its own light on the detector."""

from typing import Any

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.scan_shape import empty_beam, probe_width
from ptychoflow.ingest.detector.orientation import oriented
from ptychoflow.physics.gauge import centre_of
from ptychoflow.settings.ingest import Orientation

LEAST_OVERSAMPLING = 2.0
"""Frame over probe width: below, the autocorrelation of the exit wave does not fit into the frame."""
LEAST_OFF = 2.0
"""Pixels that a probe may lie off the middle of its frame, as lopsided ones do."""
LEAST_FIT = 0.5
"""Correlation of the probe's light with the mean frame, below which it says nothing of how they lie."""
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


def inspected_probe(sample: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Modes, width and rim of the probe, and how its light on the detector resembles the mean frame."""
    intensity = (np.abs(sample.probe) ** 2).astype(np.float64).sum(axis=(1, 2))
    whole = (np.abs(sample.probe) ** 2).astype(np.float64).sum(axis=0)
    width, rim = probe_width(sample.probe), max(1, sample.size // 16)
    outside = float(1 - whole[rim:-rim, rim:-rim].sum() / whole.sum())
    fits = probe_fits(sample)
    best, given = max(fits, key=fits.__getitem__), fits["as it is"]
    offset = beam_offset(sample)
    facts = {
        "probe_modes": len(sample.probe),
        "probe_mode_shares": [float(share) for share in intensity / intensity.sum()],
        "probe_width_pixels": width,
        "probe_width_m": width * sample.pixel_size,
        "probe_at_edge_share": outside,
        "probe_fit": given,
        "probe_fit_best": fits[best],
        "probe_fit_best_orientation": best,
        "beam_offset_pixels": None if offset is None else list(offset),
    }
    far, warnings = sample.propagation == "far", []
    place = centre_of(torch.from_numpy(whole)).numpy()
    facts["probe_off_middle_pixels"] = place.tolist()
    if far and sample.probe_known and np.abs(place).max() > max(LEAST_OFF, sample.size / 16):
        warnings.append(
            f"the probe lies {place[0]:.1f}, {place[1]:.1f} pixels (rows, columns) off the middle of its frame: the "
            "image of the object will lie as far off the positions (probe)"
        )
    if far:
        facts["oversampling"] = sample.size / width
    if far and sample.size / width < LEAST_OVERSAMPLING:
        warnings.append(
            f"the probe is {width:.1f} pixels wide in frames of {sample.size}, an oversampling of "
            f"{sample.size / width:.2f}: expected at least {LEAST_OVERSAMPLING:g}"
        )
    # The beam of a near field may well fill it.
    if far and outside > 0.05:
        warnings.append(f"{outside:.0%} of the probe's light lies at the edge of its frame: expected next to none")
    if fits[best] - given > 0.1 * (1 - given) and fits[best] - given > 0.03 and fits[best] >= LEAST_FIT:
        warnings.append(
            f"the probe's {sample.propagation} field resembles the mean frame best {best} (correlation "
            f"{fits[best]:.2f}, as it is {given:.2f}): frames and probe seem to be oriented differently (orientation)"
        )
    elif offset is not None and np.hypot(*offset) > max(1.5, sample.size / 32):
        warnings.append(
            f"the mean frame lies {offset[0]:d}, {offset[1]:d} pixels (rows, columns) off the probe's "
            f"{sample.propagation} field: expected the beam in the centre (detector.centre)"
        )
    elif given < LEAST_FIT:
        warnings.append(
            f"the probe's {sample.propagation} field hardly resembles the mean frame (correlation {given:.2f}): "
            f"expected above {LEAST_FIT:g}"
        )
    return facts, warnings


def probe_fits(dataset: Dataset) -> dict[str, float]:
    """Correlation of the probe's light on the detector with the mean frame, by how the frame is laid over it.

    Both are compared as amplitudes over the good pixels, in each orientation of `DIHEDRAL`.
    """
    mean, field = np.sqrt(dataset.frames.mean(axis=0)), np.sqrt(empty_beam(dataset.probe, dataset.fresnel_number))
    fits = {}
    for name, orientation in DIHEDRAL.items():
        picture, good = (oriented(image, orientation) for image in (mean, dataset.mask))
        fits[name] = _correlation(picture[good], field[good])
    return fits


def beam_offset(dataset: Dataset) -> tuple[int, int] | None:
    """(row, column) pixels by which the mean frame is moved against the probe's light, by cross-correlation.

    None where the two are not alike even so, for then it says nothing.
    """
    mean = np.where(dataset.mask, np.sqrt(dataset.frames.mean(axis=0)), 0)
    field = np.sqrt(empty_beam(dataset.probe, dataset.fresnel_number))
    product = np.fft.ifft2(np.fft.fft2(mean) * np.fft.fft2(field).conj()).real
    peak = np.unravel_index(product.argmax(), product.shape)
    moved = np.roll(field, peak, axis=(0, 1))[dataset.mask]
    fit, given = (_correlation(mean[dataset.mask], light) for light in (moved, field[dataset.mask]))
    half = dataset.size // 2
    offset = tuple(int((place + half) % dataset.size - half) for place in peak)
    if fit < LEAST_FIT or (any(offset) and fit - given < 0.1 * (1 - given)):
        return (0, 0) if given >= LEAST_FIT else None
    return offset


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if len(one) > 1 and np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0
