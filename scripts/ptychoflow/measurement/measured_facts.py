"""A measured geometry as facts and warnings of an inspection, and as settings to paste."""

from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ORIENTATIONS, measured_settings_of, twin_of
from ptychoflow.measurement.error_bars import Estimate
from ptychoflow.measurement.geometry_fit import Place
from ptychoflow.measurement.measurement import Measurement

NOT_TOLD = "the photons do not tell"
HARDLY_TOLD = (
    "the photons hardly tell the geometry: were the axes of the positions to run otherwise, the frames would be "
    "explained {:.2f} times as badly, expected at least {:g} times; whether orientation, distances, energy and "
    "positions are right must be known from elsewhere (more photons or more contrast would tell)"
)
LEAST_SCALE, LEAST_ROTATION, LEAST_DEFORMED, LEAST_DEFOCUS = 0.01, 0.3, 0.0125, 0.1
"""Differences from the file that are worth a warning, beyond the errors: of scale, in degrees, of stretch and of shear,
relative."""
CLEARLY = 1.4
"""Error of the next best orientation over that of the best, from which on frames tell how they belong together. Nine
sound wedges, whose frames are all alike, have 0.98 to 1.12, a photograph of few photons 1.3, 70 other sound scans 1.56
and more."""


def measured_facts(found: Measurement, dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Write a measurement down: numbers with their errors, settings to paste, and what the file says otherwise."""
    names = list(ORIENTATIONS)
    twin = names[twin_of(found.orientation)]
    told = f"positions {names[found.orientation]}"
    if not found.twin_excluded:
        told += f", or {twin} with the opposite defocus, which diffracts alike"
        if found.given_defocus is not None:
            told += " and is not what the file's probe says"
    shares = dict(zip(names, found.orientation_errors, strict=True))
    facts: dict[str, Any] = {
        "measured_orientation": told if found.orientation_told else NOT_TOLD,
        "measured_orientation_errors": shares,
        "measured_scale": _written(found.scale, ""),
        "measured_rotation": _written(found.rotation, " degrees"),
        "measured_stretch": _written(found.stretch, " of rows over columns"),
        "measured_shear": _written(found.shear, " of rows and columns towards each other"),
        "measured_defocus": _written(found.defocus, " m"),
        "measured_beam_centre_rows": _written(found.centre[0], " pixels off N / 2"),
        "measured_beam_centre_columns": _written(found.centre[1], " pixels off N / 2"),
        "settings_to_paste": NOT_TOLD,
    }
    unsure = [HARDLY_TOLD.format(found.orientation_ratio, CLEARLY)] if hardly_told(found) else []
    if not found.orientation_told:
        return facts, unsure
    place = _believed(found)
    scale = float(np.exp(place.scale))
    facts["settings_to_paste"] = measured_settings_of(found.orientation, place.linear, dataset.provenance)
    if scale != 1:
        distance = dataset.detector_distance / scale
        facts["or_in_place_of_scale"] = f"detector_distance: {distance:.5g}"
    return facts, unsure + _doubts(found, names, facts["settings_to_paste"])


def _doubts(found: Measurement, names: list[str], settings: str) -> list[str]:
    """Sentences on where the file says otherwise."""
    sentences = []
    shape = (
        f"the scan seems to be deformed, its rows stretched {_written(found.stretch, '')} times as much as its columns "
        f"and both turned towards each other by {_written(found.shear, '')}"
    )
    if found.orientation:
        twin = "" if found.twin_excluded else f", or {names[twin_of(found.orientation)]} and the opposite defocus"
        sentences.append(
            f"the photons are explained best with positions {names[found.orientation]}{twin}: the axes of positions "
            f"and frames seem to differ ({settings})"
        )
    if _turn_told(found):
        sentences.append(
            f"the scan seems to be turned by {_written(found.rotation, ' degrees')} against the frames ({settings})"
        )
    if _scale_differs(found):
        sentences.append(
            f"the scan seems to be {_written(found.scale, '')} times as wide as the file says, against the pixel at "
            f"the sample (positions.scale, detector_distance or detector_pixel_size; {settings})"
        )
    if _deformed(found):
        sentences.append(
            f"{shape}, as where a stage drifts from line to line or its axes are neither alike nor square ({settings})"
        )
    if _may_be_blurred_along(found):
        sentences.append(
            f"{shape}, or its fringes are blurred along one axis, which looks alike: by a stage that moves while "
            "frames are counted, or a wide source (the first is mended by positions.stretch and shear; the second by "
            "light of several modes, which reconstructions solve for)"
        )
    if _may_be_blurred(found):
        sentences.append(
            f"the scan seems to be {_written(found.scale, '')} times as wide as the file says, or its fringes are "
            "blurred, which looks alike: by the detector, a stage that moves while frames are counted, or a wide "
            "source (the first is mended by positions.scale, detector_distance, detector_pixel_size or energy; the "
            "second by light of several modes, which reconstructions solve for)"
        )
    if _defocus_differs(found):
        sentences.append(
            f"the file's probe has a defocus of {found.given_defocus:.4g} m, the photons one of "
            f"{_written(found.defocus, ' m')}: a reconstruction from it needs to solve for the probe"
        )
    return sentences


def _believed(found: Measurement) -> Place:
    """What the positions are to be mended by: what differs from the file, and of a deformed scan all that is told."""
    whole = _deformed(found)
    scaled = _scale_differs(found) or (whole and found.scale.error is not None and not _may_be_blurred(found))
    turned = _turn_told(found) or (whole and found.rotation.error is not None)
    return Place(
        float(np.log(found.scale.value)) if scaled else 0.0,
        float(np.radians(found.rotation.value)) if turned else 0.0,
        float(np.log(found.stretch.value)) if whole and found.stretch.error is not None else 0.0,
        found.shear.value if whole and found.shear.error is not None else 0.0,
    )


def _deformed(found: Measurement) -> bool:
    return _misshapen(found) and not _may_be_blurred_along(found)


def _may_be_blurred_along(found: Measurement) -> bool:
    """Whether a scan seems narrower in one direction and no wider in any, as a blur along that one makes it.

    A blur turns nothing, as a stage does that drifts from line to line.
    """
    if not found.blurred or _turn_told(found) or not _misshapen(found):
        return False
    widest = np.log(found.scale.value) + np.hypot(np.log(found.stretch.value), found.shear.value) / 2
    unsure = (found.scale.error or 0) + np.hypot(found.stretch.error or 0, found.shear.error or 0) / 2
    return bool(found.scale.error is None or widest < LEAST_SCALE + unsure)


def _misshapen(found: Measurement) -> bool:
    """Whether its axes are neither alike nor square, in one of the two ways that keep its size and its rotation."""
    return any(
        one.error is not None and abs(one.value - usual) > LEAST_DEFORMED + one.error
        for one, usual in ((found.stretch, 1), (found.shear, 0))
    )


def hardly_told(found: Measurement) -> bool:
    """Whether frames hardly tell how they belong together: what is wrong by some per cent spoils an image unseen."""
    return found.orientation_ratio < CLEARLY


def scale_doubted(found: Measurement) -> bool:
    """Whether the scan is wider or narrower beyond all errors, or looks so since its fringes are blurred."""
    return found.scale.error is not None and abs(found.scale.value - 1) > LEAST_SCALE + found.scale.error


def place_doubted(found: Measurement) -> bool:
    """Whether the scan is wider, turned or deformed beyond all errors, or looks so since its fringes are blurred."""
    return scale_doubted(found) or _turn_told(found) or _misshapen(found)


def _turn_told(found: Measurement) -> bool:
    return found.rotation.error is not None and abs(found.rotation.value) > LEAST_ROTATION + found.rotation.error


def _scale_differs(found: Measurement) -> bool:
    return scale_doubted(found) and not _may_be_blurred(found)


def _may_be_blurred(found: Measurement) -> bool:
    """Whether a scan seems narrower, as a blur makes it; by how much hangs on beam and object."""
    return scale_doubted(found) and found.blurred and found.scale.value < 1


def _defocus_differs(found: Measurement) -> bool:
    if found.given_defocus is None or found.defocus.error is None:
        return False
    least = LEAST_DEFOCUS * max(abs(found.defocus.value), abs(found.given_defocus))
    return abs(found.given_defocus - found.defocus.value) > least + found.defocus.error


def _written(estimate: Estimate, unit: str) -> str:
    return NOT_TOLD if estimate.error is None else f"{estimate.value:.5g} ± {estimate.error:.2g}{unit}"
