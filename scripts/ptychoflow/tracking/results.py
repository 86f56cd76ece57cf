"""Results of a network, told to the run of MLflow that made it: scores, figures, and a note that shows the image."""

import json
import math
from pathlib import Path
from typing import Any

from ptychoflow.configuration.results import PLAIN_PICTURES, RESULT_FIGURES
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.tracking.delivery import delivery_of
from ptychoflow.tracking.journal import Journal
from ptychoflow.tracking.mlflow_store import store_uri
from ptychoflow.tracking.mlflow_training import note


def track(result: Path, run_dir: Path) -> tuple[str | None, int, str]:
    """Write a result into the journal of the training, and send it if the store takes it.

    Parameters
    ----------
    result : Path
        Folder with metrics.json, provenance.json and figures.
    run_dir : Path
        Run folder of the training.

    Returns
    -------
    run_id : str or None
        The run, if it is known already.
    waiting : int
        Lines that could not be sent.
    reason : str
        Why.
    """
    journal = Journal(run_dir)
    if not journal.path.exists():
        return None, 0, ""
    provenance = read_provenance(result / "provenance.json")
    scores = json.loads((result / "metrics.json").read_text(encoding="utf-8"))
    journal.open({})
    try:
        trained_as = provenance["training"]["config"].get("tags", {}).get("experiment")
        experiment = result.parent.parent.name
        # The network of one experiment may serve another.
        place = result.name if trained_as in (None, experiment) else f"{experiment}/{result.name}"
        _write(journal, result, place, provenance, scores)
        delivery = delivery_of(journal, store_uri())
        failures = delivery.deliver()
        return delivery.sent.run_id, journal.waiting() if failures else 0, next(iter(failures.values()), "")
    finally:
        journal.close()


def _write(journal: Journal, result: Path, place: str, provenance: dict[str, Any], scores: dict[str, Any]) -> None:
    values = {
        f"{place}/{name}": float(value)
        for name, value in scores.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    known = journal.last_values()
    if any(known.get(key, (None,))[0] != value for key, value in values.items()):
        step = max((known[key][1] for key in values if key in known), default=-1) + 1
        journal.stamped({"kind": "metrics", "step": step, "values": values})
        journal.stamped(
            {
                "kind": "scores",
                "step": step,
                "values": values,
                "dataset": Path(provenance["data_file"]).stem,
                "sha256": provenance["data_sha256"],
                "checkpoint_sha256": provenance["checkpoint_sha256"],
            }
        )
    dataset = {
        "name": Path(provenance["data_file"]).stem,
        "sha256": provenance["data_sha256"],
        "source": provenance["data_file"],
        "frames": scores.get("frames"),
        "context": "evaluation",
    }
    journal.append({"kind": "inputs", "datasets": [dataset]})
    figures = [path for name in RESULT_FIGURES if (path := result / "figures" / f"{name}.png").exists()]
    figures = figures or [path for name in PLAIN_PICTURES if (path := result / name).exists()]
    for path in figures:
        journal.append({"kind": "file", "path": journal.relative(path), "to": place})
    shown = [
        f"{place}/{path.name}" for path in figures if path.stem == RESULT_FIGURES[0] or path.name in PLAIN_PICTURES
    ]
    journal.append({"kind": "note", "text": note(provenance["training"], shown, scores)})
