"""Figures of a study: its scores over an axis or a measured time, with error bars over seeds."""

import itertools
import math
import textwrap
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptychoflow.studies.tables import Study, groups_by, score_name

LOGARITHMIC_FROM = 20
"""Ratio of the largest to the smallest value on an axis from which it is logarithmic."""
MARKERS = "osD^vP*X"
LETTERS_BELOW = 60
"""Letters that have room side by side below an axis; longer labels slant."""


def study_figure(study: Study, rows: list[dict[str, Any]], summary: list[dict[str, Any]]) -> Figure:
    """Draw each score of a study.

    Over an axis of numbers, or over a measured column, there is a line for each combination of the other axes; over a
    measured column the values of the last axis follow each other along a line. Otherwise each combination has a place
    of its own, with all its results.

    Parameters
    ----------
    study : Study
        What to draw over what.
    rows : list of dict
        All results, as `ptychoflow.studies.tables.result_rows` gives them.
    summary : list of dict
        Their means, as `ptychoflow.studies.tables.summary_rows` gives them.
    """
    figure, axes = plt.subplots(
        1, len(study.scores), figsize=(5.5 * len(study.scores), 4.5), squeeze=False, layout="constrained"
    )
    for axis, score in zip(axes[0], study.scores, strict=True):
        if study.x is None:
            _draw_places(axis, study, rows, summary, score)
        else:
            _draw_lines(axis, study, summary, score)
        axis.set_ylabel(score_name(score))
        axis.grid(alpha=0.3)
    figure.suptitle(textwrap.fill(study.question, 55 * len(study.scores)), fontsize=10)
    return figure


def _draw_lines(axis: Axes, study: Study, summary: list[dict[str, Any]], score: str) -> None:
    along = study.x if study.x in study.axes else study.axes[-1]
    others = [name for name in study.axes if name != along]
    places = []
    for (labels, members), marker in zip(groups_by(summary, others), itertools.cycle(MARKERS), strict=False):
        points = [(float(row[study.x]), row[score], row[f"{score}_sd"] or 0.0) for row in members if _known(row, score)]
        if not points:
            continue
        x, y, spread = zip(*sorted(points), strict=True)
        places += x
        axis.errorbar(x, y, spread, marker=marker, markersize=5, capsize=3, label=", ".join(labels) or None)
    if places and min(places) > 0 and max(places) / min(places) >= LOGARITHMIC_FROM:
        axis.set_xscale("log")
    axis.set_xlabel(score_name(study.x))
    if others and axis.containers:
        axis.legend(fontsize=8)


def _draw_places(
    axis: Axes, study: Study, rows: list[dict[str, Any]], summary: list[dict[str, Any]], score: str
) -> None:
    for place, (row, (_, members)) in enumerate(zip(summary, groups_by(rows, study.axes), strict=True)):
        values = [float(one[score]) for one in members if _known(one, score)]
        axis.plot([place] * len(values), values, "o", markersize=4, color="tab:gray", alpha=0.6)
        if row[score] is not None:
            axis.errorbar(place, row[score], row[f"{score}_sd"] or 0.0, marker="_", markersize=18, capsize=5, color="k")
        if row.get(f"{score}_published") is not None:
            axis.plot(place, row[f"{score}_published"], "x", color="tab:red")
    names = [[str(row[name]) for name in study.axes] for row in summary]
    if len(names) * max(len(label) for labels in names for label in labels) <= LETTERS_BELOW:
        axis.set_xticks(range(len(names)), ["\n".join(labels) for labels in names], fontsize=8)
    else:
        slanting = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        axis.set_xticks(range(len(names)), [", ".join(labels) for labels in names], fontsize=8, **slanting)
    axis.set_xlim(-0.5, len(names) - 0.5)
    axis.set_xlabel(", ".join(study.axes))
    if any(f"{score}_published" in row for row in summary):
        axis.plot([], [], "x", color="tab:red", label="published")
        axis.legend(fontsize=8)


def _known(row: dict[str, Any], score: str) -> bool:
    return row.get(score) not in (None, "") and not math.isnan(float(row[score]))
