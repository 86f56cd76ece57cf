"""The workflow on a real SLURM cluster of two nodes: what jobs ask for, and how they come through trouble."""

import copy
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from held_training import HELD, held_before
from workflow_runs import ROOT, SMALL, environment_of, finished

from ptychoflow.configuration.estimates import training_needs
from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings

__all__ = ["finished"]

FOLDER = Path(__file__).parent
FIELDS = {
    **{
        "job": 12,
        "partition": 12,
        "state": 14,
        "memory": 12,
        "gpus": 30,
        "cores": 6,
        "nodes": 6,
        "array": 12,
        "task": 12,
    },
    "comment": 200,
}
COLUMNS = (
    *("jobid", "partition", "state", "minmemory", "tres-per-job", "numcpus", "numnodes", "arrayjobid", "arraytaskid"),
    "comment",
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A running cluster, started and stopped again unless there is one."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("SLURM is installed and started by root on Debian or Ubuntu only")
    started = subprocess.run([str(FOLDER / "start")], capture_output=True, text=True)
    if started.returncode != 0:
        pytest.skip(f"SLURM could not be started here: {started.stderr.strip()[-300:]}")
    yield
    if "up already" not in started.stdout:
        subprocess.run([str(FOLDER / "stop")], check=True)


def jobs() -> list[dict[str, str]]:
    """All jobs that the cluster knows of, the finished ones too."""
    widths = ",".join(f"{column}:{width}" for column, width in zip(COLUMNS, FIELDS.values(), strict=True))
    text = subprocess.run(
        ["squeue", "--all", "--noheader", "--states=all", f"--Format={widths}"], capture_output=True, text=True
    ).stdout
    rows = []
    for line in text.splitlines():
        row, place = {}, 0
        for name, width in FIELDS.items():
            row[name] = line[place : place + width].strip()
            place += width
        rows.append(row)
    return rows


def of_rule(rows: list[dict[str, str]], rule: str) -> list[dict[str, str]]:
    return [row for row in rows if re.search(rf"\b(rule_)?{rule}(_|\b)", row["comment"])]


def submitted(folder: Path, config: dict, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start Snakemake with the SLURM profile as it is shipped; only the waiting times are shorter than a cluster's.

    Keywords are environment variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "config.yaml"), "--workflow-profile", str(ROOT / "profiles/slurm")]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    command += ["--seconds-between-status-checks", "2", "--latency-wait", "20", *arguments]
    log = open(folder / "log", "w")  # noqa: SIM115, closed with the process
    # From a directory that has nothing to do with the workflow.
    return subprocess.Popen(command, cwd=folder, env=environment_of(**environment), stdout=log, stderr=log, text=True)


def with_data(finished: Path, folder: Path) -> Path:
    """A folder that has the datasets already, so that no job is submitted to make them."""
    shutil.copytree(finished / "results/data", folder / "results/data", copy_function=shutil.copy2)
    return folder


def known(folder: Path) -> set[str]:
    """Jobs that the cluster had before."""
    return {row["job"] for row in jobs()}


def test_two_seeds_and_two_datasets_go_through_the_cluster(cluster: None, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {"seeds": [0, 1], "test": ["seen", "unseen"]}
    before = known(tmp_path)
    process = submitted(tmp_path, config, "results/runs.csv")
    assert process.wait(timeout=900) == 0, (tmp_path / "log").read_text()
    new = [row for row in jobs() if row["job"] not in before]
    training = of_rule(new, "train")
    assert len(training) == 2
    settings = config["experiments"]["small"]["training"] | {"groups": GroupSettings(size=4)}
    model = ModelSettings(**config["experiments"]["small"]["model"])
    needed = training_needs([49], 32, model, TrainingSettings(**settings), on_gpu=False).mem_mb
    for row in training:
        assert (row["partition"], row["memory"], row["gpus"]) == ("cpu", f"{needed}M", "N/A")
    assert len(of_rule(new, "infer")) == 4
    assert {row["state"] for row in new} == {"COMPLETED"}
    # The four results are scored, and have their pages made, by one job.
    assert [row["comment"] for row in new if "pictures" in row["comment"]] == ["rule_pictures_evaluate_view"]
    assert len(new) == 2 + 2 + 4 + 4 + 1 + 1
    for name in ("seed0/seen", "seed0/unseen", "seed1/seen", "seed1/unseen"):
        assert (tmp_path / f"results/small/{name}/metrics.json").exists()
    assert (tmp_path / "results/runs.csv").read_text().count("\n") == 5


def test_a_cancelled_training_is_submitted_again_and_goes_on(cluster: None, finished: Path, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["training"]["max_epochs"] = 40
    config["experiments"]["small"]["tracking"] = {"callbacks": [held_before(step=4)]}
    before, own = known(tmp_path), {"PYTHONPATH": str(FOLDER.parent / "workflow")}
    (tmp_path / HELD).touch()
    process = submitted(with_data(finished, tmp_path), config, "results/small/seed3/model.ckpt", **own)
    last, deadline = tmp_path / "results/small/seed3/run/last.ckpt", time.monotonic() + 600
    while not last.exists():
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (job,) = [row for row in of_rule(jobs(), "train") if row["job"] not in before]
    subprocess.run(["scancel", job["job"]], check=True)
    (tmp_path / HELD).unlink()
    assert process.wait(timeout=900) == 0, (tmp_path / "log").read_text()
    attempts = [row for row in of_rule(jobs(), "train") if row["job"] not in before]
    assert sorted(row["state"] for row in attempts) == ["CANCELLED", "COMPLETED"]
    assert "going on from" in (tmp_path / "results/small/seed3/logs/train.log").read_text()


def test_a_job_that_needs_more_memory_gets_it_in_the_second_attempt(cluster: None, finished: Path, tmp_path: Path):
    before = known(tmp_path)
    process = submitted(
        with_data(finished, tmp_path),
        SMALL,
        "results/small/seed3/model.ckpt",
        "--set-resources",
        "train:mem_mb=250*(attempt**3)",
    )
    assert process.wait(timeout=900) == 0, (tmp_path / "log").read_text()
    attempts = sorted((row for row in of_rule(jobs(), "train") if row["job"] not in before), key=lambda row: row["job"])
    assert [row["memory"] for row in attempts] == ["250M", "2000M"]
    assert [row["state"] for row in attempts] == ["FAILED", "COMPLETED"]
    (kept,) = (tmp_path / ".snakemake/slurm_logs/rule_train").rglob("*.log")
    assert kept.stem == attempts[0]["job"]
    assert "Exceeded job memory limit" in kept.read_text()


def test_a_gpu_experiment_asks_the_scheduler_for_its_gpus(cluster: None, finished: Path, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["device"] = "gpu"
    config["experiments"]["small"]["training"]["devices"] = 2
    before = known(tmp_path)
    process = submitted(with_data(finished, tmp_path), config, "results/small/seed3/model.ckpt")
    # The GPUs are null devices: training refuses them in one sentence, and what was refused is not tried again.
    assert process.wait(timeout=900) != 0
    asked = [row for row in of_rule(jobs(), "train") if row["job"] not in before]
    assert [(row["partition"], row["gpus"]) for row in asked] == [("gpu", "gres:gpu:2")]
    # Two processes on one node, with two cores and the memory of one each.
    model = ModelSettings(**config["experiments"]["small"]["model"])
    settings = config["experiments"]["small"]["training"] | {"groups": GroupSettings(size=4), "devices": 1}
    alone = training_needs([49], 32, model, TrainingSettings(**settings), on_gpu=True).mem_mb
    assert [(row["memory"], row["cores"]) for row in asked] == [(f"{2 * alone}M", "4")]
    assert "accelerator gpu" in (tmp_path / "results/small/seed3/logs/train.log").read_text()


def test_two_nodes_train_the_network_that_one_process_trains(cluster: None, finished: Path, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    given = config["experiments"]["small"]["training"]
    config["experiments"]["small"]["training"] = given | {"batch_size": 8, "num_nodes": 2, "strategy": "ddp"}
    before = known(tmp_path)
    process = submitted(with_data(finished, tmp_path), config, "results/small/seed3/model.ckpt")
    alone = TrainingSettings(**given | {"groups": GroupSettings(size=4), "accelerator": "cpu", "precision": "32-true"})
    assert alone.batch_size == 2 * 8
    model = ModelSettings(**config["experiments"]["small"]["model"])
    data, output = tmp_path / "results/data/seen.cxi", tmp_path / "alone"
    reference = TrainingRun([data], output, output / "run", model, alone, seed=3, quiet=True).run()
    assert process.wait(timeout=900) == 0, (tmp_path / "log").read_text()
    (row,) = [row for row in of_rule(jobs(), "train") if row["job"] not in before]
    assert (row["state"], row["nodes"]) == ("COMPLETED", "2")
    published = tmp_path / "results/small/seed3/model.ckpt"
    weights, expected = (torch.load(path, weights_only=True)["state_dict"] for path in (published, reference))
    assert weights.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name], values, atol=2e-5, err_msg=name)


def test_parts_of_a_scan_are_tasks_of_a_job_array(cluster: None, finished: Path, tmp_path: Path):
    shutil.copytree(finished / "results", tmp_path / "results", copy_function=shutil.copy2)
    shutil.copytree(finished / ".snakemake", tmp_path / ".snakemake", copy_function=shutil.copy2)
    before = known(tmp_path)
    goal = "results/small/seed3/unseen/reconstruction.h5"
    process = submitted(tmp_path, SMALL | {"parts": 3}, "--forcerun", "infer_part", "--", goal)
    assert process.wait(timeout=900) == 0, (tmp_path / "log").read_text()
    new = [row for row in jobs() if row["job"] not in before]
    parts = of_rule(new, "infer_part")
    assert len({row["array"] for row in parts}) == 1
    assert sorted(row["task"] for row in parts) == ["1", "2", "3"]
    assert {row["state"] for row in new} == {"COMPLETED"}
    whole, merged = (read_reconstruction(folder / goal) for folder in (finished, tmp_path))
    np.testing.assert_allclose(merged.object, whole.object, atol=2e-5)
