"""All results in one table: what they were made with, how they scored, how long they took, and their run."""

import csv
import json
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from ptychoflow.embedded_provenance import read_provenance
from ptychoflow.files import replacing
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import names_of

SHOWN = (
    *("experiment", "seed", "dataset", "method", "amplitude_ssim", "phase_ssim", "amplitude_psnr", "phase_psnr"),
    *("frc_half", "split_frc_half", "deviance", "fitted_deviance", "misfit", "lattice_share", "collapsed"),
    *("frames", "seconds", "train_seconds", "run_id"),
)
"""Columns of the page."""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>All results</title>
<style>body {{font-family: sans-serif}} td, th {{padding: .3em .8em; text-align: left}}</style></head>
<body><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>
"""
IDENTITY = ("experiment", "seed", "dataset", "method", "stage", "run_id", "commit", "dirty")


def result_row(folder: Path) -> dict[str, Any]:
    """Put together what is known of one result.

    Parameters
    ----------
    folder : Path
        results/{experiment}/seed{seed}/{dataset}, with the provenance.json and metrics.json of a reconstruction.

    Returns
    -------
    dict
        Identity; scores under their own names; ``started``, ``finished`` and ``train_seconds`` of the training; its
        settings, with the names of groups of settings before them.

    Raises
    ------
    InputError
        Where the provenance cannot be read.
    """
    provenance = read_provenance(folder / "provenance.json")
    training = provenance.get("training", {})
    config = training.get("config", {}) or provenance.get("config", {})
    known = provenance | {
        "experiment": folder.parent.parent.name,
        "dataset": Path(provenance["data_file"]).stem,
        "stage": training.get("stage"),
    }
    times = {name: training.get(name) for name in ("started", "finished")}
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    settings = {
        name: config[name]
        for name in ("model", *names_of(TrainingSettings), "solver", "reconstruction")
        if name in config
    }
    # The precision that auto stood for on the machine of the training, where that was recorded.
    settings |= {name: training[name] for name in ("precision",) if name in training}
    return (
        {name: known.get(name) for name in IDENTITY}
        | scores
        | times
        | {"train_seconds": seconds_between(**times)}
        | flattened(settings)
    )


def flattened(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Give nested settings as one level, ``groups.size`` for ``{groups: {size: …}}``."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV table of rows as `result_row` gives them; what one has not stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_page(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write names and scores as an HTML page that needs nothing else."""
    shown = [name for name in SHOWN if any(row.get(name) is not None for row in rows)]
    lines = ["".join(f"<td>{escape(_text(row.get(name)))}</td>" for name in shown) for row in rows]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in shown)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    with replacing(path) as temporary:
        temporary.write_text(PAGE.format(head=head, body=body), encoding="utf-8")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def seconds_between(started: str | None, finished: str | None) -> float | None:
    """Seconds between two times in ISO 8601; None where one is not known."""
    if started is None or finished is None:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
