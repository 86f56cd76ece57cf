"""Every logger says the same, no metric has a step twice, and each logger is its own choice."""

import csv
import logging
from collections import defaultdict
from pathlib import Path

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ptychoflow.errors import InputError
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.tracking.events import last_event_steps
from ptychoflow.training.module import Reconstructor

pytestmark = pytest.mark.slow

TINY = ModelSettings(features=4, depth=1, iterations=2)
CIRCUMSTANCES = {"train/frames_per_second", "train/device_memory_mb"}

Curves = dict[str, list[tuple[int, float]]]


def train(data: Path, folder: Path, store: Path, logger: list, test: Path | None = None, **tracking: object) -> None:
    settings = TrackingSettings(
        logger=logger, mlflow_tracking_uri=f"sqlite:///{store}", log_every_n_steps=1, **tracking
    )
    training = TrainingSettings(max_epochs=3, batch_size=8, accelerator="cpu", groups=GroupSettings(size=2))
    TrainingRun([data], folder, folder / "run", TINY, training, 0, settings, test_data=test).run()


def curves_of_table(folder: Path) -> Curves:
    curves = defaultdict(list)
    with open(folder / "metrics.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            for key in row.keys() - {"step", "epoch"}:
                if row[key]:
                    curves[key].append((int(row["step"]), float(row[key])))
    return curves


def curves_of_events(folder: Path) -> Curves:
    events = EventAccumulator(str(folder / "run/tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    keys = set(events.Tags()["scalars"]) - {"epoch"}
    # Files of one process and second are read in the order of their names, not of their times.
    return {key: sorted((event.step, event.value) for event in events.Scalars(key)) for key in keys}


def only_run(store: Path) -> tuple[mlflow.MlflowClient, mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    (run,) = client.search_runs([client.get_experiment_by_name("ptychoflow").experiment_id])
    return client, run


def curves_of_run(store: Path) -> Curves:
    client, run = only_run(store)
    return {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics.keys() - {"epoch"}
        if not key.startswith("system/")
    }


def assert_same(one: Curves, other: Curves, without: set[str] = frozenset()) -> None:
    assert one.keys() == other.keys()
    for key in one.keys() - without:
        assert [step for step, _ in one[key]] == [step for step, _ in other[key]], key
        assert [value for _, value in one[key]] == pytest.approx([value for _, value in other[key]], rel=1e-6), key


@pytest.fixture(scope="module")
def all_three(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that logs to three loggers at once, with a test at its end."""
    folder = tmp_path_factory.mktemp("all")
    train(small_cxi, folder, folder / "mlflow.db", ["csv", "tensorboard", "mlflow"], test=small_cxi)
    return folder


def test_three_loggers_agree_on_every_metric(all_three: Path):
    table = curves_of_table(all_three)
    assert_same(curves_of_events(all_three), table)
    assert_same(curves_of_run(all_three / "mlflow.db"), table)


def test_metrics_have_the_names_and_cadence_that_are_promised(all_three: Path):
    table = curves_of_table(all_three)
    for mode in ("train", "val", "test"):
        for name in ("loss/epoch", "loss/poisson/epoch", "loss/amplitude/epoch", "metrics/deviance/epoch"):
            assert len(table[f"{mode}/{name}"]) == (1 if mode == "test" else 3)
        for name in ("amplitude_ssim", "phase_ssim", "amplitude_psnr", "phase_psnr"):
            assert len(table[f"{mode}/metrics/{name}/epoch"]) == (1 if mode == "test" else 3)
    once = ("lr", "beta1", "beta2", "gradient_norm/epoch", "frames_per_second", "device_memory_mb")
    for name in once:
        assert len(table[f"train/{name}"]) == 3
    steps = 3 * 8  # 61 training frames in batches of 8
    assert [step for step, _ in table["train/loss/step"]] == list(range(steps))
    assert len(table["train/gradient_norm/step"]) == steps
    assert table["train/lr"][-1][1] > 0


@pytest.mark.parametrize("missing", ["csv", "tensorboard", "mlflow"])
def test_without_one_logger_the_others_say_the_same(missing: str, all_three: Path, small_cxi: Path, tmp_path: Path):
    logger = [name for name in ("csv", "tensorboard", "mlflow") if name != missing]
    train(small_cxi, tmp_path, tmp_path / "mlflow.db", logger, test=small_cxi)
    expected = curves_of_table(all_three)
    if missing != "csv":
        assert_same(curves_of_table(tmp_path), expected, CIRCUMSTANCES)
    if missing != "tensorboard":
        assert_same(curves_of_events(tmp_path), expected, CIRCUMSTANCES)
    if missing != "mlflow":
        assert_same(curves_of_run(tmp_path / "mlflow.db"), expected, CIRCUMSTANCES)
    assert (tmp_path / "metrics.csv").exists() == (missing != "csv")
    assert (tmp_path / "run/tensorboard").exists() == (missing != "tensorboard")
    assert (tmp_path / "mlflow.db").exists() == (missing != "mlflow")


def test_a_run_that_goes_on_keeps_its_id_and_no_step_twice(
    all_three: Path, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step = Reconstructor.training_step

    def fail_in_the_second_epoch(self: Reconstructor, batch: object, batch_idx: int) -> object:
        if self.current_epoch == 1 and batch_idx == 3:
            raise RuntimeError("the node went down")
        return step(self, batch, batch_idx)

    store, loggers = tmp_path / "mlflow.db", ["csv", "tensorboard", "mlflow"]
    with monkeypatch.context() as patch:
        patch.setattr(Reconstructor, "training_step", fail_in_the_second_epoch)
        with pytest.raises(RuntimeError, match="the node went down"):
            train(small_cxi, tmp_path, store, loggers, test=small_cxi)
    _, failed = only_run(store)
    assert failed.info.status == "FAILED"
    train(small_cxi, tmp_path, store, loggers, test=small_cxi)
    _, finished = only_run(store)
    assert finished.info.run_id == failed.info.run_id
    assert finished.info.status == "FINISHED"
    expected = curves_of_table(all_three)
    assert_same(curves_of_table(tmp_path), expected, CIRCUMSTANCES)
    assert_same(curves_of_events(tmp_path), expected, CIRCUMSTANCES)
    assert_same(curves_of_run(store), expected, CIRCUMSTANCES)


def test_metrics_of_an_epoch_are_not_lost_between_checkpoint_and_loggers(
    all_three: Path, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector

    log, calls = _LoggerConnector.update_train_epoch_metrics, []

    def fail_once(self: _LoggerConnector) -> None:
        calls.append(self)
        if len(calls) == 2:
            raise RuntimeError("killed after the checkpoint of the second epoch was saved")
        log(self)

    store, loggers = tmp_path / "mlflow.db", ["csv", "tensorboard", "mlflow"]
    monkeypatch.setattr(_LoggerConnector, "update_train_epoch_metrics", fail_once)
    with pytest.raises(RuntimeError, match="killed after"):
        train(small_cxi, tmp_path, store, loggers, test=small_cxi)
    train(small_cxi, tmp_path, store, loggers, test=small_cxi)
    expected = curves_of_table(all_three)
    assert_same(curves_of_table(tmp_path), expected, CIRCUMSTANCES)
    assert_same(curves_of_events(tmp_path), expected, CIRCUMSTANCES)
    assert_same(curves_of_run(store), expected, CIRCUMSTANCES)


def test_the_run_carries_config_and_tags(all_three: Path):
    client, run = only_run(all_three / "mlflow.db")
    tags = run.data.tags
    assert (tags["dataset"], tags["seed"], tags["stage"], tags["encoder_frozen"]) == ("small", "0", "train", "false")
    assert len(tags["commit"]) == 40 or tags["commit"] == "unknown"
    params = run.data.params
    assert params["model/features"] == "4"
    assert params["learning_rate"] == "0.003"
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "provenance.json"} <= files
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(all_three / "artifacts")


def test_another_logger_is_made_by_its_class_path(small_cxi: Path, tmp_path: Path):
    other = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path / "other")}}
    train(small_cxi, tmp_path, tmp_path / "mlflow.db", ["csv", other])
    with open(tmp_path / "other/lightning_logs/version_0/metrics.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["train/loss/epoch"]]
    losses = [value for _, value in curves_of_table(tmp_path)["train/loss/epoch"]]
    assert [float(row["train/loss/epoch"]) for row in rows] == losses


@pytest.mark.parametrize(
    ("class_path", "arguments"),
    [("nowhere.Logger", {}), ("pathlib.Path", {}), ("lightning.pytorch.loggers.CSVLogger", {"colour": "red"})],
)
def test_a_class_path_that_is_no_logger_is_refused(class_path: str, arguments: dict, small_cxi: Path, tmp_path: Path):
    other = {"class_path": class_path, "init_args": arguments}
    with pytest.raises(InputError, match=f"logger {class_path} cannot be made"):
        train(small_cxi, tmp_path / "out", tmp_path / "mlflow.db", [other])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("csv", ["csv"]),
        ("csv,mlflow", ["csv", "mlflow"]),
        (["csv", "tensorboard"], ["csv", "tensorboard"]),
        ("none", []),
        ([], []),
        ({"class_path": "a.B"}, [{"class_path": "a.B"}]),
    ],
)
def test_loggers_may_be_named_in_several_ways(given: object, expected: list):
    assert TrackingSettings(logger=given).logger == expected


@pytest.mark.parametrize("given", ["wandb", ["csv", "disk"], ["none", "csv"], {"path": "a.B"}, ""])
def test_an_unknown_logger_is_refused_with_those_that_are_known(given: object):
    with pytest.raises(
        InputError, match=r"logger (is|names) .*: expected (any of csv, tensorboard, mlflow, none|none)"
    ):
        TrackingSettings(logger=given)


def test_no_logger_leaves_no_trace_of_metrics(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, tmp_path / "mlflow.db", ["none"])
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"model.ckpt", "config.yaml", "provenance.json", "last.ckpt", "best.ckpt", "finished.json"}


def test_a_store_that_cannot_be_reached_is_one_sentence(small_cxi: Path, tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("no database")
    with pytest.raises(InputError, match=r"MLflow's store sqlite:.*mlflow\.db cannot be used"):
        train(small_cxi, tmp_path, tmp_path / "mlflow.db", ["mlflow"])


def test_where_there_are_no_events_there_are_no_steps(tmp_path: Path):
    assert last_event_steps(tmp_path / "nowhere") == {}


def test_one_line_is_logged_for_each_epoch(small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "ptychoflow"):
        train(small_cxi, tmp_path, tmp_path / "mlflow.db", ["none"])
    lines = [record.message for record in caplog.records if record.message.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "validation deviance" in lines[0]
    assert "frames/s" in lines[0]
