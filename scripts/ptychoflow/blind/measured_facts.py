"""A measured geometry as facts and warnings of an inspection, and as settings to paste."""

from typing import Any

from ptychoflow.blind.measurement import Estimate, Measurement
from ptychoflow.data.dataset import Dataset
from ptychoflow.data.position_axes import ORIENTATIONS, measured_settings_of

NOT_TOLD = "the photons do not tell"
NOT_CALIBRATED = "error not calibrated"
"""Of scale and defocus, which trade, and of the centre: they erred by up to five times what the scatter says."""
LEAST_SCALE, LEAST_ROTATION = 0.03, 0.2
"""Differences from the file that are worth a warning, beyond the errors: of a scale, and in degrees."""


def measured_facts(found: Measurement, dataset: Dataset) -> tuple[dict[str, Any], list[str]]:
    """Write a measurement down: numbers with their errors, settings to paste, and what the file says otherwise."""
    names = list(ORIENTATIONS)
    twin = names[found.orientation ^ 3]
    told = f"positions {names[found.orientation]}"
    if not found.twin_excluded:
        told += f", or {twin} with the opposite defocus, which diffracts alike"
    shares = dict(zip(names, found.orientation_errors, strict=True))
    facts: dict[str, Any] = {
        "measured_orientation": told if found.orientation_told else NOT_TOLD,
        "measured_orientation_errors": shares,
        "measured_scale": _written(found.scale, "", NOT_CALIBRATED),
        "measured_rotation": _written(found.rotation, " degrees"),
        "measured_defocus": _written(found.defocus, " m", NOT_CALIBRATED),
        "measured_beam_centre_rows": _written(found.centre[0], " pixels off N / 2", NOT_CALIBRATED),
        "measured_beam_centre_columns": _written(found.centre[1], " pixels off N / 2", NOT_CALIBRATED),
        "settings_to_paste": NOT_TOLD,
    }
    if not found.orientation_told:
        return facts, []
    # Measured scales were up to 2 % too large: below the least that is warned of, the file's is the better one.
    scale = found.scale.value if _scale_differs(found) else 1.0
    rotation = found.rotation.value if found.rotation.error is not None else 0.0
    settings = measured_settings_of(found.orientation, scale, rotation, dataset.provenance)
    facts["settings_to_paste"] = settings or "none: the positions were sheared by positions.shear, which must go first"
    if scale != 1:
        distance = dataset.detector_distance / scale
        facts["or_in_place_of_scale"] = f"detector_distance: {distance:.5g}"
    return facts, _doubts(found, names, facts["settings_to_paste"])


def _doubts(found: Measurement, names: list[str], settings: str) -> list[str]:
    """Sentences on where the file says otherwise."""
    sentences = []
    if found.orientation:
        sentences.append(
            f"the photons are explained best with positions {names[found.orientation]}: the axes of positions and "
            f"frames seem to differ ({settings})"
        )
    if found.rotation.error is not None and abs(found.rotation.value) > LEAST_ROTATION + found.rotation.error:
        sentences.append(
            f"the scan seems to be turned by {found.rotation.value:+.3g} degrees against the frames ({settings})"
        )
    if _scale_differs(found):
        sentences.append(
            f"the scan seems to be {found.scale.value:.4g} times as wide as the file says, against the pixel at the "
            f"sample (positions.scale, detector_distance or detector_pixel_size; {settings})"
        )
    return sentences


def _scale_differs(found: Measurement) -> bool:
    return found.scale.error is not None and abs(found.scale.value - 1) > LEAST_SCALE + found.scale.error


def _written(estimate: Estimate, unit: str, doubt: str = "") -> str:
    if estimate.error is None:
        return NOT_TOLD
    note = f" ({doubt})" if doubt else ""
    return f"{estimate.value:.5g} ± {estimate.error:.2g}{unit}{note}"
