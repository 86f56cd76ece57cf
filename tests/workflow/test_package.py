"""The package as people install it: what the wheel holds, and that it needs no repository."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from workflow_runs import ROOT, environment_of, planned

from ptychoflow import __version__
from ptychoflow.provenance.record import code_digest, repository_commit
from ptychoflow.running.command import PARTS, programs

FIVE_LINES = """
import ptychoflow
scan = ptychoflow.read("scan.cxi")
image = ptychoflow.reconstruct(scan, iterations=6, probe_modes=1, start="dataset", progress=False)
image.plot()[0].figure.savefig("image.png")
image.save("image.h5")
print(ptychoflow.__file__, image.misfit < 2)
"""


def built(source: Path, folder: Path, target: str) -> Path:
    """A wheel or an sdist of a source tree, by what is installed."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (path,) = folder.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment of its own, with the wheel, and with what the tests run in behind it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin/python"
    own = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", vars=own), "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "bin"


def run(command: list[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the package in a folder that has nothing to do with the repository."""
    clean = {name: value for name, value in environment_of(**environment).items() if name != "PYTHONPATH"}
    return subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, env=clean)


def test_the_wheel_has_weights_programs_and_workflow_and_nothing_else(wheel: Path):
    tracked = subprocess.run(["git", "ls-files", *PARTS, "scripts"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("needs a repository")
    expected = set()
    for name in tracked.stdout.splitlines():
        place = "" if name.startswith(("scripts/ptychoflow/", "scripts/ptychodus/")) else "ptychoflow/workflow/"
        expected.add(place + (name if place else name.removeprefix("scripts/")))
    expected.remove("ptychoflow/workflow/scripts/write_reference.py")
    expected.add("ptychoflow/.git_archival.txt")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        weights = archive.read("ptychoflow/pretrained/model.ckpt")
    # What is new here stands in no list of git's yet.
    untracked = subprocess.run(["git", "ls-files", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True)
    assert not expected - names
    assert untracked.stdout or names == expected
    assert weights == (ROOT / "scripts/ptychoflow/pretrained/model.ckpt").read_bytes()
    assert wheel.stat().st_size < 3e6


def test_the_metadata_tell_version_command_and_extras(wheel: Path):
    root = zipfile.Path(wheel)
    (folder,) = (path for path in root.iterdir() if path.name.endswith(".dist-info"))
    metadata = PathDistribution(folder)
    assert metadata.version == __version__
    assert [(entry.name, entry.value) for entry in metadata.entry_points] == [
        ("ptychoflow", "ptychoflow.running.command:main")
    ]
    assert metadata.metadata.get_all("Provides-Extra") == ["baseline", "ptychodus", "tracking", "workflow", "zarr"]


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path):
    with tarfile.open(built(ROOT, tmp_path, "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    again = built(tmp_path / f"ptychoflow-{__version__}", tmp_path, "wheel")
    contents = [{entry.filename: entry.CRC for entry in zipfile.ZipFile(path).infolist()} for path in (wheel, again)]
    assert contents[0] == contents[1]


def test_five_lines_and_the_command_need_no_repository(installed: Path, tmp_path: Path):
    scan = ["--output", "scan.cxi", "--size", "32", "--probe.kind", "disk", "--scan.frames", "64", "--scan.step", "4"]
    made = run([installed / "ptychoflow", "simulate", *scan], tmp_path)
    assert made.returncode == 0, made.stderr
    found = run([installed / "python", "-c", FIVE_LINES], tmp_path)
    assert found.returncode == 0, found.stderr
    place, right = found.stdout.split()
    assert Path(place).is_relative_to(installed.parent)
    assert right == "True"
    assert (tmp_path / "image.png").stat().st_size > 10_000
    said = run([installed / "ptychoflow", "show_provenance", "image.h5"], tmp_path).stdout
    assert __version__ in said
    assert repository_commit().removesuffix("-dirty") in said


def test_help_and_errors_name_the_command(installed: Path, tmp_path: Path):
    listed = run([installed / "ptychoflow", "--help"], tmp_path)
    assert listed.returncode == 0
    assert all(name.removesuffix("_dataset") in listed.stdout for name in programs())
    assert run([installed / "ptychoflow"], tmp_path).returncode == 2
    told = run([installed / "ptychoflow", "reconstruct", "--help"], tmp_path)
    assert told.stdout.startswith("usage: ptychoflow reconstruct ")
    assert run([installed / "python", "-m", "ptychoflow", "plot-scan", "--help"], tmp_path).returncode == 0
    wrong = run([installed / "ptychoflow", "inspect", "--data", "nothing.h5"], tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "ptychoflow inspect: error: nothing.h5 cannot be read: No such file or directory\n"
    near = run([installed / "ptychoflow", "recontruct"], tmp_path)
    assert (near.returncode, near.stderr.count("expected reconstruct")) == (2, 1)
    assert run([installed / "ptychoflow", "--version"], tmp_path).stdout == f"PtychoFlow {__version__}\n"


def test_init_writes_a_workflow_that_is_the_repositorys(installed: Path, tmp_path: Path):
    begun = run([installed / "ptychoflow", "init", "study"], tmp_path)
    assert begun.returncode == 0, begun.stderr
    folder = tmp_path / "study"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*PARTS, "scripts"])
    for name, path in programs().items():
        assert (folder / f"scripts/{name}.py").read_bytes() == path.read_bytes()
    digest = "from ptychoflow.provenance.record import code_digest; print(code_digest('scripts/reconstruct.py'))"
    found = run([sys.executable, "-c", digest], folder, PYTHONSAFEPATH="1")
    assert found.returncode != 0, "the tests' own environment has the package"
    found = run([sys.executable, "-c", f"import sys; sys.path.insert(0, 'scripts'); {digest}"], folder)
    assert found.stdout.strip() == code_digest(ROOT / "scripts/reconstruct.py")
    path = f"{installed}{os.pathsep}{os.environ['PATH']}"
    snakemake = [installed / "python", "-m", "snakemake", "--cores", "1"]
    dry = run([*snakemake, "--dry-run"], folder, PATH=path)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert planned(dry.stdout)["reconstruct"] == planned(dry.stdout)["train"] == 1
    real = run([*snakemake, "results/data/demo-unseen.cxi"], folder, PATH=path)
    assert real.returncode == 0, real.stdout + real.stderr
    assert "Nothing to be done" in run([*snakemake, "results/data/demo-unseen.cxi"], folder, PATH=path).stderr


def test_init_leaves_what_is_there_alone(installed: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    refused = run([installed / "ptychoflow", "init", "."], tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "ptychoflow init: error: . is not empty: expected a new folder, or an empty one\n"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "notes.txt").unlink()
    assert run([installed / "ptychoflow", "init", "."], tmp_path).returncode == 0
    assert (tmp_path / "Snakefile").exists()


def test_an_editable_install_takes_all_from_the_repository(tmp_path: Path):
    editable = built(ROOT, tmp_path, "wheel:editable")
    with zipfile.ZipFile(editable) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert files == ["_ptychoflow.pth"]
        assert archive.read(files[0]).decode().strip() == str(ROOT / "scripts")
