"""Which way the axes of scan positions run against the frames: eight ways, and what ingest is told of them."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.settings.ingest import PositionSettings

ORIENTATIONS = {
    "as they are": (1, 1, False),
    "their columns negated": (1, -1, False),
    "their rows negated": (-1, 1, False),
    "rows and columns both negated": (-1, -1, False),
    "rows and columns exchanged": (1, 1, True),
    "exchanged, then columns negated": (1, -1, True),
    "exchanged, then rows negated": (-1, 1, True),
    "exchanged, then both negated": (-1, -1, True),
}
"""Signs of rows and columns, and whether the two change places first; counted from 0."""
LEAST_DEFORMED = 1e-4
"""Stretch less one, and shear, below which settings do not name them."""


def orientations() -> list[tuple[int, int, bool]]:
    """Give the `ORIENTATIONS` by number."""
    return list(ORIENTATIONS.values())


def twin_of(orientation: int) -> int:
    """Number of the orientation that is half a circle away, with the signs of both axes opposite.

    Under the opposite defocus a scan diffracts alike so.
    """
    return orientation ^ 3


def turned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) about their middle under one of the `orientations`."""
    rows, columns, swap = orientations()[orientation]
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    offsets = positions - middle
    return middle[:: -1 if swap else 1] + (offsets[:, ::-1] if swap else offsets) * [rows, columns]


def turned_dataset(dataset: Dataset, orientation: int) -> Dataset:
    """The dataset with its positions under one of the `orientations`; its truth, in another frame, is left out."""
    if orientation == 0:
        return dataset
    positions, shape = object_frame(turned(dataset.positions, orientation), dataset.size)
    return replace(dataset, positions=positions, object_shape=shape, truth=None, true_positions=None)


def ingest_settings_of(orientation: int, made_by: dict[str, Any]) -> str:
    """What ingest must be told for a dataset whose positions run under one of the `orientations`, as YAML.

    Parameters
    ----------
    orientation : int
        Against the dataset as it is.
    made_by : dict
        The dataset's provenance, with what ingest was told before.
    """
    axes = _axes_after(orientation, _before(made_by))
    return f"positions: {{swap: {str(axes.swap).lower()}, row_sign: {axes.row_sign}, column_sign: {axes.column_sign}}}"


def measured_settings_of(orientation: int, linear: np.ndarray, made_by: dict[str, Any]) -> str:
    """What ingest must be told for a dataset that is to be turned and then deformed, as YAML.

    Parameters
    ----------
    orientation : int
        One of the `orientations`, against the dataset as it is.
    linear : ndarray
        (2, 2) float of positive determinant: what takes offsets to those that they become after the orientation.
    made_by : dict
        The dataset's provenance, with what ingest was told before.
    """
    before = _before(made_by)
    rows, columns, swap = orientations()[orientation]
    axes = _axes_after(orientation, before)
    whole = linear @ _matrix(PositionSettings(swap, rows, columns)) @ _matrix(before) @ _matrix(axes).T
    # The last column is turned only; what is left then is stretched and sheared.
    rotation = np.arctan2(-whole[0, 1], whole[1, 1])
    cosine, sine = np.cos(rotation), np.sin(rotation)
    (height, _), (sheared, width) = np.array([[cosine, sine], [-sine, cosine]]) @ whole
    told = {"scale": f"{np.sqrt(height * width):.5g}"}
    if abs(height / width - 1) > LEAST_DEFORMED:
        told["stretch"] = f"{height / width:.5g}"
    if abs(sheared / height) > LEAST_DEFORMED:
        told["shear"] = f"{sheared / height:.4g}"
    told["rotation"] = f"{round(float(np.degrees(rotation)), 6) + 0.0:.4g}"
    words = "".join(f", {name}: {value}" for name, value in told.items())
    return ingest_settings_of(orientation, made_by).removesuffix("}") + words + "}"


def _before(made_by: dict[str, Any]) -> PositionSettings:
    """What ingest was told of the positions."""
    given = made_by.get("settings", {}).get("positions") or {}
    return PositionSettings(
        **{field.name: given[field.name] for field in fields(PositionSettings) if field.name in given}
    )


def _axes_after(orientation: int, before: PositionSettings) -> PositionSettings:
    """Signs and order of what was told before, turned once more."""
    rows, columns, swap = orientations()[orientation]
    signs = [before.row_sign, before.column_sign][:: -1 if swap else 1]
    return PositionSettings(before.swap != swap, rows * signs[0], columns * signs[1])


def _matrix(settings: PositionSettings) -> np.ndarray:
    """What settings do to offsets, (2, 2), to stand to the left of them."""
    return settings.turned(np.eye(2)).T
