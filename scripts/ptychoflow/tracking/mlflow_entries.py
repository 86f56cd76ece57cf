"""How each kind of line of a journal is sent: status, note, datasets, files, pictures, the model and its scores.

Each can be sent again, after an answer was lost, without anything standing there twice.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ptychoflow.tracking.mlflow_models import find_model, send_model
from ptychoflow.tracking.mlflow_store import creation_lock

PARENT_TAG, GROUP_TAG = "mlflow.parentRunId", "ptychoflow.group"
LONGEST_DIGEST = 36
Entry = dict[str, Any]


def parent_run(client: Any, uri: str, experiment: str, parent: dict[str, str], above: str | None) -> str:
    """Id of the run that stands for a study, or for an experiment of several seeds; the first of two."""
    mark = f"tags.`{GROUP_TAG}` = '{parent['key']}'"

    def found() -> list[Any]:
        return client.search_runs([experiment], mark, order_by=["attributes.start_time ASC"], max_results=10)

    with creation_lock(uri):
        runs = found()
        if not runs:
            tags = {GROUP_TAG: parent["key"], "mlflow.runName": parent["name"]} | ({PARENT_TAG: above} if above else {})
            own = client.create_run(experiment, tags=tags).info.run_id
            client.set_terminated(own)
            runs = found()
            if runs[0].info.run_id != own:  # another job of a common server was faster
                client.delete_run(own)
    return runs[0].info.run_id


def digest_of(sha256: str) -> str:
    """MLflow's digest of a dataset: as much of its SHA-256 as it takes."""
    return sha256[:LONGEST_DIGEST]


def _status(client: Any, run: str, folder: Path, entry: Entry) -> None:
    if entry["status"] == "RUNNING":
        client.update_run(run, status="RUNNING")
    else:
        client.set_terminated(run, entry["status"], entry["time"])


def _note(client: Any, run: str, folder: Path, entry: Entry) -> None:
    client.set_tag(run, "mlflow.note.content", entry["text"].replace("{run_id}", run))


def _inputs(client: Any, run: str, folder: Path, entry: Entry) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(
                dataset["name"],
                digest_of(dataset["sha256"]),
                "local",
                json.dumps({"uri": dataset["source"]}),
                profile=json.dumps({"frames": dataset["frames"], "sha256": dataset["sha256"]}),
            ),
            [InputTag("mlflow.data.context", dataset["context"])],
        )
        for dataset in entry["datasets"]
    ]
    client.log_inputs(run, inputs)


def _file(client: Any, run: str, folder: Path, entry: Entry) -> None:
    path = folder / entry["path"]
    if path.is_dir():
        client.log_artifacts(run, str(path), entry["to"])
    elif path.exists():
        client.log_artifact(run, str(path), entry["to"])


def _image(client: Any, run: str, folder: Path, entry: Entry) -> None:
    path = folder / entry["path"]
    # MLflow gives each picture a new name: one that was sent before the answer was lost would stand there twice.
    name = f"images/{entry['key'].replace('/', '#')}%step%{entry['step']}%"
    if path.exists() and not any(file.path.startswith(name) for file in client.list_artifacts(run, "images")):
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
        client.log_image(run, picture, key=entry["key"], step=entry["step"], timestamp=entry["time"], synchronous=True)


def _scores(client: Any, run: str, folder: Path, entry: Entry) -> None:
    """Scores of a result, at the model that made it and the dataset it was made of."""
    from mlflow.entities import Metric

    if model := find_model(client, run, entry["checkpoint_sha256"]):
        metrics = [
            Metric(
                key,
                value,
                entry["time"],
                entry["step"],
                model_id=model.model_id,
                dataset_name=entry["dataset"],
                dataset_digest=digest_of(entry["sha256"]),
                run_id=run,
            )
            for key, value in entry["values"].items()
        ]
        client.log_batch(run, metrics=metrics)


SENDERS: dict[str, Callable[[Any, str, Path, Entry], None]] = {
    "status": _status,
    "note": _note,
    "inputs": _inputs,
    "file": _file,
    "image": _image,
    "model": send_model,
    "scores": _scores,
}
"""What is sent line by line, after the values of the same lines."""
