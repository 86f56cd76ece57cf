"""Estimates hold for a real training step, and follow what costs."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from ptychoflow.configuration.estimates import PACKAGES, blind_needs, inference_needs, training_needs, tuning_needs
from ptychoflow.settings.blind import TuningSettings
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings

STEP = """
import resource
import torch
from lightning.pytorch import Trainer  # noqa: F401, a training loads it too
from ptychoflow.loading.tables import Batch
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.module import Reconstructor

torch.set_num_threads(1)
N, C, B = {size}, {members}, {batch_size}
training = TrainingSettings(groups=GroupSettings(size=C))
module = Reconstructor(ModelSettings(name="{name}"), training, torch.ones(1, 1, N, N, dtype=torch.complex64),
                       torch.ones(1, N, N, dtype=torch.bool))
places = torch.rand(B, C, 2) * N / 2
frames, scan = torch.arange(B * C).reshape(B, C), torch.zeros(B, dtype=torch.long)
batch = Batch(frames, scan, torch.rand(B, C, N, N), places, None, N)
for _ in range(2):
    module.evaluate(batch).loss.backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "members", "batch_size"), [("unrolled", 64, 16, 2), ("unrolled", 64, 1, 16), ("unet", 128, 4, 4)]
)
def test_a_step_needs_no_more_memory_than_estimated_and_not_far_less(
    name: str, size: int, members: int, batch_size: int
):
    script = STEP.format(name=name, size=size, members=members, batch_size=batch_size)
    folder = Path(__file__).parents[3] / "scripts"
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, check=True, capture_output=True, text=True, timeout=120
    )
    measured = float(output.stdout)
    training = TrainingSettings(batch_size=batch_size, groups=GroupSettings(size=members))
    estimated = training_needs([100], size, ModelSettings(name=name), training, on_gpu=False).mem_mb
    assert measured < estimated < 2.5 * measured


def test_time_follows_epochs_frames_and_their_area():
    model, training = ModelSettings(), TrainingSettings(max_epochs=100)

    def minutes(frames: int = 1000, size: int = 64, on_gpu: bool = False, **settings: object) -> int:
        return training_needs([frames], size, model, dataclasses.replace(training, **settings), on_gpu).runtime - 5

    assert minutes(max_epochs=200) == pytest.approx(2 * minutes(), abs=1)
    assert minutes(frames=4000) == pytest.approx(4 * minutes(), abs=3)
    assert minutes(frames=4000, n_groups=500) == pytest.approx(minutes() / 2, abs=1)
    assert minutes(size=128) == pytest.approx(4 * minutes(), abs=3)
    drawn = dataclasses.replace(training, n_groups=500)
    four = training_needs([1000] * 4, 64, model, drawn, False).runtime - 5
    assert four == pytest.approx(4 * minutes(n_groups=500), abs=3)
    assert minutes(on_gpu=True) == pytest.approx(minutes() / 10, abs=1)


def test_memory_stays_bounded_however_many_frames_there_are():
    model, training = ModelSettings(), TrainingSettings()

    def megabytes(frames: int, training: TrainingSettings = training) -> int:
        return training_needs([frames], 64, model, training, on_gpu=False).mem_mb

    assert megabytes(10**6) == megabytes(10**5)
    few, many = (inference_needs(frames, 64, model, InferenceSettings()) for frames in (10**4, 10**6))
    assert many.mem_mb == few.mem_mb
    assert megabytes(10**6, dataclasses.replace(training, frames_in_memory=1000)) < megabytes(10**6)


def test_each_device_of_a_node_has_a_process_with_memory_of_its_own():
    model, one = ModelSettings(), TrainingSettings()
    alone = training_needs([1000], 64, model, one, on_gpu=True)
    for nodes in (1, 2):
        four = dataclasses.replace(one, devices=4, num_nodes=nodes)
        assert training_needs([1000], 64, model, four, on_gpu=True).mem_mb == 4 * alone.mem_mb


def test_inference_follows_the_network_and_how_it_is_used():
    def needs(single_shot: bool = False, **model: int) -> tuple[int, int]:
        found = inference_needs(10**6, 64, ModelSettings(**model), InferenceSettings(single_shot=single_shot))
        return found.mem_mb - PACKAGES, found.runtime - 5

    megabytes, minutes = needs()
    assert needs(iterations=20)[1] == pytest.approx(2 * minutes, abs=1)
    assert needs(features=48)[0] > 2 * megabytes
    assert needs(single_shot=True)[0] < megabytes / 10


def test_blind_needs_follow_frames_modes_and_iterations():
    usual = BlindReconstructionSettings()
    few, many = (blind_needs(frames, 128, usual, False) for frames in (500, 5000))
    assert 1500 < few.mem_mb < 4000
    assert many.mem_mb > few.mem_mb
    assert many.runtime > 4 * few.runtime
    shorter = BlindReconstructionSettings(iterations=10, most_iterations=10, probe_modes=1)
    assert blind_needs(5000, 128, shorter, False).runtime < many.runtime / 3
    assert blind_needs(5000, 128, usual, True).runtime < many.runtime / 3
    # Frames beyond those that memory holds are read subset by subset.
    stored = blind_needs(200_000, 128, usual, False).mem_mb - blind_needs(100_000, 128, usual, False).mem_mb
    assert stored < 100_000 * 128**2 * 4 * 4 / 1e6


def test_tuning_takes_the_time_of_its_epochs_and_no_more_memory_for_larger_scans():
    usual, settings = TuningSettings(), BlindReconstructionSettings()
    few, many = (tuning_needs([frames], 128, usual, settings, False) for frames in (500, 5000))
    assert few.runtime < many.runtime
    longer = TuningSettings(max_epochs=20)
    assert tuning_needs([5000], 128, longer, settings, False).runtime > 3 * many.runtime
    assert tuning_needs([5000], 128, usual, settings, True).runtime < many.runtime / 3
    # Frames beyond those that are held are read; of moments there are as many as their bytes allow.
    large, larger = (tuning_needs([frames], 128, usual, settings, False).mem_mb for frames in (50_000, 100_000))
    assert larger < 1.2 * large
