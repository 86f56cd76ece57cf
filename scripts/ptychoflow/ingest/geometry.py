"""Energy, distance and pixels of an ingested scan: by the settings, the file, what follows, or what is usual."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.preparation import DetectorPreparation
from ptychoflow.physics.geometry import energy_of, magnification_of, pixel_at_sample, wavelength_of
from ptychoflow.settings.ingest import IngestSettings

log = logging.getLogger(__name__)

USUAL = {"energy": 8000.0, "detector_distance": 1.0, "detector_pixel_size": 75e-6}
"""Geometry where nothing depends on it but scale bars."""
UNITS = {"energy": "electronvolts", "detector_distance": "metres", "detector_pixel_size": "metres"}
KILOELECTRONVOLTS = (3.5, 30.0)
"""What X-rays have of them, and hardly any light of electronvolts."""
LARGEST_DIFFERENCE = 0.01
"""Relative, of a file's pixel at the sample and what its geometry gives, that is worth no warning."""


def with_geometry(scan: RawScan, settings: IngestSettings, source: str) -> tuple[RawScan, dict[str, float]]:
    """Complete energy, distance and pixel of the detector: by the settings, the file, what follows, or what is usual.

    Parameters
    ----------
    scan : RawScan
        With what the file says of them, and of the pixel at the sample, from which one of them follows.
    settings : IngestSettings
        What wins over the file, and which field the detector sees.
    source : str
        Name of the file it came from, for the warning.

    Returns
    -------
    scan : RawScan
        With none of the three left open.
    assumed : dict
        What was taken as usual, by name; a pixel at the sample that the file has does not change by it.

    Raises
    ------
    InputError
        For numbers that are not positive, and for near fields of which one of the three is not known.
    """
    said = {key: settings.stated_energy if key == "energy" else getattr(settings, key) for key in USUAL}
    known = {key: said[key] or getattr(scan, key) for key in USUAL}
    _require_units(scan, settings)
    for key, value in (*known.items(), ("the pixel at the sample", scan.pixel_size)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{key} is {value}: expected a positive number")
    stated = None not in known.values()
    assumed: dict[str, float] = {}

    def assume(key: str) -> None:
        if known[key] is None:
            known[key] = assumed[key] = USUAL[key]

    if scan.pixel_size is not None:
        if settings.propagation == "near":
            _follow_near(known, scan.pixel_size, settings.source_distance)
        else:
            try:
                _follow_far(known, scan.pixel_size * scan.frames.shape[-1], assume)
            except ZeroDivisionError:
                raise InputError(
                    f"the pixel at the sample is {scan.pixel_size} m beside {known}: expected one that can be"
                ) from None
    for key in USUAL:
        assume(key)
    if settings.propagation == "near":
        require_known(assumed, "to propagate near fields")
    if scan.pixel_size is not None and stated:
        found = pixel_at_sample(scan.frames.shape[-1], *known.values(), settings.propagation, settings.source_distance)
        if abs(found / scan.pixel_size - 1) > LARGEST_DIFFERENCE:
            log.warning(
                "%s: the pixel at the sample is %.4g m in the file, and %.4g m by energy, distance and pixel of the "
                "detector, which count",
                source,
                scan.pixel_size,
                found,
            )
    return replace(scan, **known), assumed


def _require_units(scan: RawScan, settings: IngestSettings) -> None:
    """Refuse settings that are a thousand times, or a thousandth of, what the file says, and warn of likely ones."""
    for key, unit in UNITS.items():
        own, stated = getattr(scan, key), getattr(settings, key)
        if stated is None:
            continue
        for factor in (1e3, 1e-3):
            if own is not None and own > 0 and abs(stated * factor / own - 1) < LARGEST_DIFFERENCE:
                raise InputError(f"{key} is {stated:g} beside {own:g} in the file: expected {unit}")
    if settings.energy is not None and KILOELECTRONVOLTS[0] <= settings.energy <= KILOELECTRONVOLTS[1]:
        log.warning("energy is %g: expected electronvolts, of which X-rays have thousands", settings.energy)


def _follow_far(known: dict[str, float | None], field: float, assume: Callable[[str], None]) -> None:
    """Fill in what follows of the width of the field at the sample, λ z / p in metres; what is left open is assumed."""
    if known["detector_distance"] is not None and known["detector_pixel_size"] is not None:
        if known["energy"] is None:
            known["energy"] = energy_of(field * known["detector_pixel_size"] / known["detector_distance"])
        return
    assume("energy")
    angle = wavelength_of(known["energy"]) / field
    if known["detector_distance"] is None:
        assume("detector_pixel_size")
        known["detector_distance"] = known["detector_pixel_size"] / angle
    else:
        known["detector_pixel_size"] = known["detector_distance"] * angle


def _follow_near(known: dict[str, float | None], pixel: float, source_distance: float | None) -> None:
    """Fill in the pixel of the detector, of that at the sample and the magnification of a cone beam."""
    if known["detector_pixel_size"] is None and known["detector_distance"] is not None:
        known["detector_pixel_size"] = pixel * magnification_of(known["detector_distance"], source_distance)


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
