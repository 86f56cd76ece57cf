"""Metrics, callbacks, loggers and formats of one's own work by their class path, as docs/extending.md says."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = yaml.safe_load(re.search(r"```yaml\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL)[1])["tracking"]


def train(data: Path, folder: Path, **tracking: object) -> None:
    training = TrainingSettings(max_epochs=2, batch_size=16, accelerator="cpu", groups=GroupSettings(size=2))
    model = ModelSettings(features=4, iterations=2)
    settings = TrackingSettings(**tracking)
    TrainingRun([data], folder, folder / "run", model, training, 0, settings, quiet=True).run()


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(DOCS / "extending")])


def test_the_example_of_the_documentation_does_what_it_says(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path / "out", **{**EXAMPLE, "logger": "csv"})
    with open(tmp_path / "out/metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for mode in ("train", "val"):
        values = [float(row[f"{mode}/metrics/absorption/epoch"]) for row in rows if row[f"{mode}/loss/epoch"]]
        assert len(values) == 2
        assert all(-1 < value < 1 for value in values)
    assert (tmp_path / "epochs.txt").read_text() == "epoch 0 done\nepoch 1 done\n"
    lines = [json.loads(line) for line in (tmp_path / "out/run/predictions/val.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert all(line["deviance"] > 0 and line["deviance"] == round(line["deviance"], 4) for line in lines)
    assert (tmp_path / "out/run/predictions/val.h5").exists()
    told = json.loads((tmp_path / "out/provenance.json").read_text())["extensions"]
    assert told["own_parts.MeanAbsorption"] == sha256_of(DOCS / "extending/own_parts.py")


def test_the_logger_of_the_example_keeps_its_runs_offline(
    small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wandb = pytest.importorskip("wandb", reason="needs wandb, which is not one of our packages")
    monkeypatch.setenv("WANDB_SILENT", "true")
    other = EXAMPLE["logger"][1]
    other["init_args"]["save_dir"] = str(tmp_path)
    train(small_cxi, tmp_path / "out", logger=["csv", other])
    wandb.finish()  # it writes beside the training, and a process's end would wait for it
    (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content = run.read_bytes()
    assert b"train/loss/epoch" in content
    assert b"learning_rate" in content


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"callbacks": [{"class_path": "own_parts.MeanAbsorption"}]}, "callback own_parts.MeanAbsorption cannot"),
        ({"callbacks": [{"class_path": "nowhere.Callback"}]}, "callback nowhere.Callback cannot be made"),
        ({"metrics": {"a": {"class_path": "own_parts.EpochTimes"}}}, "metric own_parts.EpochTimes cannot be made"),
        ({"write_predictions": [{"class_path": "pathlib.Path"}]}, "pathlib.Path lacks suffix, write or close"),
        ({"write_predictions": [{"path": "a.B"}]}, "write_predictions has .*: expected a class_path"),
        ({"metrics": {"a/b": {"class_path": "a.B"}}}, "metrics has a/b: .*: expected a plain name"),
    ],
)
def test_what_is_no_such_part_is_refused(wrong: dict, message: str, small_cxi: Path, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        train(small_cxi, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
