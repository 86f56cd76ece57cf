"""The workflow as others deploy it: as a module, from another repository, by snakedeploy, from any path."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from workflow_runs import ROOT, SMALL, checkout, environment_of, planned, quick_path

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import read_reconstruction

ADDRESS = "https://github.com/example/ptychoflow"
QUICK = {"iterations": 2, "most_iterations": 2, "probe_modes": 1, "halves": False}
SHIPPED = {
    "defaults": {"seeds": [3]},
    "datasets": {"unseen": SMALL["datasets"]["unseen"]},
    "experiments": {"first": {"network": "pretrained", "test": ["unseen"], "reconstruction": QUICK}},
}
IMAGE = "results/first/seed3/unseen/reconstruction.h5"


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a workflow as its user does: in its folder, without naming the Snakefile; keywords are of the environment."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment_of(**environment))


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which git finds this checkout at `ADDRESS`, tagged v1, and Snakemake has a cache of its own."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    folder = tmp_path_factory.mktemp("hosted")
    checkout(folder / "example/ptychoflow")
    git(folder / "example/ptychoflow", "init", "--quiet", "--initial-branch", "main")
    git(folder / "example/ptychoflow", "add", ".")
    git(folder / "example/ptychoflow", "commit", "--quiet", "--message", "First")
    git(folder / "example/ptychoflow", "tag", "v1")
    (folder / "gitconfig").write_text(f'[url "file://{folder}/"]\n\tinsteadOf = https://github.com/\n')
    commit = git(folder / "example/ptychoflow", "rev-parse", "HEAD")
    return {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "XDG_CACHE_HOME": str(folder / "cache"), "COMMIT": commit}


def module(name: str, source: str, config: str = "config", prefix: str | None = None) -> str:
    """A module of someone's Snakefile, with all of its rules."""
    return f"""
module {name}:
    snakefile: {source}
    config: {config}
{f"    prefix: {prefix!r}" if prefix else ""}

use rule * from {name} as {name}_*
"""


def write_workflow(folder: Path, snakefile: str, config: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "Snakefile").write_text('configfile: "config.yaml"\n' + snakefile)
    return folder


def test_two_checkouts_are_two_modules_each_with_its_own_programs_config_and_folder(tmp_path: Path):
    other = checkout(tmp_path / "other").parent
    library = other / "scripts/ptychoflow/provenance/record.py"
    library.write_text(library.read_text().replace('"host": platform.node()', '"host": "of the other"'))
    trained = {**SMALL, "experiments": {"small": {**SMALL["experiments"]["small"], "test": ["seen"]}}}
    trained["experiments"]["small"]["training"] = {"max_epochs": 1, "batch_size": 16, "groups": {"size": 4}}
    snakefile = module("one", repr(str(ROOT / "Snakefile")), "config['one']", "here is one")
    snakefile += module("two", repr(str(other / "Snakefile")), "config['two']", "two")
    folder = write_workflow(tmp_path / "work", snakefile, {"one": trained, "two": SHIPPED})
    goals = ["here is one/results/runs.csv", f"two/{IMAGE}"]
    result = snakemake(folder, *goals, PATH=quick_path())
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (folder / "results").exists()
    one, two = folder / "here is one/results/small/seed3", folder / "two" / IMAGE
    assert (one / "run/last.ckpt").exists()
    assert np.isfinite(read_reconstruction(one / "seen/reconstruction.h5").object).all()
    assert "small,3,seen" in (folder / goals[0]).read_text()
    image = read_reconstruction(two)
    assert image.provenance["method"] == "pretrained"
    hosts = [json.loads((place / "provenance.json").read_text())["host"] for place in (one, two.parent)]
    assert hosts[1] == "of the other" != hosts[0]
    assert "Nothing to be done" in snakemake(folder, "--dry-run", *goals).stdout


def test_what_the_workflow_plans_with_imports_nothing_later():
    # Another checkout's library may stand in its place by then.
    rules = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
    pending, seen = set(re.findall(r"^ *(?:from|import) (ptychoflow[.\w]*)", rules, re.MULTILINE)), set()
    assert pending
    while pending:
        name = pending.pop()
        seen.add(name)
        stem = ROOT / "scripts" / name.replace(".", "/")
        path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ptychoflow"):
                assert node in tree.body, f"{path}:{node.lineno} imports within a function"
                pending |= {node.module} - seen


def test_a_hosted_repository_is_a_module_that_leaves_other_results_alone(hosted: dict[str, str], tmp_path: Path):
    snakefile = module("ptycho", 'github("example/ptychoflow", path="Snakefile", branch="main")')
    snakefile += f"""
rule size:
    input: "{IMAGE}"
    output: "results/size.txt"
    shell: "wc --bytes < {{input}} > {{output}}"
"""
    folder = write_workflow(tmp_path / "work", snakefile, SHIPPED)
    result = snakemake(folder, "results/size.txt", **hosted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert int((folder / "results/size.txt").read_text()) == (folder / IMAGE).stat().st_size
    image = read_reconstruction(folder / IMAGE)
    assert image.provenance["method"] == "pretrained"
    assert image.provenance["commit"] == hosted["COMMIT"]
    assert not image.provenance["dirty"]
    # A commit or a tag of the same code makes nothing again.
    for version in (f'commit="{hosted["COMMIT"]}"', 'tag="v1"'):
        (folder / "Snakefile").write_text((folder / "Snakefile").read_text().replace('branch="main"', version))
        assert "Nothing to be done" in snakemake(folder, "--dry-run", IMAGE, **hosted).stdout


def test_snakedeploy_deploys_it(hosted: dict[str, str], tmp_path: Path):
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    packages = tmp_path / "packages"
    # What else it needs stands in the environment of the tests.
    command = [*install, "--no-deps", "--target", str(packages), "snakedeploy==0.17.1", "pygithub", "pynacl", "pyjwt"]
    installed = subprocess.run([*command, "toml"], capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"snakedeploy cannot be installed here: {installed.stderr.strip()[-200:]}")
    work = tmp_path / "work"
    command = [sys.executable, "-c", "import sys; from snakedeploy.client import main; sys.exit(main())"]
    command += ["deploy-workflow", ADDRESS, str(work), "--tag", "v1"]
    environment = environment_of(PYTHONPATH=str(packages), **hosted)
    deployed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    jobs = planned(snakemake(work, "--dry-run", **hosted).stdout)
    assert (jobs["train"], jobs["reconstruct"]) == (1, 1)  # the demo, whose config came along
    (work / "config/config.yaml").write_text(yaml.safe_dump(SHIPPED))
    result = snakemake(work, IMAGE, **hosted)
    assert result.returncode == 0, result.stdout + result.stderr
    assert read_reconstruction(work / IMAGE).provenance["commit"] == hosted["COMMIT"]


def test_no_path_is_too_odd(small_dataset: Dataset, blind_weights: Path, tmp_path: Path):
    odd = tmp_path / "it's a µ-folder, № 1"
    snakefile = checkout(odd / "ptycho flow")
    folder, raw = odd / "what I found", odd / "$HOME; {dataset} 'scan' #1.npz"
    folder.mkdir()
    np.savez(
        tmp_path / "scan.npz",
        counts=small_dataset.frames,
        places=small_dataset.positions,
        probe=small_dataset.probe,
    )
    raw.symlink_to(tmp_path / "scan.npz")
    weights = Path(shutil.copy(blind_weights, odd / "my {own} weights.ckpt"))
    ingest = {
        "path": str(raw),
        "paths": {"frames": "counts", "positions": "places", "probe": "probe"},
        "positions": {"unit": "pixels", "rotation": 0.0},
        "voltage": 300e3,
    }
    config = {
        "defaults": {"seeds": [3]},
        "datasets": {"unseen": {"ingest": ingest}},
        "experiments": {"first": {"network": str(weights), "test": ["unseen"], "reconstruction": QUICK}},
    }
    (folder / "my config.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--snakefile", str(snakefile), "--directory", str(folder), "--configfile"]
    arguments += [str(folder / "my config.yaml"), "--", IMAGE]
    result = snakemake(tmp_path, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert np.isfinite(read_reconstruction(folder / IMAGE).object).all()
    assert "Nothing to be done" in snakemake(tmp_path, "--dry-run", *arguments).stdout
    # Snakemake cannot watch files of such names by itself.
    os.utime(tmp_path / "scan.npz")
    assert planned(snakemake(tmp_path, "--dry-run", *arguments).stdout).keys() >= {"ingest", "reconstruct"}
