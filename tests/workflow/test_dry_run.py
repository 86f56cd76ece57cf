"""Every shipped config plans the jobs that it should; a wrong one is refused with a sentence."""

import copy
import re
from pathlib import Path

import pytest
from workflow_runs import ROOT, SMALL, run_snakemake

SHIPPED = sorted(path for path in (ROOT / "config").rglob("*.yaml") if "schemas" not in path.parts)


def planned(output: str) -> dict[str, int]:
    """Jobs by rule, from the table that a dry run prints."""
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_there_are_configs_to_plan():
    assert {"config.yaml", "siemens.yaml"} <= {path.name for path in SHIPPED}


@pytest.mark.parametrize("config", SHIPPED, ids=lambda path: path.stem)
def test_shipped_config_plans_without_importing_torch(config: Path, tmp_path: Path):
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "torch.py").write_text("raise AssertionError('the plan imported torch')")
    result = run_snakemake(tmp_path, config, "--dry-run", PYTHONPATH=str(decoy))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "imported torch" not in result.stdout + result.stderr
    jobs = planned(result.stdout)
    assert jobs["train"] >= 1
    assert jobs["infer"] == jobs["stitch"] == jobs["evaluate"]


def test_two_seeds_and_two_test_datasets_share_what_they_can(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {"seeds": [0, 1], "test": ["seen", "unseen"]}
    jobs = planned(run_snakemake(tmp_path, config, "--dry-run").stdout)
    assert (jobs["simulate"], jobs["training_settings"], jobs["train"], jobs["infer"]) == (2, 1, 2, 4)


def test_a_missing_local_file_is_fetched_from_its_address(tmp_path: Path):
    jobs = planned(run_snakemake(tmp_path, ROOT / "config/real/siemens.yaml", "--dry-run").stdout)
    assert jobs["fetch"] == 1


def test_a_gpu_experiment_asks_for_its_gpus_and_a_cpu_one_for_none(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    assert "gpu=0" in run_snakemake(tmp_path, config, "--dry-run").stdout
    config["experiments"]["small"] |= {"device": "gpu"}
    config["experiments"]["small"]["training"] |= {"devices": 2}
    output = run_snakemake(tmp_path, config, "--dry-run", "--printshellcmds").stdout
    training = output.split("rule train:")[1].split("\n[")[0]
    assert "gpu=2" in training
    assert "--accelerator gpu" in training


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("experiments", "small", "traning"), {}, "traning"),
        (("experiments", "small", "training", "max_epoch"), 3, "max_epoch"),
        (("experiments", "small", "model", "name"), "transformer", "transformer"),
        (("experiments", "small", "test"), ["elsewhere"], "names elsewhere: expected one of seen, unseen"),
        (("experiments", "data"), {"train": ["seen"], "test": ["seen"]}, "the name is taken"),
        (("experiments", "../escape"), {"train": ["seen"], "test": ["seen"]}, "does not match"),
        (("datasets", "seen", "ingest"), {"path": "x.npz"}, "seen"),
        (("datasets", "seen"), {"ingest": {"url": "https://example.org/x.npz"}}, "sha256"),
    ],
)
def test_a_wrong_config_is_refused_by_name(path: tuple[str, ...], value: object, sentence: str, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    result = run_snakemake(tmp_path, config, "--dry-run")
    assert result.returncode != 0
    assert sentence in result.stdout + result.stderr
