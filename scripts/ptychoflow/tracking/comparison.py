"""All results in one table: what they were made with, how they scored, how long they took, and their run."""

import csv
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from ptychoflow.embedded_provenance import read_provenance
from ptychoflow.files import replacing
from ptychoflow.settings import TrainingSettings, names_of

IDENTITY = ("experiment", "seed", "dataset", "method", "stage", "run_id", "commit", "dirty")


def result_row(folder: Path) -> dict[str, Any]:
    """Put together what is known of one result.

    Parameters
    ----------
    folder : Path
        Holds the provenance.json and metrics.json of a reconstruction.

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
    config = training.get("config", {})
    known = provenance | {
        "experiment": config.get("tags", {}).get("experiment"),
        "dataset": Path(provenance["data_file"]).stem,
        "stage": training.get("stage"),
    }
    times = {name: training.get(name) for name in ("started", "finished")}
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    settings = {name: config[name] for name in ("model", *names_of(TrainingSettings)) if name in config}
    return (
        {name: known.get(name) for name in IDENTITY}
        | scores
        | times
        | {"train_seconds": _seconds(**times)}
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


def write_comparison(path: Path, folders: Iterable[Path]) -> None:
    """Write a CSV table with a row for each result, `result_row`; what one has not stays empty."""
    rows = [result_row(folder) for folder in folders]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _seconds(started: str | None, finished: str | None) -> float | None:
    if started is None or finished is None:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
