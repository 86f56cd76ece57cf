"""MLflow's store: where it is, one that jobs create together, what it says when it fails, runs of killed processes."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from filelock import FileLock

from ptychoflow.errors import InputError

# Before MLflow is loaded. Seven attempts of two minutes each, its own numbers, would hold up the end of a training.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

LOCAL_STORE = Path("results/mlflow/mlflow.db")
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


def sqlite_path(uri: str) -> Path | None:
    """File of a SQLite store; None of a store of another kind."""
    return Path(uri.removeprefix(SQLITE).removeprefix("file:").partition("?")[0]) if uri.startswith(SQLITE) else None


@contextmanager
def creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time create the tables of a SQLite store: of two that try, one would crash."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
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
    # They would tell of each attempt, and with a traceback; what fails is said once, by who sends.
    for name in ("urllib3.connectionpool", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with creation_lock(uri):
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
    except Exception as error:
        raise InputError(
            f"MLflow's store {without_password(uri)} cannot be used ({reason_of(error)}): expected a running server or "
            "sqlite:////path; tracking.require false lets the training begin without it"
        ) from None


def reason_of(error: BaseException) -> str:
    """What an error says, in one short line; of a chain of attempts, what the last one failed of."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, InputError):
        return text.partition(": expected ")[0]
    if "(Caused by " in text:
        text = text.split("(Caused by ", 1)[1].split("))")[0].removesuffix(")")
    if "(sqlite3." in text:
        text = text.split("(sqlite3.", 1)[1].split(") ", 1)[-1].split(" [SQL")[0]
    return re.sub(r"^\w+\(.*?\): ", "", text).strip("\"'")[:200]


def experiment_of(client: Any, uri: str, name: str) -> str:
    """Id of an experiment, which is created if it does not exist.

    Raises
    ------
    InputError
        Where it was deleted.
    """
    from mlflow.exceptions import MlflowException

    path = sqlite_path(uri)
    location = None if path is None else (path.absolute().parent / "artifacts").as_uri()
    with creation_lock(uri):
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_KIND)
            except MlflowException:  # another job of a common server was faster
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    if found.lifecycle_stage == "deleted":
        raise InputError(
            f"MLflow's experiment {name} is deleted: expected another name as mlflow_experiment, or the old one "
            f"restored by mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return found.experiment_id


def process_tags() -> dict[str, str]:
    """Who writes a run, so that it can be closed when that process is gone."""
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
