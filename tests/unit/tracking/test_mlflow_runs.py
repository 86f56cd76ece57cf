"""One store for all jobs, whatever starts first, and no run that looks alive after its process died."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from ptychoflow.tracking.delivery import RUN_FILE
from ptychoflow.tracking.mlflow_runs import MLflowRunLogger
from ptychoflow.tracking.mlflow_store import (
    HOST_TAG,
    PROCESS_TAG,
    close_dead_runs,
    connect,
    store_uri,
    without_password,
)

SCRIPTS = Path(__file__).parents[3] / "scripts"


def logger_of(store: str, folder: Path, resumed: bool = False) -> MLflowRunLogger:
    return MLflowRunLogger(store, "ptychoflow", folder, "name", {"seed": "0"}, resumed)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store/mlflow.db"


def test_the_store_is_what_was_given_then_the_environments_then_our_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_uri() == f"sqlite:///{Path.cwd()}/results/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert store_uri() == "http://127.0.0.1:1"
    assert store_uri("sqlite:////elsewhere.db") == "sqlite:////elsewhere.db"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@host:5000/path", "https://host:5000/path"),
        ("http://host", "http://host"),
        ("sqlite:////a/b@c.db", "sqlite:////a/b@c.db"),
    ],
)
def test_a_password_is_not_shown(uri: str, shown: str):
    assert without_password(uri) == shown


@pytest.mark.slow
def test_processes_that_create_one_store_together_all_log(tmp_path: Path, store: str):
    program = (
        "import sys; from pathlib import Path; from ptychoflow.tracking.mlflow_runs import MLflowRunLogger;"
        f"logger = MLflowRunLogger({store!r}, 'new', Path(sys.argv[1]), 'name', {{}}, False);"
        "logger.log_metrics({'loss': 1.0}, 0); logger.finalize('success'); logger.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / str(number))],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    client = mlflow.MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("new").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert all(run.data.metrics["loss"] == 1 for run in runs)


def test_a_resumed_logger_drops_what_the_run_has(tmp_path: Path, store: str):
    first = logger_of(store, tmp_path)
    for step in range(3):
        first.log_metrics({"loss": 1.0 + step}, step)
    first.log_metrics({"epoch": 0, "score": 5.0}, 2)
    first.finalize("failed")
    first.close()
    second = logger_of(store, tmp_path, resumed=True)
    assert second.run_id == first.run_id
    second.outbox.flush(30)
    assert second.experiment.get_run(second.run_id).info.status == "RUNNING"
    for step in range(1, 5):
        second.log_metrics({"loss": 10.0 + step, "epoch": 0}, step)
    second.close()
    history = second.experiment.get_metric_history(second.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 1), (1, 2), (2, 3), (3, 13), (4, 14)]
    assert len(second.experiment.get_metric_history(second.run_id, "score")) == 1


def test_a_run_that_another_store_knows_is_begun_anew(tmp_path: Path, store: str):
    first = logger_of(store, tmp_path)
    assert first.run_id == (tmp_path / RUN_FILE).read_text()
    first.log_metrics({"loss": 1.0}, 0)
    first.close()
    elsewhere = logger_of(f"sqlite:///{tmp_path}/other.db", tmp_path, resumed=True)
    assert elsewhere.run_id != first.run_id
    elsewhere.close()
    assert elsewhere.experiment.get_run(elsewhere.run_id).data.metrics == {"loss": 1.0}


def test_runs_of_killed_processes_are_closed_and_no_others(tmp_path: Path, store: str):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive, finished = logger_of(store, tmp_path / "alive"), logger_of(store, tmp_path / "finished")
    killed, elsewhere = logger_of(store, tmp_path / "killed"), logger_of(store, tmp_path / "elsewhere")
    for logger in (alive, finished, killed, elsewhere):
        logger.outbox.flush(30)
    killed.experiment.set_tag(killed.run_id, PROCESS_TAG, str(dead.pid))
    elsewhere.experiment.set_tag(elsewhere.run_id, PROCESS_TAG, str(dead.pid))
    elsewhere.experiment.set_tag(elsewhere.run_id, HOST_TAG, "another-host")
    for logger in (alive, finished):
        logger.log_metrics({"loss": 1.0}, 0)
    finished.finalize("success")
    assert close_dead_runs(store) == [killed.run_id]
    client = connect(store)
    states = [client.get_run(logger.run_id).info.status for logger in (alive, finished, killed, elsewhere)]
    assert states == ["RUNNING", "FINISHED", "FAILED", "RUNNING"]
