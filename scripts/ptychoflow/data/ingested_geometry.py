"""Energy, distance and pixels of an ingested scan: by the settings, the file, what follows, or what is usual."""

from dataclasses import replace

import numpy as np

from ptychoflow.data.detector import DetectorPreparation
from ptychoflow.data.geometry import pixel_at_sample, wavelength_of
from ptychoflow.data.ingest_settings import IngestSettings
from ptychoflow.data.raw_scan import RawScan
from ptychoflow.errors import InputError

USUAL = {"energy": 8000.0, "detector_distance": 1.0, "detector_pixel_size": 75e-6}
"""Geometry where nothing depends on it but scale bars."""


def with_geometry(scan: RawScan, settings: IngestSettings) -> tuple[RawScan, dict[str, float]]:
    """Complete energy, distance and pixel of the detector: by the settings, the file, what follows, or what is usual.

    Returns
    -------
    scan : RawScan
        With none of the three left open.
    assumed : dict
        What was taken as usual, by name.
    """
    known = {key: getattr(settings, key) or getattr(scan, key) for key in USUAL}
    assumed: dict[str, float] = {}

    def assume(key: str) -> None:
        if known[key] is None:
            known[key] = assumed[key] = USUAL[key]

    for key, value in known.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{key} is {value}: expected a positive number")
    if scan.pixel_size is not None:
        if not scan.pixel_size > 0:
            raise InputError(f"the pixel at the sample is {scan.pixel_size} m: expected a positive number")
        assume("energy")
        extent = wavelength_of(known["energy"]) / (scan.pixel_size * scan.frames.shape[-1])
        if known["detector_distance"] is None:
            assume("detector_pixel_size")
            known["detector_distance"] = known["detector_pixel_size"] / extent
        elif known["detector_pixel_size"] is None:
            known["detector_pixel_size"] = known["detector_distance"] * extent
    for key in USUAL:
        assume(key)
    return replace(scan, **known), assumed


def pixels_at_sample(scan: RawScan, settings: IngestSettings, detector: DetectorPreparation) -> tuple[float, float]:
    """Metres at the sample of a pixel of the raw frames, and of the dataset."""
    known = scan.energy, scan.detector_distance, scan.detector_pixel_size
    raw = pixel_at_sample(scan.frames.shape[-1], *known, settings.propagation, settings.source_distance)
    if settings.propagation == "far":
        return raw, raw * detector.pixel_scale
    if detector.pixel_scale != 1 or detector.binning != 1:
        raise InputError(
            f"near fields of {scan.frames.shape[1]} by {scan.frames.shape[2]} pixels would be cropped or binned: "
            "expected even, square ones and no such settings of a detector"
        )
    if any(detector.offset):
        centre = detector.summary["centre"]
        raise InputError(f"detector.centre is {centre}, and the fields are near: expected a whole pixel")
    return raw, raw


def require_known(assumed: dict[str, float], purpose: str) -> None:
    """Refuse geometry that nobody stated, by name, where something depends on it."""
    if assumed:
        raise InputError(f"{' and '.join(assumed)} must be known {purpose}: expected them as settings")
