"""While a workflow runs its progress is shown; at its end it says what was made, what failed, and what was given up."""

import copy
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from workflow_runs import SMALL, run_snakemake

MODEL = "results/small/seed3/model.ckpt"
SLOW = """
import time
from lightning.pytorch import Callback

class Slow(Callback):
    def on_train_epoch_end(self, *arguments):
        time.sleep(1)
"""


@pytest.fixture
def with_data(finished: Path, tmp_path: Path) -> Path:
    """A folder that has the datasets of the small workflow, and nothing else."""
    shutil.copytree(finished / "results/data", tmp_path / "results/data", copy_function=shutil.copy2)
    return tmp_path


def test_progress_of_a_training_is_shown_and_kept_in_snakemakes_log(with_data: Path):
    # Long enough for two lines, on any machine: a line is written each five seconds.
    (with_data / "slow.py").write_text(SLOW)
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["training"] |= {"max_epochs": 15}
    config["experiments"]["small"]["tracking"] = {"callbacks": [{"class_path": "slow.Slow"}]}
    result = run_snakemake(with_data, config, MODEL, PYTHONPATH=str(with_data))
    assert result.returncode == 0, result.stderr
    told = re.findall(r"^train small, seed 3: step (\d+) of 45, \d+ %.*: epoch \d+ of 15, loss", result.stderr, re.M)
    assert len(told) >= 2, result.stderr
    assert list(map(int, told)) == sorted(map(int, told))
    (log,) = (with_data / ".snakemake/log").iterdir()
    assert log.read_text().count("train small, seed 3: step ") == len(told)
    assert f"Done: made {MODEL}." in result.stdout
    assert "All done" not in result.stdout


@pytest.mark.parametrize("refused", [True, False])
def test_a_refused_training_is_not_tried_again_and_one_that_died_is(refused: bool, with_data: Path):
    config, variables = copy.deepcopy(SMALL), {}
    if refused:
        config["experiments"]["small"]["training"] |= {"early_stopping": 1, "validation_fraction": 0.0}
    else:  # a program that is killed says nothing
        python = with_data / "bin/python"
        python.parent.mkdir()
        python.write_text("#!/bin/sh\nkill -9 $$\n")
        python.chmod(0o755)
        variables["PATH"] = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    result = run_snakemake(with_data, config, "--retries", "2", MODEL, **variables)
    assert result.returncode != 0
    assert result.stderr.count("Trying to restart job") == (0 if refused else 2)
    assert "train failed, see results/small/seed3/logs/train.log" in result.stdout


def test_what_was_there_before_is_not_said_to_be_made(with_data: Path):
    result = run_snakemake(with_data, SMALL, "results/data/seen.cxi", "results/small/training.yaml")
    assert "Done: made results/small/training.yaml." in result.stdout


def test_what_is_doubtful_about_results_is_said_at_the_end_each_once_and_not_without_end(with_data: Path):
    folder = with_data / "results/small/seed3/unseen"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    doubtful = [f"doubt {number}" for number in range(14)]
    (folder / "provenance.json").write_text(json.dumps({"warnings": doubtful}))
    result = run_snakemake(with_data, SMALL, "results/small/training.yaml")
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    expected = [f"warning: small, seed 3, unseen: {sentence}" for sentence in doubtful[:12]]
    assert told == [*expected, "warning: 2 more about results, all in results/warnings.html"]


def test_runs_that_cannot_be_closed_are_said_to_stay_open(with_data: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {"tracking": {"logger": ["mlflow"]}}
    config["experiments"]["small"]["training"] |= {"early_stopping": 1, "validation_fraction": 0.0}
    # An installation of Snakemake without mlflow.
    (with_data / "without/mlflow").mkdir(parents=True)
    (with_data / "without/mlflow/__init__.py").write_text("raise ImportError('no module named mlflow')")
    result = run_snakemake(with_data, config, MODEL, PYTHONPATH=str(with_data / "without"))
    assert result.returncode != 0
    assert "Runs of killed trainings may still look alive in MLflow" in result.stdout
    assert "no module named mlflow" in result.stdout
    assert re.search(r"python \S+/close_runs\.py closes them", result.stdout)


def test_trainings_take_turns_on_one_gpu(with_data: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {"device": "gpu", "seeds": [0, 1, 2]}
    config["experiments"]["small"]["training"] |= {"devices": 2}
    # Stands for a training, and says when it runs.
    python = with_data / "bin/python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho begin >> {with_data}/turns\nsleep 2\necho end >> {with_data}/turns\nexit 1\n")
    python.chmod(0o755)
    goals = [f"results/small/seed{seed}/model.ckpt" for seed in range(3)]
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    result = run_snakemake(with_data, config, "--cores", "12", "--keep-going", "--", *goals, PATH=path)
    assert result.returncode != 0
    assert (with_data / "turns").read_text().split() == ["begin", "end"] * 3
