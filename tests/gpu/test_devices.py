"""What a GPU computes is what the CPU computes: each part on every device that is there, held against the CPU.

`make gpu` runs these and the benchmarks where a GPU is; on a machine without one they run on the CPU, and on a second
device that is the CPU too but refuses what mixes the two, see elsewhere.py.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blind_scans import plain_engine, settings_of
from elsewhere import ELSEWHERE, elsewhere
from torch import Tensor

from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.live.blind import BlindLiveReconstruction
from ptychoflow.live.network import LiveReconstruction
from ptychoflow.loading.tables import Batch
from ptychoflow.models.trained import load_trained
from ptychoflow.physics.asked_waves import ask_of_waves
from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum
from ptychoflow.physics.joint_steps import joint_change
from ptychoflow.physics.patches import accumulate_patches, extract_patches
from ptychoflow.physics.recorder import call_directly, recorder_for
from ptychoflow.physics.total_variation import smoothed
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.module import Reconstructor

DEVICES = [torch.device("cpu"), *(torch.device("cuda", number) for number in range(min(torch.cuda.device_count(), 1)))]
MODEL = ModelSettings(features=4, iterations=2)
GROUPS = GroupSettings(size=4, neighbours=8)


@pytest.fixture(params=DEVICES, ids=str)
def real_device(request: pytest.FixtureRequest) -> torch.device:
    return request.param


@pytest.fixture(params=[*DEVICES, ELSEWHERE], ids=[*map(str, DEVICES), "elsewhere"])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    with elsewhere() if request.param == ELSEWHERE else nullcontext():
        yield request.param


@pytest.fixture(scope="module")
def parts() -> dict[str, Tensor]:
    """Object, two probe modes, positions and counts of no scan in particular, in double precision."""
    draw = torch.Generator().manual_seed(0)

    def waves(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.complex128)

    return {
        "objects": 1 + 0.3 * waves(1, 64, 72),
        "probes": waves(1, 2, 16, 16),
        "positions": 12 + 38 * torch.rand(1, 20, 2, generator=draw, dtype=torch.float64),
        "amplitudes": torch.rand(1, 20, 16, 16, generator=draw, dtype=torch.float64) * 4,
    }


def single(parts: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The same in single precision on a device."""
    return {
        name: part.to(device, torch.complex64 if part.is_complex() else torch.float32) for name, part in parts.items()
    }


def assert_like(found: Tensor, expected: Tensor, share: float = 2e-5) -> None:
    """Equal to a share of the largest value."""
    assert (found.cpu() - expected).abs().max() <= share * expected.abs().max()


@pytest.mark.parametrize("fresnel_number", [None, 0.02])
def test_forward_model(parts: dict[str, Tensor], device: torch.device, fresnel_number: float | None):
    def intensity(objects: Tensor, probes: Tensor, positions: Tensor, **_: Tensor) -> Tensor:
        kind = objects.dtype
        propagator = Propagator(16, fresnel_number, dtype=kind).to(objects.device)
        return incoherent_sum(propagator(exit_waves(extract_patches(objects, positions, 16), probes)))

    assert_like(intensity(**single(parts, device)), intensity(**parts))


@pytest.mark.parametrize("fresnel_number", [None, 0.02])
def test_adjoint(device: torch.device, fresnel_number: float | None):
    draw = torch.Generator().manual_seed(1)
    one, other = (torch.randn(3, 16, 16, generator=draw, dtype=torch.complex64).to(device) for _ in range(2))
    propagator = Propagator(16, fresnel_number).to(device)
    there, back = (propagator(one) * other.conj()).sum(), (one * propagator.adjoint(other).conj()).sum()
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-3)


def test_scatter(parts: dict[str, Tensor], device: torch.device):
    def scattered(objects: Tensor, probes: Tensor, positions: Tensor, **_: Tensor) -> tuple[Tensor, Tensor]:
        weight = probes.abs().square().sum(dim=1, keepdim=True)
        return accumulate_patches(extract_patches(objects, positions, 16), weight, positions, (64, 72))

    for found, expected in zip(scattered(**single(parts, device)), scattered(**parts), strict=True):
        assert_like(found, expected)


def test_step_on_object_and_probe(parts: dict[str, Tensor], device: torch.device):
    def change(objects: Tensor, probes: Tensor, amplitudes: Tensor, positions: Tensor) -> list[Tensor]:
        where = objects.device
        mask = torch.ones(1, 1, 16, 16, dtype=torch.bool, device=where)
        one = torch.ones(1, dtype=amplitudes.dtype, device=where)
        propagator = Propagator(16).to(where)
        step = joint_change(objects, probes, amplitudes, positions, mask, propagator, 0.1 * one, one, unbiased=True)
        stepped = step.stepped_objects(objects, one, 0.1 * one), step.stepped_probes(probes, one, 0.1 * one)
        return [*stepped, step.background_step]

    for found, expected in zip(change(**single(parts, device)), change(**parts), strict=True):
        assert_like(found, expected, 2e-4)


def test_a_step_is_the_same_where_its_kernels_are_replayed(parts: dict[str, Tensor], real_device: torch.device):
    call, given = recorder_for(real_device), single(parts, real_device)
    mask = torch.ones(1, 1, 16, 16, dtype=torch.bool, device=real_device)
    one, propagator = torch.ones(1, device=real_device), Propagator(16).to(real_device)

    def step(how: Callable, share: float) -> list[Tensor]:
        frames = given["amplitudes"] * share, given["positions"] + share
        change = how(
            joint_change,
            given["objects"],
            given["probes"] * share,
            *frames,
            mask,
            propagator,
            0.1 * one,
            one,
            None,
            True,
            True,
        )
        smooth = how(smoothed, given["objects"], share * given["objects"].real.abs())
        return [*vars(change).values(), smooth]

    with torch.no_grad():
        # The second is recorded, and from then on replayed, with other values each time and the earlier ones kept.
        found = [step(call, share) for share in (1.0, 0.9, 0.8, 0.7)]
        for share, those in zip((1.0, 0.9, 0.8, 0.7), found, strict=True):
            for some, expected in zip(those, step(call_directly, share), strict=True):
                assert_like(some, expected.cpu())
    if real_device.type == "cuda":
        assert call.able
        assert sum(recording is not None for recording in call.kept.values()) == 2


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("modes", [1, 3])
def test_one_kernel_asks_what_torch_does(real_device: torch.device, modes: int, unbiased: bool):
    draw = torch.Generator().manual_seed(0)
    waves = torch.randn(2, 5, modes, 36, 36, generator=draw, dtype=torch.complex128)
    amplitudes = 3 * torch.rand(2, 5, 36, 36, generator=draw, dtype=torch.float64)
    mask = torch.rand(1, 1, 36, 36, generator=draw) > 0.2
    dark, scale = torch.tensor([0.1, 1e-6], dtype=torch.float64), torch.tensor([2.5], dtype=torch.float64)
    expected = ask_of_waves(waves.clone(), amplitudes, mask, dark, scale, unbiased, True)
    parts = waves.to(torch.complex64), *(one.float() for one in (amplitudes, dark, scale))
    narrow, measured, dark, scale = (one.to(real_device) for one in parts)
    found = ask_of_waves(narrow, measured, mask.to(real_device), dark, scale, unbiased, True)
    for some, exact in zip(found, expected, strict=True):
        assert_like(some, exact, 1e-5)


@pytest.fixture(scope="module")
def batch(small_dataset: Dataset) -> Batch:
    counts = torch.from_numpy(small_dataset.frames[:8])
    amplitudes = torch.fft.ifftshift(counts, dim=(-2, -1)).sqrt().unflatten(0, (2, 4))
    positions = torch.from_numpy(small_dataset.positions[:8]).float().unflatten(0, (2, 4))
    reach = int((positions - positions[:, :1]).abs().max().ceil())
    return Batch(torch.arange(8).reshape(2, 4), torch.zeros(2, dtype=torch.long), amplitudes, positions, None, reach, 4)


def gradients(dataset: Dataset, batch: Batch, device: torch.device, precision: torch.dtype) -> tuple[float, Tensor]:
    """Loss and all gradients of a training step from the same weights."""
    torch.manual_seed(0)
    training = TrainingSettings(groups=GROUPS)
    module = Reconstructor(MODEL, training, torch.from_numpy(dataset.probe)[None], torch.from_numpy(dataset.mask)[None])
    module.to(device)
    moved = Batch(*(part.to(device) if isinstance(part, Tensor) else part for part in batch))
    with torch.autocast(device.type, torch.bfloat16) if precision == torch.bfloat16 else nullcontext():
        loss = module.evaluate(moved).loss
    loss.backward()
    found = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
    return float(loss.detach()), torch.cat(found).float().cpu()


@pytest.mark.parametrize(
    ("precision", "share"), [(torch.float32, 1e-3), (torch.bfloat16, 0.2)], ids=["float32", "bf16"]
)
def test_training_step(
    small_dataset: Dataset, batch: Batch, device: torch.device, precision: torch.dtype, share: float
):
    if device == ELSEWHERE and precision == torch.bfloat16:
        pytest.skip("autocast knows no such device")
    loss, found = gradients(small_dataset, batch, device, precision)
    exact, expected = gradients(small_dataset, batch, torch.device("cpu"), torch.float32)
    assert loss == pytest.approx(exact, rel=0.1 * share)
    assert (found - expected).norm() < share * expected.norm()


@pytest.fixture(scope="module")
def trained(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[torch.device, str], Path]:
    """Trains for two epochs on a device, deterministically, in a folder of a name; returns the checkpoint."""

    def train(device: torch.device, name: str) -> Path:
        accelerator = "gpu" if device.type == "cuda" else "cpu"
        settings = TrainingSettings(
            max_epochs=2, batch_size=8, accelerator=accelerator, deterministic=True, precision="32-true", groups=GROUPS
        )
        folder = tmp_path_factory.mktemp(f"{name}-{device.type}")
        return TrainingRun([small_cxi], folder, folder / "run", MODEL, settings, 0, quiet=True).run()

    return train


def test_whole_training_is_repeated_bit_for_bit(trained: Callable, real_device: torch.device):
    one, again = (
        torch.load(trained(real_device, name), weights_only=True, map_location="cpu")["state_dict"]
        for name in ("one", "two")
    )
    for name, value in one.items():
        assert torch.equal(value, again[name]), name


def test_inference(trained: Callable, small_dataset: Dataset, small_cxi: Path, real_device: torch.device):
    checkpoint = trained(torch.device("cpu"), "inference")
    images = [
        Inference(checkpoint, small_dataset, small_cxi).reconstruct(16, accelerator=kind).object
        for kind in ("cpu", "gpu" if real_device.type == "cuda" else "cpu")
    ]
    assert np.abs(images[1] - images[0]).max() < 1e-3 * np.abs(images[0]).max()


def blind(dataset: Dataset, device: torch.device, passes: int = 3) -> BlindReconstruction:
    run = BlindReconstruction(plain_engine(), dataset, settings_of(probe_modes=2), device=device)
    with torch.no_grad():
        for number in range(passes):
            run.iterate(number / passes)
    return run


def test_blind_reconstruction(small_dataset: Dataset, device: torch.device):
    run, expected = blind(small_dataset, device), blind(small_dataset, torch.device("cpu"))
    # Iterations let rounding grow, so that what is compared is how well the photons are explained.
    assert run.deviance(run.state) == pytest.approx(expected.deviance(expected.state), rel=0.02)
    assert run.state.objects.device.type == device.type
    assert_like(run.state.objects, expected.state.objects, 0.05)


def test_live_reconstruction(small_dataset: Dataset, device: torch.device):
    deviances = []
    for where in (device, torch.device("cpu")):
        guess, mask = torch.from_numpy(small_dataset.probe), torch.from_numpy(small_dataset.mask)
        shape = small_dataset.object_shape
        live = BlindLiveReconstruction(plain_engine(), settings_of(), mask, guess, shape, device=where)
        for first in range(0, 64, 32):
            some = slice(first, first + 32)
            live.add(small_dataset.frames[some], small_dataset.positions[some])
        deviances.append(live.deviance())
    assert deviances[0] == pytest.approx(deviances[1], rel=0.05)


def test_memory_does_not_grow_with_the_scan(small_dataset: Dataset, real_device: torch.device):
    if real_device.type != "cuda":
        pytest.skip("the bound of memory on the device is measured on a GPU")
    peaks = []
    for times in (4, 8):
        many = replace(
            small_dataset,
            frames=np.concatenate([small_dataset.frames] * times),
            positions=np.concatenate([small_dataset.positions] * times),
        )
        torch.cuda.reset_peak_memory_stats(real_device)
        blind(many, real_device, 1)
        peaks.append(torch.cuda.max_memory_allocated(real_device) / len(many.frames))
    # Frames stay on the device, in a few bytes a pixel; what a step needs beside them does not grow.
    assert peaks[1] <= peaks[0]


def test_images_of_a_trained_network_stay_on_their_device(
    trained: Callable, small_dataset: Dataset, small_cxi: Path, device: torch.device, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = trained(torch.device("cpu"), "images")
    mask, probe = torch.from_numpy(small_dataset.mask), torch.from_numpy(small_dataset.probe)
    images, live = [], []
    for where in (torch.device("cpu"), device):
        monkeypatch.setattr("ptychoflow.reconstruction.inference.chosen_device", lambda kind, where=where: where)
        images.append(Inference(checkpoint, small_dataset, small_cxi).reconstruct(16))
        network = load_trained(checkpoint, "dataset", probe, mask, where, small_cxi)
        scan = LiveReconstruction(network, small_dataset.object_shape)
        for first in range(0, 64, 16):
            scan.add(small_dataset.frames[first : first + 16], small_dataset.positions[first : first + 16])
        live.append(scan.shown.object.cpu().numpy())
    for one, other in (images[0].object, images[1].object), live:
        seen = np.isfinite(one)
        assert np.abs(other - one)[seen].max() < 1e-3 * np.abs(one[seen]).max()
