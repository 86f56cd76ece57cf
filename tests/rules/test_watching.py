"""A scan is watched while it is written, each by a process of its own, as at a beamline."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.growing import GrowingFile
from ptychoflow.errors import InputError
from ptychoflow.live.watching import watch
from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.reconstruction.scoring import score
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import GuessSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.simulation.dataset import simulate

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 180


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    settings = SimulationSettings(size=32, probe=ProbeSettings(kind="disk"), scan=ScanSettings(frames=256, step=4.0))
    return simulate(settings).validate("scan")


@pytest.fixture(scope="module")
def checkpoint(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    training = TrainingSettings(max_epochs=1, groups=GroupSettings(size=4), accelerator="cpu")
    model = ModelSettings(features=4, iterations=4)
    return TrainingRun([small_cxi], folder, folder / "run", model, training, seed=0).run()


def started(program: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPTS / f"{program}.py"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def waited_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def written(path: Path) -> int:
    """Frames whose pictures have been drawn."""
    return json.loads(Image.open(path).info["Description"])["frames"] if path.exists() else 0


def test_pictures_follow_the_frames_and_end_as_the_whole_scan(dataset: Dataset, checkpoint: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    picture = output / "reconstructed_phase.png"
    files = ["--checkpoint", checkpoint, "--data", data, "--output", output]
    watching = started("watch", *files, "--every", 0.1, "--timeout", PATIENCE)
    with GrowingFile(data, dataset, planned=len(dataset.frames)) as file:
        file.append(dataset.frames[:40], dataset.positions[:40])
        waited_for(lambda: written(picture) == 40)
        shape = Image.open(picture).size
        for first in range(40, 256, 4):
            file.append(dataset.frames[first : first + 4], dataset.positions[first : first + 4])
            time.sleep(4 / 200)
        waited_for(lambda: written(picture) > 150)
        assert Image.open(picture).size == shape
        _, messages = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, messages
    assert "all planned frames: 256 frames" in messages
    found = read_reconstruction(output / "reconstruction.h5")
    write_cxi(tmp_path / "whole.cxi", dataset)
    measured = read_cxi(tmp_path / "whole.cxi")
    measured.truth = None
    expected = Inference(checkpoint, measured, tmp_path / "whole.cxi").reconstruct(16, 1, "cpu")
    for name in ("object", "coverage", "halves", "positions", "probe"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-3)
    provenance = json.loads((output / "provenance.json").read_text())
    assert provenance["live"] == {"ended": "all planned frames", "final": "whole"}
    assert provenance["data"] == dataset.provenance


def test_a_killed_writer_leaves_the_image_of_what_it_wrote(dataset: Dataset, checkpoint: Path, tmp_path: Path):
    whole, data, output = tmp_path / "whole.cxi", tmp_path / "scan.cxi", tmp_path / "image"
    write_cxi(whole, dataset)
    # So slowly that the first picture is there long before the last frame, however busy the machine is.
    writing = started("replay", "--input", whole, "--output", data, "--rate", 4)
    waited_for(data.exists)
    files = ["--checkpoint", checkpoint, "--data", data, "--output", output]
    watching = started("watch", *files, "--every", 0.1, "--timeout", 2, "--final", "running")
    picture = output / "reconstructed_amplitude.png"
    waited_for(picture.exists)
    writing.kill()
    writing.communicate()
    _, messages = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, messages
    assert "no new frame for 2 s" in messages
    found = read_reconstruction(output / "reconstruction.h5")
    assert 0 < len(found.positions) < 256
    np.testing.assert_array_equal(found.positions, dataset.positions[: len(found.positions)])
    assert found.coverage.max() > 0.9


def test_a_watch_ends_with_what_it_has_when_it_is_asked_to(dataset: Dataset, checkpoint: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    dark = dataset.frames[:20].copy()
    dark[3] = 0
    with GrowingFile(data, dataset) as file:
        file.append(dark, dataset.positions[:20])
    with h5py.File(data, "a") as file:
        del file["entry_1/ptychoflow_1/object_shape"]
    files = ["--checkpoint", checkpoint, "--data", data, "--output", output, "--probe", "checkpoint"]
    watching = started("watch", *files, "--timeout", PATIENCE, "--final", "running")
    waited_for((output / "reconstructed_phase.png").exists)
    watching.send_signal(signal.SIGTERM)
    _, messages = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, messages
    assert "1 frames hold no photons" in messages
    assert "asked to stop: 19 frames" in messages
    found = read_reconstruction(output / "reconstruction.h5")
    expected = np.delete(dataset.positions[:20], 3, axis=0)
    np.testing.assert_allclose(found.positions - found.positions[0], expected - expected[0], atol=1e-6)


def test_frames_that_wait_for_a_picture_are_in_the_last_image(dataset: Dataset, checkpoint: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    with GrowingFile(data, dataset) as file:
        file.append(dataset.frames[:200], dataset.positions[:200])
    watch(checkpoint, data, output, every=1000, timeout=0.2, final="running")
    found = read_reconstruction(output / "reconstruction.h5")
    np.testing.assert_allclose(found.positions, dataset.positions[:200])
    # Its patches were reconstructed together, so there are no halves to tell the resolution by.
    assert np.isnan(found.halves).all()


@pytest.mark.parametrize("final", ["whole", "running"])
def test_a_learned_flux_counts_once(dataset: Dataset, checkpoint: Path, tmp_path: Path, final: str):
    data, output, brighter = tmp_path / "scan.cxi", tmp_path / "image", tmp_path / "brighter.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["log_flux"] += np.log(4)
    torch.save(content, brighter)
    with GrowingFile(data, dataset) as file:
        file.append(dataset.frames[:20], dataset.positions[:20])
    watch(brighter, data, output, timeout=0.2, final=final)
    found = read_reconstruction(output / "reconstruction.h5").probe
    np.testing.assert_allclose(found, 2 * dataset.probe, rtol=1e-5, atol=1e-4)


@pytest.fixture(scope="module")
def guessed() -> Dataset:
    """A scan whose file has the probe out of focus."""
    settings = SimulationSettings(
        size=32,
        probe=ProbeSettings(kind="disk", disk_diameter=0.5, disk_curvature=3.0, flux=1e7),
        scan=ScanSettings(frames=144, step=3.0),
        guess=GuessSettings(defocus_factor=0.6),
        seed=3,
    )
    return simulate(settings).validate("scan")


def test_without_a_checkpoint_the_probe_is_solved_for(guessed: Dataset, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    picture = output / "reconstructed_phase.png"
    options = ["--every", 0.1, "--timeout", PATIENCE, "--final", "running", "--blind.probe_modes", 1]
    watching = started("watch", "--data", data, "--output", output, *options)
    with GrowingFile(data, guessed, planned=144) as file:
        file.append(guessed.frames[:40], guessed.positions[:40])
        waited_for(lambda: written(picture) == 40)
        assert json.loads(Image.open(picture).info["Description"])["checkpoint_file"] == "pretrained"
        for first in range(40, 144, 8):
            file.append(guessed.frames[first : first + 8], guessed.positions[first : first + 8])
            time.sleep(8 / 200)
        _, messages = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0, messages
    assert "all planned frames: 144 frames" in messages
    found = read_reconstruction(output / "reconstruction.h5")
    np.testing.assert_allclose(found.positions, guessed.positions)
    assert found.object.shape == guessed.object_shape
    assert np.isnan(found.halves).all()
    true, mine = guessed.true_probe[0], found.probe[0]
    assert abs(np.vdot(true, mine)) > 0.98 * np.linalg.norm(true) * np.linalg.norm(mine)
    record = json.loads((output / "provenance.json").read_text())
    assert record["method"] == "pretrained"
    assert record["live"] == {"ended": "all planned frames", "final": "running"}
    scores, _ = score(found, guessed)
    assert scores["complex_nrmse"] < 0.35
    assert scores["deviance"] == pytest.approx(record["held_out_deviance"], rel=1e-4)


def test_a_blind_scan_ends_as_the_whole_one(guessed: Dataset, blind_weights: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    settings = BlindReconstructionSettings(probe_modes=1, iterations=3, most_iterations=3, halves=False)
    with GrowingFile(data, dataclasses.replace(guessed, probe_known=False), planned=144) as file:
        file.append(guessed.frames, guessed.positions)
    watch(blind_weights, data, output, timeout=0.2, blind=settings)
    found = read_reconstruction(output / "reconstruction.h5")
    assert not found.provenance["start"]["name"].startswith("the file's probe")
    expected = reconstruct(read_cxi(data), data, settings, blind_weights)
    np.testing.assert_allclose(found.object, expected.object, atol=1e-4)
    np.testing.assert_array_equal(found.held_out, expected.held_out)
    assert found.provenance["live"] == {"ended": "all planned frames", "final": "whole"}


def test_a_scan_that_ends_early_is_an_image_still(guessed: Dataset, blind_weights: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    with GrowingFile(data, guessed) as file:
        file.append(guessed.frames[:20], guessed.positions[:20])
    settings = BlindReconstructionSettings(probe_modes=1)
    watch(blind_weights, data, output, timeout=0.2, final="running", blind=settings)
    found = read_reconstruction(output / "reconstruction.h5")
    np.testing.assert_allclose(found.positions, guessed.positions[:20])
    assert np.isfinite(found.object).all()


def test_what_a_network_has_no_use_for_is_refused(
    guessed: Dataset, checkpoint: Path, blind_weights: Path, tmp_path: Path
):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    with GrowingFile(data, guessed) as file:
        file.append(guessed.frames[:20], guessed.positions[:20])
    with pytest.raises(InputError, match="probe is checkpoint: expected dataset"):
        watch(blind_weights, data, output, probe="checkpoint")
    with pytest.raises(InputError, match="expected no settings of blind"):
        watch(checkpoint, data, output, blind=BlindReconstructionSettings(probe_modes=1))
    for name in ("orientation", "solve_positions", "solve_brightness", "uncertainty"):
        with pytest.raises(InputError, match=rf"blind\.{name} is true .* expected --final whole"):
            watch(blind_weights, data, output, final="running", blind=BlindReconstructionSettings(**{name: True}))


def test_nothing_slow_is_imported_before_the_first_picture():
    slow = "lightning matplotlib scipy skimage torchmetrics"
    imported = "import sys, ptychoflow.live.watching, ptychoflow.live.blind_watching"
    program = f"{imported}; print(*set(sys.modules) & set('{slow}'.split()))"
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert made.stdout.strip() == ""


def test_a_scan_that_never_begins_ends_in_one_sentence(dataset: Dataset, checkpoint: Path, tmp_path: Path):
    data, output = tmp_path / "scan.cxi", tmp_path / "image"
    with pytest.raises(InputError, match="cannot be read as an HDF5 file"):
        watch(checkpoint, data, output, timeout=0.1)
    with GrowingFile(data, dataset):
        pass
    with pytest.raises(InputError, match="has no frame with photons"):
        watch(checkpoint, data, output, timeout=0.1)
    assert not output.exists()
