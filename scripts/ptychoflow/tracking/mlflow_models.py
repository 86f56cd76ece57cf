"""A published checkpoint as a model of MLflow's: with settings, metrics and datasets, and loadable without pickle.

`mlflow.pyfunc.load_model` runs `ptychoflow.tracking.served_model`, a copy of which travels with the model and with the
library, and which loads the checkpoint with ``weights_only=True``.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

from ptychoflow.files import sha256_of
from ptychoflow.provenance.record import LIBRARY, package_versions

DIGEST_TAG = "ptychoflow.checkpoint_sha256"
NEEDED = (
    "mlflow",
    "torch",
    "lightning",
    "torchmetrics",
    "numpy",
    "scipy",
    "h5py",
    "scikit-image",
    "matplotlib",
    "pillow",
)
NEEDED += ("pyyaml", "jsonargparse", "filelock", "pyarrow", "tifffile")


def find_model(client: Any, run: str, sha256: str) -> Any:
    """Give the model of a run that is this checkpoint; None where there is none."""
    experiment = client.get_run(run).info.experiment_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run}'")
    return next((model for model in found if model.tags.get(DIGEST_TAG) == sha256), None)


def send_model(client: Any, run: str, folder: Path, entry: dict[str, Any]) -> None:
    """Send a ``model`` line of a journal.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    run : str
        Id of the run that made it.
    folder : Path
        Folder of the journal.
    entry : dict
        ``path`` of the checkpoint, ``name``, ``params``, ``metrics`` (value, step and time by name), ``dataset`` (name
        and digest) and on request ``register_as`` and ``alias``.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    path = folder / entry["path"]
    if not path.exists():
        return
    sha256, experiment = sha256_of(path), client.get_run(run).info.experiment_id
    model = find_model(client, run, sha256)
    if model is None:
        tags = {DIGEST_TAG: sha256}
        model = client.create_logged_model(experiment, entry["name"], run, tags, entry["params"], "ptychography")
    if model.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as place:
            save_model(path, Path(place, "model"), model.model_id)
            client.log_model_artifacts(model.model_id, str(Path(place, "model")))
        dataset = entry["dataset"]
        metrics = [
            Metric(key, value, time, step, model.model_id, dataset["name"], dataset["digest"], run)
            for key, (value, step, time) in entry["metrics"].items()
        ]
        client.log_batch(run, metrics=metrics)
        client.log_outputs(run, [LoggedModelOutput(model.model_id, entry["step"])])
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    if name := entry.get("register_as"):
        _register(client, name, entry.get("alias"), model, run)


def _register(client: Any, name: str, alias: str | None, model: Any, run: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = client.search_model_versions(f"name = '{name}'")
    known = [version for version in versions if version.source == model.artifact_location]
    version = (known or [client.create_model_version(name, model.artifact_location, run, model_id=model.model_id)])[0]
    if alias:
        client.set_registered_model_alias(name, alias, version.version)


def save_model(checkpoint: Path, target: Path, model_id: str | None = None) -> None:
    """Write a folder that `mlflow.pyfunc.load_model` takes.

    Parameters
    ----------
    checkpoint : Path
        Published model.ckpt.
    target : Path
        The folder.
    model_id : str, optional
        Of the model of MLflow's that the folder is for.
    """
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    real, truth = np.dtype("float32"), np.dtype("bool")
    inputs = [
        TensorSpec(real, (-1, -1, -1), "frames"),
        TensorSpec(np.dtype("float64"), (-1, 2), "positions"),
        TensorSpec(real, (-1, -1, -1, 2), "probe"),
        TensorSpec(truth, (-1, -1), "mask"),
    ]
    outputs = [TensorSpec(real, (-1, -1), "amplitude"), TensorSpec(real, (-1, -1), "phase")]
    for advice in (".*input example was not provided.*", ".*Add type hints to the `predict` method.*"):
        warnings.filterwarnings("ignore", advice)  # the signature is given
    mlflow.pyfunc.save_model(
        target,
        python_model=str(LIBRARY / "tracking/served_model.py"),
        artifacts={"checkpoint": str(checkpoint)},
        code_paths=[str(LIBRARY)],
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        pip_requirements=[f"{name}=={version}" for name, version in package_versions(*NEEDED).items()],
        mlflow_model=Model(model_id=model_id),
    )
