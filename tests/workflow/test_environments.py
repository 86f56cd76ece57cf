"""Each rule runs in the environment that it needs, and no other is made."""

import copy
import os
import re
from pathlib import Path

import pytest
from workflow_runs import ROOT, SMALL, run_snakemake

# What Snakemake asks of conda before it makes anything.
CONDA = """#!/bin/sh
case "$1" in
--version) echo "conda 26.3.2" ;;
info) echo '{"platform": "linux-64", "conda_prefix": "/opt/conda", "conda_version": "26.3.2"}' ;;
config) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""
GOALS = ["results/small/seed3/unseen/reconstruction.h5", "results/blind/seed3/unseen/reconstruction.h5"]


@pytest.mark.parametrize(
    ("device", "environments"),
    [
        ("cpu", {"data", "train", "reconstruct"}),
        # Stitching takes no GPU; what only writes settings takes the environment of the rule that they are for.
        ("gpu", {"data", "train-gpu", "reconstruct-gpu", "reconstruct"}),
    ],
)
def test_no_environment_is_made_to_write_a_file_of_settings(device: str, environments: set[str], tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["blind"] = {"network": "pretrained", "test": ["unseen"], "device": device}
    config["experiments"]["small"]["device"] = device
    for name in ("conda", "mamba"):
        (tmp_path / name).write_text(CONDA)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = run_snakemake(tmp_path, config, "--sdm", "conda", "--list-conda-envs", "--", *GOALS, PATH=path)
    assert result.returncode == 0, result.stderr
    rows = [
        line.split()[0] for line in (result.stdout + result.stderr).splitlines() if ".yaml" in line and "/envs/" in line
    ]
    assert {Path(row).stem for row in rows} == environments


def test_rules_run_in_the_image_that_a_config_names(tmp_path: Path):
    # Stands for apptainer: says what it was asked to run, and asks conda as the image's own would be asked.
    (tmp_path / "apptainer").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo apptainer version 1.4.0 && exit\n'
        f'echo "$@" >> {tmp_path}/asked\nfor last; do :; done\n'
        'case "$last" in conda*) sh -c "$last" ;; docker*) touch "$3" ;; esac\nexit 0\n'
    )
    for name in ("conda", "mamba"):
        (tmp_path / name).write_text(CONDA)
    for name in ("apptainer", "conda", "mamba"):
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    config = SMALL | {"container": "docker://ghcr.io/me/ptychoflow:latest"}
    run_snakemake(tmp_path, config, "--sdm", "conda", "apptainer", "--", "results/data/seen.yaml", PATH=path)
    asked = (tmp_path / "asked").read_text()
    assert "docker://ghcr.io/me/ptychoflow:latest" in asked
    # In the image, the environment stands where the Dockerfile makes it.
    dockerfile = (ROOT / "envs/Dockerfile").read_text()
    (prefix,) = set(re.findall(r"/conda-envs/[0-9a-f]{32}", asked))
    (line,) = [line for line in dockerfile.splitlines() if "conda" in line and prefix in line]
    assert "/environments/data/" in line
