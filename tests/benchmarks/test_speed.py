"""How long the hot paths take; run by `make bench`, with nothing asserted about time."""

import pytest
import torch

from ptychoflow.data.loading import Batch
from ptychoflow.models import MODELS
from ptychoflow.physics.patches import accumulate_patches, extract_patches
from ptychoflow.settings import GroupSettings, ModelSettings, TrainingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.probes import ProbeSettings
from ptychoflow.simulation.scans import ScanSettings
from ptychoflow.simulation.settings import SimulationSettings
from ptychoflow.training.module import Reconstructor


@pytest.fixture(scope="module")
def probe() -> torch.Tensor:
    settings = SimulationSettings(probe=ProbeSettings(), scan=ScanSettings(frames=4))
    return torch.from_numpy(simulate(settings).probe)


@pytest.fixture
def positions() -> torch.Tensor:
    return torch.rand(1, 1024, 2, generator=torch.Generator().manual_seed(0)) * 200 + 40


def test_simulation(benchmark):
    benchmark(simulate, SimulationSettings(scan=ScanSettings(frames=256)))


def test_stitching_of_1024_patches(benchmark, positions: torch.Tensor, probe: torch.Tensor):
    patches = torch.randn(1, 1024, 64, 64, dtype=torch.complex64)
    weight = probe.abs().square().sum(dim=0)[None, None]
    benchmark(accumulate_patches, patches, weight, positions, (280, 280))


def test_extraction_of_1024_patches(benchmark, positions: torch.Tensor):
    benchmark(extract_patches, torch.randn(1, 280, 280, dtype=torch.complex64), positions, 64)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_training_step_of_16_frames(benchmark, name: str, precision: str, probe: torch.Tensor):
    masks = torch.ones(1, 64, 64, dtype=torch.bool)
    module = Reconstructor(ModelSettings(name=name), TrainingSettings(groups=GroupSettings(size=1)), probe[None], masks)
    batch = batch_of(torch.zeros(16, 1, 2))

    def step() -> None:
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            module.evaluate(batch).loss.backward()

    benchmark(step)


def batch_of(positions: torch.Tensor) -> Batch:
    """Groups of random frames at these positions (batch, C, 2)."""
    groups, size = positions.shape[:2]
    frames = torch.arange(groups * size).reshape(groups, size)
    amplitudes = torch.rand(groups, size, 64, 64) * 30
    reach = int((positions - positions[:, :1]).abs().max().ceil())
    return Batch(frames, torch.zeros(groups, dtype=torch.long), amplitudes, positions, None, reach, wanted=size)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_step_of_two_groups_of_16_frames(benchmark, precision: str, probe: torch.Tensor):
    masks = torch.ones(1, 64, 64, dtype=torch.bool)
    module = Reconstructor(ModelSettings(), TrainingSettings(), probe[None], masks)
    batch = batch_of(torch.rand(2, 16, 2, generator=torch.Generator().manual_seed(0)) * 30)

    def step() -> None:
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            module.evaluate(batch).loss.backward()

    benchmark(step)


def test_reconstruction_of_a_scan_of_512_frames(benchmark, probe: torch.Tensor):
    masks = torch.ones(1, 64, 64, dtype=torch.bool)
    module = Reconstructor(ModelSettings(), TrainingSettings(), probe[None], masks)
    batch = batch_of(torch.rand(1, 512, 2, generator=torch.Generator().manual_seed(0)) * 130)
    with torch.inference_mode():
        benchmark(module.predict_step, batch, 0)
