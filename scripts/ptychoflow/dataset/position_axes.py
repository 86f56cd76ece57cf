"""Which way the axes of scan positions run against the frames: eight ways, and what ingest is told of them."""

from dataclasses import replace
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


def orientations() -> list[tuple[int, int, bool]]:
    """Give the `ORIENTATIONS` by number."""
    return list(ORIENTATIONS.values())


def turned(positions: np.ndarray, orientation: int) -> np.ndarray:
    """Positions (frames, 2) about their middle under one of the `orientations`."""
    rows, columns, swap = orientations()[orientation]
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    offsets = positions - middle
    return middle[:: -1 if swap else 1] + (offsets[:, ::-1] if swap else offsets) * [rows, columns]


def mapped(positions: np.ndarray, scale: float, rotation: float) -> np.ndarray:
    """Positions (frames, 2) wider by a factor and turned by degrees about their mean, as `positions` of ingest say."""
    middle = positions.mean(axis=0)
    return middle + PositionSettings(scale=float(scale), rotation=float(rotation)).turned(positions - middle)


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
    rows, columns, swap = orientations()[orientation]
    before = made_by.get("settings", {}).get("positions") or {}
    signs = [before.get("row_sign", 1), before.get("column_sign", 1)][:: -1 if swap else 1]
    swapped = bool(before.get("swap", False)) != swap
    return (
        f"positions: {{swap: {str(swapped).lower()}, row_sign: {rows * signs[0]}, column_sign: {columns * signs[1]}}}"
    )


def measured_settings_of(orientation: int, scale: float, rotation: float, made_by: dict[str, Any]) -> str | None:
    """What ingest must be told for a dataset that is to be turned and then `mapped`, as YAML.

    Parameters
    ----------
    orientation : int
        One of the `orientations`, against the dataset as it is.
    scale, rotation : float
        Factor, and degrees after the orientation.
    made_by : dict
        The dataset's provenance, with what ingest was told before.

    Returns
    -------
    str or None
        None where the positions were sheared before: no such settings say what becomes of them.
    """
    before = made_by.get("settings", {}).get("positions") or {}
    if before.get("shear", 0.0):
        return None
    rows, columns, swap = orientations()[orientation]
    # A mirror turns an earlier rotation round.
    mirrored = rows * columns * (-1 if swap else 1) < 0
    turn = rotation + before.get("rotation", 0.0) * (-1 if mirrored else 1)
    axes = ingest_settings_of(orientation, made_by).removesuffix("}")
    return f"{axes}, scale: {scale * before.get('scale', 1.0):.5g}, rotation: {turn:.4g}}}"
