"""A full disk ends a program with a sentence; nothing half-written stays, and with room again all goes on."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from test_programs import fresh_logging, run_in_process

__all__ = ["fresh_logging"]

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


def assert_refused(status: int, path: Path, capsys: pytest.CaptureFixture) -> None:
    assert status == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(path) in last
    assert "No space left on device" in last


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_dataset_without_room(disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    run = partial(run_in_process, monkeypatch)
    size = ["--size", "32", "--probe.kind", "disk", "--scan.frames", "400"]
    assert_refused(run("simulate", *size, "--output", disk / "scan.cxi"), disk / "scan.cxi", capsys)
    assert not files(disk)
    resize(disk, "8m")
    assert run("simulate", *size, "--output", disk / "scan.cxi") == 0


def test_a_training_its_tiles_and_its_image_without_room(
    disk: Path, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    run = partial(run_in_process, monkeypatch)

    def train() -> int:
        places = ["--train_data_file", small_cxi, "--output_dir", disk / "run", "--run_dir", disk / "run/state"]
        return run("train", *places, "--max_epochs", 2, *SETTINGS)

    assert_refused(train(), disk / "run/state", capsys)
    assert not (disk / "run/model.ckpt").exists()
    assert not [path for path in files(disk) if path.name.startswith(".")]
    resize(disk, "2m")
    assert train() == 0
    model = disk / "run/model.ckpt"

    resize(disk, f"{(shutil.disk_usage(disk).used >> 10) + 30}k")
    predicted = disk / "predicted.h5"
    refused = run("infer", "--checkpoint", model, "--data", small_cxi, "--output", predicted)
    assert_refused(refused, predicted, capsys)
    assert not predicted.exists()
    resize(disk, "4m")
    assert run("infer", "--checkpoint", model, "--data", small_cxi, "--output", predicted) == 0

    image = disk / "image/reconstruction.h5"
    pictures = ["--amplitude", tmp_path / "amplitude.png", "--phase", tmp_path / "phase.png"]
    resize(disk, f"{(shutil.disk_usage(disk).used >> 10) + 30}k")
    assert_refused(run("stitch", "--patches", predicted, "--output", image, *pictures), image, capsys)
    assert not files(disk / "image")
    resize(disk, "4m")
    assert run("stitch", "--patches", predicted, "--output", image, *pictures) == 0
