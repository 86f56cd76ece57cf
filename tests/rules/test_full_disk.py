"""A full disk ends a program with a sentence; nothing half-written stays, and with room again all goes on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SETTINGS = ["--model.features", "4", "--model.iterations", "2", "--groups.size", "4", "--accelerator", "cpu"]


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB that can grow."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: that takes the rights of an administrator")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / f"{program}.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": "/tmp"}
    )


def assert_refused(result: subprocess.CompletedProcess[str], path: Path) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert str(path) in last
    assert "No space left on device" in last


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_dataset_without_room(disk: Path, small_cxi: Path):
    size = ["--size", "32", "--probe.kind", "disk", "--scan.frames", "400"]
    assert_refused(run("simulate", *size, "--output", disk / "scan.cxi"), disk / "scan.cxi")
    assert not files(disk)
    resize(disk, "8m")
    assert run("simulate", *size, "--output", disk / "scan.cxi").returncode == 0


def test_a_training_its_tiles_and_its_image_without_room(disk: Path, small_cxi: Path, tmp_path: Path):
    def train() -> subprocess.CompletedProcess[str]:
        places = ["--train_data_file", small_cxi, "--output_dir", disk / "run", "--run_dir", disk / "run/state"]
        return run("train", *places, "--max_epochs", 2, *SETTINGS)

    failed = train()
    assert_refused(failed, disk / "run/state")
    assert not (disk / "run/model.ckpt").exists()
    assert not [path for path in files(disk) if path.name.startswith(".")]
    resize(disk, "2m")
    finished = train()
    assert finished.returncode == 0, finished.stderr
    model = disk / "run/model.ckpt"

    resize(disk, f"{(shutil.disk_usage(disk).used >> 10) + 30}k")
    predicted = disk / "predicted.h5"
    assert_refused(run("infer", "--checkpoint", model, "--data", small_cxi, "--output", predicted), predicted)
    assert not predicted.exists()
    resize(disk, "4m")
    inferred = run("infer", "--checkpoint", model, "--data", small_cxi, "--output", predicted)
    assert inferred.returncode == 0, inferred.stderr

    image = disk / "image/reconstruction.h5"
    pictures = ["--amplitude", tmp_path / "amplitude.png", "--phase", tmp_path / "phase.png"]
    resize(disk, f"{(shutil.disk_usage(disk).used >> 10) + 100}k")
    assert_refused(run("stitch", "--patches", predicted, "--output", image, *pictures), image)
    assert not files(disk / "image")
    resize(disk, "4m")
    stitched = run("stitch", "--patches", predicted, "--output", image, *pictures)
    assert stitched.returncode == 0, stitched.stderr
