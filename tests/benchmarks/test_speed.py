"""How long the hot paths take, beside what the machine can do; run by `make bench`, nothing asserted about time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import operations_of

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.live.network import MOST_FRAMES, LiveReconstruction
from ptychoflow.loading.tables import Batch
from ptychoflow.models import MODELS
from ptychoflow.models.trained import load_trained
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.reconstruction.stitching import Portion, stitch
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.training.checkpoint import describe
from ptychoflow.training.module import Reconstructor
from ptychoflow.training.parts import PartThreads

FRAMES = 1024
WIDE_FRAMES = {"cpu": 128, "cuda": 2048}
"""Frames of 128×128 pixels, some of which keep a processor busy."""
MANY_GROUPS = 128
"""Groups of 16 frames in a batch that keeps a GPU busy; a CPU is by two."""


@pytest.fixture(scope="module")
def scan() -> Dataset:
    return simulate(SimulationSettings(scan=ScanSettings(frames=FRAMES)))


@pytest.fixture(scope="module")
def file(scan: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scan.cxi"
    write_cxi(path, scan)
    return path


def reconstructor(scan: Dataset, model: ModelSettings, members: int = 16) -> Reconstructor:
    training = TrainingSettings(groups=GroupSettings(size=members, neighbours=max(30, members)))
    return Reconstructor(model, training, torch.from_numpy(scan.probe)[None], torch.from_numpy(scan.mask)[None])


def test_limit_matrix_product(measure: Callable, device: torch.device):
    matrix = torch.rand(2048, 2048, device=device)
    measure(lambda: matrix @ matrix, device, operations=2 * 2048**3)


def test_limit_fourier_transforms(measure: Callable, device: torch.device):
    waves = torch.randn(1024, 64, 64, dtype=torch.complex64, device=device)
    measure(lambda: torch.fft.fft2(waves), device, **operations_of(lambda: torch.fft.fft2(waves)))


def test_limit_memory(measure: Callable, device: torch.device):
    source = torch.rand(2**25, device=device)
    target = torch.empty_like(source)
    measure(lambda: target.copy_(source), device, bytes=2 * source.nbytes)


def test_simulate(measure: Callable):
    measure(lambda: simulate(SimulationSettings(scan=ScanSettings(frames=256))), frames=256)


def test_ingest(measure: Callable, scan: Dataset, tmp_path: Path):
    rows, columns = scan.positions.T
    amplitudes = np.sqrt(scan.frames)
    np.savez(tmp_path / "raw.npz", diffraction=amplitudes, probeGuess=scan.probe[0], xcoords=columns, ycoords=rows)
    measure(lambda: write_cxi(tmp_path / "scan.cxi", read_dataset(tmp_path / "raw.npz")), frames=FRAMES)


def test_read_frames_of_a_file(measure: Callable, file: Path):
    frames = read_cxi(file, frames_in_memory=0).frames
    measure(lambda: frames[:], frames=FRAMES)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_training_step_of_16_single_frames(
    measure: Callable, scan: Dataset, device: torch.device, name: str, precision: str
):
    measure_step(measure, reconstructor(scan, ModelSettings(name=name), 1), torch.zeros(16, 1, 2), device, precision)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_step_of_two_groups_of_16_frames(
    measure: Callable, scan: Dataset, device: torch.device, precision: str
):
    measure_step(measure, reconstructor(scan, ModelSettings()), places_of(2), device, precision)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_step_of_many_groups_of_16_frames(
    measure: Callable, scan: Dataset, device: torch.device, precision: str
):
    if device.type == "cpu":
        pytest.skip("two groups keep a CPU busy")
    measure_step(measure, reconstructor(scan, ModelSettings()), places_of(MANY_GROUPS), device, precision)


def places_of(groups: int) -> torch.Tensor:
    """Positions (groups, 16, 2) of frames in groups."""
    return torch.rand(groups, 16, 2, generator=torch.Generator().manual_seed(0)) * 30


def measure_step(
    measure: Callable, module: Reconstructor, positions: torch.Tensor, device: torch.device, precision: str
) -> None:
    """Time a training step on groups of random frames at these positions (batch, C, 2)."""
    groups, members = positions.shape[:2]
    frames = torch.arange(groups * members).reshape(groups, members)
    amplitudes = torch.rand(groups, members, 64, 64) * 30
    reach = int((positions - positions[:, :1]).abs().max().ceil())
    parts = (part.to(device) for part in (frames, torch.zeros(groups, dtype=torch.long), amplitudes, positions))
    batch = Batch(*parts, None, reach, wanted=members)
    module = module.to(device)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    threads = PartThreads.for_batches(groups, device, processes=1)

    def step(threads: PartThreads | None = None) -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            evaluation = threads.evaluate(module, batch) if threads else module.evaluate(batch)
        evaluation.objective.backward()
        optimizer.step()

    # Operations are counted in the thread at hand only.
    measure(lambda: step(threads), device, frames=groups * members, **operations_of(step))
    if threads:
        threads.close()


@pytest.fixture(scope="module")
def checkpoint(scan: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network as it is before training, which takes as long as a trained one."""
    module = reconstructor(scan, ModelSettings())
    folder = tmp_path_factory.mktemp("model")
    module.description = describe(module.model_settings, module.training_settings, None, [], 0, "untrained", {})
    torch.save({"state_dict": module.state_dict(), "ptychoflow": module.description}, folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_reconstruct_and_stitch_a_scan(
    measure: Callable, scan: Dataset, file: Path, checkpoint: Path, device: torch.device, precision: str
):
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    inference = Inference(checkpoint, scan, file)

    def reconstruct() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            inference.reconstruct(16, 0, accelerator)

    measure(reconstruct, device, frames=FRAMES)


def test_live_frames(measure: Callable, scan: Dataset, file: Path, checkpoint: Path, device: torch.device):
    own, mask = torch.from_numpy(scan.probe), torch.from_numpy(scan.mask)
    network = load_trained(checkpoint, "dataset", own, mask, device, file)

    def follow() -> None:
        live = LiveReconstruction(network, scan.object_shape)
        for first in range(0, FRAMES, MOST_FRAMES):
            some = slice(first, first + MOST_FRAMES)
            live.add(scan.frames[some], scan.positions[some])

    measure(follow, device, frames=FRAMES)


@pytest.fixture(scope="module")
def wide_scans() -> dict[str, Dataset]:
    """Scans with frames of 128×128 pixels, by the device that they keep busy."""
    return {}


@pytest.mark.parametrize("subsets", [2, 8])
@pytest.mark.parametrize("modes", [1, 3])
def test_pass_of_blind_steps_over_frames_of_128_pixels(
    measure: Callable, wide_scans: dict[str, Dataset], device: torch.device, modes: int, subsets: int
):
    frames = WIDE_FRAMES[device.type]
    if device.type not in wide_scans:
        wide_scans[device.type] = simulate(SimulationSettings(size=128, scan=ScanSettings(frames=frames)))
    alone = {"learned": False, "smoothing": False, "solve_background": False, "held_out": 0.0, "start": "dataset"}
    settings = BlindReconstructionSettings(probe_modes=modes, **alone)
    network, _ = load_blind()
    run = BlindReconstruction(network, wide_scans[device.type], settings, device=device)
    state, order = run.state.strongest(modes), torch.arange(frames).chunk(subsets)

    def iterate() -> None:
        with torch.no_grad():
            network.iterate(state, run.frames, order, 0.5, solve_background=False)

    iterate()  # kernels of a GPU are recorded by the second call
    measure(iterate, device, frames=frames)


def test_stitch_patches(measure: Callable, scan: Dataset, device: torch.device):
    patches = torch.randn(FRAMES, 64, 64, dtype=torch.complex64, device=device)
    portions = [Portion(torch.arange(FRAMES, device=device), patches)]
    positions, probe = torch.from_numpy(scan.positions).to(device), torch.from_numpy(scan.probe).to(device)
    measure(lambda: stitch(lambda: portions, positions, probe, scan.object_shape), device, frames=FRAMES)


def test_extract_patches(measure: Callable, scan: Dataset, device: torch.device):
    canvas = torch.from_numpy(scan.truth)[None].to(device)
    positions = torch.from_numpy(scan.positions).float()[None].to(device)
    measure(lambda: extract_patches(canvas, positions, 64), device, frames=FRAMES)
