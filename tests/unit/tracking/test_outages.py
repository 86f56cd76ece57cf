"""Whatever happens to a logger, a training ends with the weights of an undisturbed one; MLflow gets each step once."""

import csv
import logging
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow_servers import Server, refusing_server

from ptychoflow.errors import InputError
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.tracking.delivery import PREDECESSOR_TAG, RUN_FILE, deliver_waiting
from ptychoflow.tracking.events import EventLogger
from ptychoflow.tracking.journal import JOURNAL, Journal
from ptychoflow.tracking.mlflow_runs import MLflowRunLogger
from ptychoflow.training.module import Reconstructor
from ptychoflow.training.statistics import EpochReport

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[3] / "scripts"
EPOCHS = 4
Steps = dict[str, list[tuple[int, float]]]


@pytest.fixture(autouse=True)
def _quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def train(data: Path, folder: Path, uri: str | None, **tracking: object) -> dict[str, torch.Tensor]:
    logger = ["csv"] + ["mlflow"] * (uri is not None) + tracking.pop("more", [])
    settings = TrackingSettings(logger=logger, mlflow_tracking_uri=uri, log_every_n_steps=1, **tracking)
    training = TrainingSettings(max_epochs=EPOCHS, batch_size=8, accelerator="cpu", groups=GroupSettings(size=2))
    model = ModelSettings(features=4, depth=1, iterations=2)
    path = TrainingRun([data], folder, folder / "run", model, training, 0, settings, quiet=True).run()
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def undisturbed(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return train(small_cxi, tmp_path_factory.mktemp("undisturbed"), None)


@pytest.fixture
def at_epoch(monkeypatch: pytest.MonkeyPatch) -> dict[int, Callable[[], None]]:
    """What shall happen at the end of which epoch, counted from 0."""
    events: dict[int, Callable[[], None]] = {}
    report = EpochReport.on_train_epoch_end

    def with_event(self: EpochReport, trainer: object, module: object) -> None:
        report(self, trainer, module)
        if event := events.pop(trainer.current_epoch, None):
            event()

    monkeypatch.setattr(EpochReport, "on_train_epoch_end", with_event)
    return events


def assert_same_weights(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def steps_of_table(folder: Path) -> Steps:
    steps: Steps = {}
    with open(folder / "metrics.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            for key in row.keys() - {"step", "epoch"}:
                if row[key]:
                    steps.setdefault(key, []).append((int(row["step"]), pytest.approx(float(row[key]), rel=1e-6)))
    return steps


def active_runs(uri: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name("ptychoflow").experiment_id]))


def assert_each_step_once(uri: str, folder: Path) -> mlflow.entities.Run:
    client, (run,) = mlflow.MlflowClient(uri), active_runs(uri)
    told = {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics.keys() - {"epoch"}
        if not key.startswith("system/")
    }
    assert told == steps_of_table(folder)
    assert run.info.status == "FINISHED"
    assert run.data.params["model/features"] == "4"
    assert {"config.yaml", "provenance.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    return run


LOGGERS: list[MLflowRunLogger] = []
"""Those of the test."""


def send_all() -> None:
    """Wait until the store has all that was logged: what cannot be sent from then on is what comes next, values."""
    for logger in LOGGERS:
        logger.outbox.flush(60)
        assert not logger.journal.waiting()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    if server.process.poll() is None:
        server.kill()


def test_a_server_that_is_killed_and_comes_back(
    server: Server, at_epoch: dict, undisturbed: dict, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    at_epoch[1] = lambda: (send_all(), server.kill())
    assert_same_weights(train(small_cxi, tmp_path / "out", server.uri), undisturbed)
    first, last = warnings_of(caplog)
    assert "MLflow takes no values (" in first
    assert str(tmp_path / "out/run" / JOURNAL) in first
    assert "have not reached MLflow" in last
    program = [sys.executable, str(SCRIPTS / "close_runs.py"), "--results", str(tmp_path)]
    program += ["--mlflow_tracking_uri", f"sqlite:///{tmp_path}/other.db"]
    early = subprocess.run(program, capture_output=True, text=True)
    assert f"what waits in {tmp_path}/out/run was not sent" in early.stderr
    server.start()
    late = subprocess.run(program, capture_output=True, text=True)
    run = assert_each_step_once(server.uri, tmp_path / "out")
    assert f"run {run.info.run_id} has all that waited in {tmp_path}/out/run" in late.stderr
    assert deliver_waiting(tmp_path, server.uri) == ({}, {})


def lock(place: Path) -> Callable[[], None]:
    connection = sqlite3.connect(place / "mlflow.db", check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection.close


def block_artifacts(place: Path) -> Callable[[], None]:
    folder, away = place / "artifacts", place / "away"
    folder.rename(away)
    folder.write_text("no folder")

    def mend() -> None:
        folder.unlink()
        away.rename(folder)

    return mend


@pytest.mark.parametrize("breaks", [lock, block_artifacts])
def test_a_store_that_recovers_gets_all_at_the_next_epoch(
    breaks: Callable[[Path], Callable[[], None]],
    at_epoch: dict,
    undisturbed: dict,
    small_cxi: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    mend: list[Callable[[], None]] = []

    def wait_and_mend() -> None:
        deadline = time.monotonic() + 240
        while not warnings_of(caplog):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        mend.pop()()

    def begin() -> None:
        send_all()
        mend.append(breaks(tmp_path))
        if breaks is block_artifacts:
            for logger in LOGGERS:
                logger.log_file(tmp_path / "out/run/config.yaml", "once more")

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    at_epoch |= {0: begin, 2: wait_and_mend}
    assert_same_weights(train(small_cxi, tmp_path / "out", uri), undisturbed)
    (warning,) = warnings_of(caplog)
    assert ("takes no values (" if breaks is lock else "takes no files (") in warning
    assert_each_step_once(uri, tmp_path / "out")


@pytest.fixture(autouse=True)
def _remember_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    make = MLflowRunLogger.__init__
    LOGGERS.clear()

    def remembered(self: MLflowRunLogger, *args: object, **kwargs: object) -> None:
        make(self, *args, **kwargs)
        LOGGERS.append(self)

    monkeypatch.setattr(MLflowRunLogger, "__init__", remembered)


def test_a_full_disk_of_the_store(
    at_epoch: dict, undisturbed: dict, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: that takes the rights of an administrator")

    def fill() -> None:
        send_all()
        with open(disk / "other", "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass

    try:
        at_epoch[0] = fill
        uri = f"sqlite:///{disk}/mlflow.db"
        assert_same_weights(train(small_cxi, tmp_path / "out", uri), undisturbed)
        assert "takes no values" in warnings_of(caplog)[0]
        (disk / "other").unlink()
        assert not deliver_waiting(tmp_path / "out", None)[1]
        assert_each_step_once(uri, tmp_path / "out")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_refused_token(undisturbed: dict, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with refusing_server() as uri:
        with pytest.raises(InputError, match=f"MLflow's store {uri} cannot be used .*401"):
            train(small_cxi, tmp_path / "refused", uri)
        weights = train(small_cxi, tmp_path / "out", uri, require=False)
    assert_same_weights(weights, undisturbed)
    first, last = warnings_of(caplog)
    assert "takes no values and files" in first
    assert "401" in first
    assert "have not reached MLflow" in last
    assert Journal(tmp_path / "out/run").begin()["uri"] == uri


def test_a_store_that_can_only_be_read(
    undisturbed: dict,
    small_cxi: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    # MLflow makes a folder "file:" of such an address, where it is.
    monkeypatch.chdir(tmp_path)
    mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    uri = f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true"
    with pytest.raises(InputError, match=r"takes no run .*readonly"):
        train(small_cxi, tmp_path / "refused", uri)
    assert_same_weights(train(small_cxi, tmp_path / "out", uri, require=False), undisturbed)
    assert "readonly" in warnings_of(caplog)[0]


def test_a_run_that_is_deleted_has_a_successor_with_all_its_steps(
    at_epoch: dict, undisturbed: dict, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run_file = tmp_path / "out/run" / RUN_FILE
    deleted: list[str] = []

    def delete() -> None:
        deleted.append(run_file.read_text())
        mlflow.MlflowClient(uri).delete_run(deleted[0])

    at_epoch[1] = delete
    assert_same_weights(train(small_cxi, tmp_path / "out", uri), undisturbed)
    run = assert_each_step_once(uri, tmp_path / "out")
    assert run.data.tags[PREDECESSOR_TAG] == deleted[0]
    assert run_file.read_text() == run.info.run_id != deleted[0]
    assert f"run {deleted[0]} was deleted" in " ".join(warnings_of(caplog))


def test_an_interrupted_training_goes_on_without_its_run_experiment_or_store(
    undisturbed: dict, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    step = Reconstructor.training_step

    def fail(self: Reconstructor, batch: object, batch_idx: int) -> object:
        if self.current_epoch == 2 and batch_idx == 3:
            raise RuntimeError("the node went down")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Reconstructor, "training_step", fail)
        with pytest.raises(RuntimeError, match="went down"):
            train(small_cxi, tmp_path / "out", uri)
    client = mlflow.MlflowClient(uri)
    deleted = (tmp_path / "out/run" / RUN_FILE).read_text()
    client.delete_experiment(client.get_experiment_by_name("ptychoflow").experiment_id)
    assert_same_weights(train(small_cxi, tmp_path / "out", uri), undisturbed)
    with pytest.raises(InputError, match="experiment ptychoflow is deleted: expected another name as mlflow_exp"):
        train(small_cxi, tmp_path / "out2", uri)
    client.restore_experiment(client.get_experiment_by_name("ptychoflow").experiment_id)
    client.delete_run(deleted)
    assert not deliver_waiting(tmp_path / "out", None)[1]
    run = assert_each_step_once(uri, tmp_path / "out")
    assert run.data.tags[PREDECESSOR_TAG] == deleted


def test_a_journal_that_waits_outlives_another_training_in_its_folder(small_cxi: Path, tmp_path: Path):
    with refusing_server() as uri:
        train(small_cxi, tmp_path / "out", uri, require=False)
        (tmp_path / "out/run/last.ckpt").unlink()  # or it would be published again
        train(small_cxi, tmp_path / "out", None)
        done, waiting = deliver_waiting(tmp_path, uri)
    assert not done
    (place,) = map(Path, waiting)
    assert place.parent == tmp_path / "out/run"
    assert Journal(place).waiting() > EPOCHS


def test_another_logger_that_fails_is_left_out(
    undisturbed: dict,
    small_cxi: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    log = EventLogger.log_metrics

    def fail(self: EventLogger, metrics: dict, step: int) -> None:
        if step > 10:
            raise OSError("No space left on device")
        log(self, metrics, step)

    monkeypatch.setattr(EventLogger, "log_metrics", fail)
    assert_same_weights(train(small_cxi, tmp_path / "out", None, more=["tensorboard"]), undisturbed)
    (warning,) = warnings_of(caplog)
    assert warning.startswith("logger tensorboard failed (No space left on device)")
    assert len(steps_of_table(tmp_path / "out")["train/loss/step"]) == EPOCHS * 8
