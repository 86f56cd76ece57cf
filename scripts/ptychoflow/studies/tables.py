"""What a study found: a row for each result, and a table of means over seeds with what they mean in words."""

import csv
import itertools
import json
import math
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

from ptychoflow.errors import InputError
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.studies.comparison import seconds_between

SIGNIFICANT = 0.05
NAMES = {"ssim": "SSIM", "psnr": "PSNR", "frc": "FRC", "mae": "MAE", "nrmse": "NRMSE"}


@dataclass
class Study:
    """A study as the workflow hands it over.

    Parameters
    ----------
    name, question : str
        What it is called, and what it asks.
    axes : list of str
        Names of its axes.
    scores : list of str
        Keys of metrics.json that answer.
    results : list of dict
        ``labels`` by axis, and the ``folder`` of a result.
    x : str, optional
        Axis, or measured column such as ``seconds``, that figures are drawn over.
    compare : str, optional
        Axis along which results are compared in words.
    published : list of dict, optional
        Scores by name beside the labels that they are published for.
    """

    name: str
    question: str
    axes: list[str]
    scores: list[str]
    results: list[dict[str, Any]]
    x: str | None = None
    compare: str | None = None
    published: list[dict[str, Any]] | None = None


def read_study(path: Path) -> Study:
    """Read what the workflow wrote of a study, whose folders are relative to that file."""
    study = Study(**yaml.safe_load(path.read_text(encoding="utf-8")))
    for result in study.results:
        result["folder"] = os.path.normpath(path.parent / result["folder"])
    return study


def result_rows(study: Study) -> list[dict[str, Any]]:
    """Collect the scores of every result of a study.

    Returns
    -------
    list of dict
        Labels, ``seed``, ``dataset``, all scores, ``training_seconds``, and ``seconds_on_scan``: what it took from this
        dataset to its image, a training on this very dataset included, and one on other data not.
    """
    rows = []
    for result in study.results:
        folder = Path(result["folder"])
        provenance = read_provenance(folder / "provenance.json")
        scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        row = {"seed": provenance["seed"], "dataset": folder.name}
        rows.append(result["labels"] | row | scores | times_of(provenance, scores))
    return rows


def times_of(provenance: dict[str, Any], scores: dict[str, Any]) -> dict[str, float | None]:
    """Give the seconds of the training, and those from dataset to image, its own training included."""
    training = provenance.get("training", {})
    trained = seconds_between(training.get("started"), training.get("finished"))
    own = any(source["sha256"] == provenance["data_sha256"] for source in training.get("data", []))
    seconds = scores["seconds"]
    if seconds is not None and own and trained is not None:
        seconds += trained
    return {"training_seconds": trained, "seconds_on_scan": seconds}


def summary_rows(study: Study, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds and datasets for every combination of labels.

    Returns
    -------
    list of dict
        Labels; for each score its mean, ``{score}_sd`` (None for a single result) and, where one is known,
        ``{score}_published``; ``results`` and how many of them ``collapsed``.
    """
    summary = []
    for labels, group in groups_by(rows, study.axes):
        row: dict[str, Any] = dict(zip(study.axes, labels, strict=True))
        for score in dict.fromkeys([*study.scores, *([study.x] if study.x and study.x not in study.axes else [])]):
            values = [float(one[score]) for one in group if one.get(score) not in (None, "")]
            row[score] = statistics.fmean(values) if values else None
            row[f"{score}_sd"] = statistics.stdev(values) if len(values) > 1 else None
            known = _published(study, row, score)
            if known is not None:
                row[f"{score}_published"] = known
        row["results"] = len(group)
        row["collapsed"] = sum(str(one["collapsed"]) == "True" for one in group)
        summary.append(row)
    return summary


def groups_by(rows: list[dict[str, Any]], axes: list[str]) -> list[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Rows with the same labels together, in the order in which those first come."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[axis]) for axis in axes), []).append(row)
    return list(groups.items())


def findings(study: Study, rows: list[dict[str, Any]]) -> list[str]:
    """Say in words which of two neighbouring results is better, and whether seeds alone could explain it.

    For each score and each combination of the other axes, every two values of the axis ``compare`` are held against
    each other by Welch's t-test (Welch, Biometrika 34, 28, 1947).
    """
    if study.compare is None:
        return []
    others = [axis for axis in study.axes if axis != study.compare]
    sentences = []
    for labels, group in groups_by(rows, others):
        place = ", ".join(f"{axis} {label}" for axis, label in zip(others, labels, strict=True))
        for score in study.scores:
            values = {
                name: [float(row[score]) for row in members if row.get(score) not in (None, "")]
                for (name,), members in groups_by(group, [study.compare])
            }
            values = {name: found for name, found in values.items() if found}
            for pair in itertools.combinations(values, 2):
                better, worse = sorted(pair, key=lambda name: -statistics.fmean(values[name]))
                sentences.append(
                    (f"{place}: " if place else "")
                    + f"{score_name(score)} of {better} is {_against(values[better], values[worse])} {worse}."
                )
    return sentences


def _against(better: list[float], worse: list[float]) -> str:
    means = f"({statistics.fmean(better):.4g} against {statistics.fmean(worse):.4g}"
    counts = f"{len(better)} and {len(worse)} results"
    if min(len(better), len(worse)) < 2:
        return f"higher {means}; {counts}, too few to tell it from chance) than that of"
    if statistics.stdev(better) == statistics.stdev(worse) == 0:
        probability = 0.0 if better[0] != worse[0] else 1.0
    else:
        probability = float(stats.ttest_ind(better, worse, equal_var=False).pvalue)
    if math.isnan(probability) or probability >= SIGNIFICANT:
        return f"not told from chance {means}; {counts}, p = {probability:.2g}) beside that of"
    return f"significantly higher {means}; {counts}, p = {probability:.2g}) than that of"


def score_name(score: str) -> str:
    """``amplitude_ssim`` as people write it, amplitude SSIM."""
    return " ".join(NAMES.get(word, word) for word in score.split("_"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read rows of a CSV table as text.

    Raises
    ------
    InputError
        Where it has none.
    """
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise InputError(f"{path} has no rows: expected the results of a study")
    return rows


def markdown(study: Study, summary: list[dict[str, Any]], sentences: list[str]) -> str:
    """Write the table with its question and findings in Markdown."""
    head, body = _cells(study, summary, " ± ")
    lines = [f"# {study.name}", "", study.question, "", _line(head), _line(["---"] * len(head)), *map(_line, body)]
    lines += ["", "Mean ± standard deviation over seeds.", "", *(f"- {sentence}" for sentence in sentences)]
    return "\n".join(lines).rstrip() + "\n"


def latex(study: Study, summary: list[dict[str, Any]]) -> str:
    """Write the table for LaTeX's booktabs."""
    head, body = _cells(study, summary, r" $\pm$ ")

    def escaped(cell: str) -> str:
        return cell.replace("_", r"\_").replace("%", r"\%").replace("&", r"\&")

    rows = [" & ".join(map(escaped, row)) + r" \\" for row in (head, *body)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(study.axes)}{'r' * (len(head) - len(study.axes))}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _cells(study: Study, summary: list[dict[str, Any]], between: str) -> tuple[list[str], list[list[str]]]:
    shown = [name for name in summary[0] if not name.endswith("_sd") and name not in study.axes]
    shown = list(dict.fromkeys(shown + [name for row in summary for name in row if name.endswith("_published")]))

    def cell(row: dict[str, Any], name: str) -> str:
        value, spread = row.get(name), row.get(f"{name}_sd")
        if value is None:
            return ""
        text = str(value) if isinstance(value, int) else f"{value:.4g}"
        return text if spread is None else f"{text}{between}{spread:.2g}"

    head = [*study.axes, *map(score_name, shown)]
    return head, [[str(row[axis]) for axis in study.axes] + [cell(row, name) for name in shown] for row in summary]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _published(study: Study, labels: dict[str, Any], score: str) -> float | None:
    for entry in study.published or ():
        if score in entry and all(str(entry[axis]) == labels[axis] for axis in study.axes if axis in entry):
            return float(entry[score])
    return None
