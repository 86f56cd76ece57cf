"""Runs in MLflow: one store for all jobs, one run for all attempts of a training, none left running once it is dead."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from filelock import FileLock
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.tracking.new_steps import OnlyNewSteps

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

LOCAL_STORE = Path("results/mlflow/mlflow.db")
RUN_FILE = "mlflow_run_id"
HOST_TAG, PROCESS_TAG = "ptychoflow.host", "ptychoflow.process"
SQLITE = "sqlite:///"
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Opens MLflow's page on training runs, not on language models."""


def store_uri(given: str | None = None) -> str:
    """Give the address of MLflow's store: what was given, else MLFLOW_TRACKING_URI, else a SQLite file of our own."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{LOCAL_STORE.absolute()}"


def without_password(uri: str) -> str:
    """Give a store's address without user and password, as it may stand in a result."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else uri


@contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time create the tables of a SQLite store: of two that try, one would crash."""
    if not uri.startswith(SQLITE):
        yield
        return
    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        yield


def connect(uri: str) -> Any:
    """Open a store, which is created if it is a SQLite file that does not exist.

    Raises
    ------
    InputError
        Where the store cannot be reached or is of an unknown kind.
    """
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        with _creation_lock(uri):
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"MLflow's store {without_password(uri)} cannot be used ({reason:.200}): expected a running server or sqlite:////path"
        ) from None


class MLflowRunLogger(OnlyNewSteps, MLFlowLogger):
    """Lightning's MLflow logger for one training in all its attempts.

    Parameters
    ----------
    uri : str
        MLflow's store.
    experiment : str
        MLflow's experiment, which is created if it does not exist.
    run_dir : Path
        Working folder of the training, in which the run's id is kept.
    run_name : str
        What the run is called.
    tags : dict
        Tags of the run.
    resumed : bool
        Whether to go on with the run whose id the folder keeps.
    """

    def __init__(
        self, uri: str, experiment: str, run_dir: Path, run_name: str, tags: dict[str, str], resumed: bool
    ) -> None:
        self.run_file = run_dir / RUN_FILE
        self.uri = uri
        client = connect(uri) if rank_zero_only.rank == 0 else None
        run_id = _known_run(client, self.run_file) if client and resumed else None
        location = None
        if uri.startswith(SQLITE):
            location = (Path(uri.removeprefix(SQLITE)).absolute().parent / "artifacts").as_uri()
        tags = {**tags, **_process_tags()}
        with _creation_lock(uri):
            super().__init__(experiment, run_name, uri, tags, artifact_location=location, run_id=run_id)
        self.resumed = run_id is not None
        if self.resumed:
            keys = client.get_run(run_id).data.metrics
            self.last_steps = {key: client.get_metric_history(run_id, key)[-1].step for key in keys}

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The MLflow client; the run is created, or set running again, when it is first asked for."""
        if self._initialized:
            return self._mlflow_client
        with _creation_lock(self.uri):
            self._experiment_id = _experiment_id(self._mlflow_client, self._experiment_name, self._artifact_location)
            client = super().experiment
        if self.resumed:
            client.update_run(self._run_id, status="RUNNING")
            for key, value in self.tags.items():
                client.set_tag(self._run_id, key, value)
        with replacing(self.run_file) as temporary:
            temporary.write_text(self._run_id, encoding="utf-8")
        return client

    @rank_zero_only
    def log_file(self, path: Path) -> None:
        """Put a file into the run."""
        self.experiment.log_artifact(self.run_id, str(path))

    @rank_zero_only
    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Log an image (H, W, 3) uint8 for the slider over steps, unless it has one of this step or a later one."""
        if step > self.last_steps.get(name, -1):
            self.last_steps[name] = step
            self.experiment.log_image(self.run_id, picture, key=name, step=step, synchronous=True)

    @rank_zero_only
    def log_folder(self, path: Path) -> None:
        """Put a folder with all it holds into the run, under the folder's own name."""
        self.experiment.log_artifacts(self.run_id, str(path), artifact_path=path.name)


def _known_run(client: Any, run_file: Path) -> str | None:
    """Id of the run that earlier attempts logged to, if this store has it."""
    from mlflow.exceptions import MlflowException

    if not run_file.exists():
        return None
    run_id = run_file.read_text(encoding="utf-8").strip()
    try:
        client.get_run(run_id)
    except MlflowException:
        return None
    return run_id


def _experiment_id(client: Any, name: str, location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_KIND)
        except MlflowException:  # another job of a common server was faster
            found = client.get_experiment_by_name(name)
    return found.experiment_id


def _process_tags() -> dict[str, str]:
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}


def close_dead_runs(uri: str) -> list[str]:
    """Mark as FAILED the runs whose process on this host was killed before it could say so.

    Returns
    -------
    list of str
        Their ids. A training that goes on sets its run running again.
    """
    client = connect(uri)
    mine = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{socket.gethostname()}'"
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    closed = []
    for run in client.search_runs(experiments, mine, max_results=1000):
        if not _alive(int(run.data.tags[PROCESS_TAG])):
            client.set_terminated(run.info.run_id, "FAILED")
            closed.append(run.info.run_id)
    return closed


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
