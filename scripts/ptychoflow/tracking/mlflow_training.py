"""What a run of MLflow is told of a training, beside its metrics: datasets, the model, where it belongs, a note."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.values import flattened
from ptychoflow.tracking.mlflow_entries import digest_of

LONGEST_PARAM = 500


def parents_of(tags: dict[str, str]) -> list[dict[str, str]]:
    """Runs that a training stands under: that of its study, and that of its experiment if it has several seeds."""
    parents = []
    if "study" in tags:
        parents.append(study_parent(tags["study"]))
    if int(tags.get("seeds", 1)) > 1:
        parents.append({"key": f"experiment/{tags['experiment']}", "name": tags["experiment"]})
    return parents


def study_parent(name: str) -> dict[str, str]:
    """The run that all trainings of a study stand under."""
    return {"key": f"study/{name}", "name": name}


def inputs_of(paths: Sequence[Path], provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """The datasets that a network is trained on, as `MLflowRunLogger.log_inputs` takes them."""
    return [
        {
            "name": path.stem,
            "sha256": source["sha256"],
            "source": str(path),
            "frames": source["frames"],
            "context": "training",
        }
        for path, source in zip(paths, provenance["data"], strict=True)
    ]


def model_of(
    checkpoint: Path,
    provenance: dict[str, Any],
    name: str,
    tracking: TrackingSettings,
    last_values: dict[str, Any],
) -> dict[str, Any]:
    """A published checkpoint as a model with its settings, the last values of its metrics and its first dataset.

    Parameters
    ----------
    checkpoint : Path
        The published model.ckpt.
    provenance : dict
        Of its training.
    name : str
        What the model is called.
    tracking : TrackingSettings
        Whether and how it is registered.
    last_values : dict
        Of each metric its value, step and time, as `Journal.last_values` gives them.
    """
    values = {key: value for key, value in last_values.items() if key.endswith("/epoch")}
    settings = {"model": provenance["config"]["model"], "seed": provenance["seed"]}
    first = provenance["data"][0]
    return {
        "path": checkpoint,
        "name": name,
        "step": max((step for _, step, _ in values.values()), default=0),
        "params": {key: str(value)[:LONGEST_PARAM] for key, value in flattened(settings, "/").items()},
        "metrics": values,
        "dataset": {"name": Path(first["file"]).stem, "digest": digest_of(first["sha256"])},
        "register_as": tracking.register_as,
        "alias": tracking.register_alias,
    }


def note(provenance: dict[str, Any], pictures: Sequence[str] = (), scores: dict[str, Any] | None = None) -> str:
    """Text of a run's note, in Markdown: what was trained on what, and its images and scores.

    Parameters
    ----------
    provenance : dict
        Of the training.
    pictures : sequence of str
        Artifacts of the run to show.
    scores : dict, optional
        By name.
    """
    config, files = provenance["config"], ", ".join(source["file"] for source in provenance["data"])
    dirty = " with changes" if provenance.get("dirty") else ""
    lines = [
        f"`{config['model']['name']}` trained on {files}, seed {provenance['seed']}, "
        f"commit `{provenance['commit'][:12]}`{dirty}."
    ]
    for picture in pictures:
        place = picture.replace("/", "%2F")
        lines.append(f"![{picture}](get-artifact?path={place}&run_uuid={{run_id}})")
    if shown := {name: value for name, value in (scores or {}).items() if isinstance(value, float)}:
        lines.append("\n".join(["| score | |", "| --- | --- |", *(f"| {k} | {v:.4g} |" for k, v in shown.items())]))
    return "\n\n".join(lines)
