"""All results in one table: what they were made with, how they scored, how long they took, and their run."""

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from ptychoflow.files import replacing
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import flattened, names_of

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
    known = provenance | {
        "experiment": folder.parent.parent.name,
        "dataset": Path(provenance["data_file"]).stem,
        "stage": training.get("stage"),
    }
    times = {name: training.get(name) for name in ("started", "finished")}
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return (
        {name: known.get(name) for name in IDENTITY}
        | scores
        | times
        | {"train_seconds": seconds_between(**times)}
        | settings_of(provenance)
    )


def settings_of(provenance: dict[str, Any]) -> dict[str, Any]:
    """Settings of the training that a result comes from, or of its solver, with the names of groups before them."""
    training = provenance.get("training", {})
    config = training.get("config", {}) or provenance.get("config", {})
    settings = {
        name: config[name]
        for name in ("model", *names_of(TrainingSettings), "solver", "reconstruction")
        if name in config
    }
    # The precision that auto stood for on the machine of the training, where that was recorded.
    return flattened(settings | {name: training[name] for name in ("precision",) if name in training})


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV table of rows as `result_row` gives them; what one has not stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def seconds_between(started: str | None, finished: str | None) -> float | None:
    """Seconds between two times in ISO 8601; None where one is not known."""
    if started is None or finished is None:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
