"""A batch that threads evaluate in parts comes to what it does as a whole, always to the same last bit."""

from collections.abc import Iterator

import pytest
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.loading.tables import Batch
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.module import Reconstructor
from ptychoflow.training.parts import PartThreads

CPU = torch.device("cpu")


@pytest.fixture
def threads() -> Iterator[PartThreads]:
    torch.set_num_threads(2)
    parts = PartThreads.for_batches(3, CPU, processes=1)
    yield parts
    parts.close()
    torch.set_num_threads(1)


def module_and_batch(dataset: Dataset, name: str, members: int, **settings: object) -> tuple[Reconstructor, Batch]:
    """A network that corrects, on two scans, one of which has bad pixels, and three groups of random frames."""
    torch.manual_seed(0)
    probe, mask = torch.from_numpy(dataset.probe), torch.from_numpy(dataset.mask)
    holes = mask & (torch.rand(mask.shape) > 0.3)
    training = TrainingSettings(groups=GroupSettings(size=members, neighbours=max(8, members)), **settings)
    model = ModelSettings(name=name, features=4, depth=1, iterations=2)
    module = Reconstructor(model, training, torch.stack([probe, probe]), torch.stack([mask, holes]))
    with torch.no_grad():
        for weight in module.network.parameters():
            weight += 0.05 * torch.randn_like(weight)
    size = probe.shape[-1]
    # The second group is the widest: objects are as large as it asks for, whatever part it is in.
    positions = torch.rand(3, members, 2) * torch.tensor([4.0, 15.0, 7.0])[:, None, None] + 40
    truth = torch.randn(3, members, size, size, dtype=torch.complex64) if settings.get("supervised") else None
    amplitudes = torch.rand(3, members, size, size) * 10
    numbers = torch.arange(3 * members).reshape(3, members)
    return module, Batch(numbers, torch.tensor([0, 1, 1]), amplitudes, positions, truth, reach=15, wanted=members)


def gradients(module: Reconstructor, objective: torch.Tensor) -> dict[str, torch.Tensor | None]:
    module.zero_grad()
    objective.backward()
    return {name: None if weight.grad is None else weight.grad.clone() for name, weight in module.named_parameters()}


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "unrolled", "members": 3, "train_probe": True},
        {"name": "unrolled", "members": 3, "loss": "amplitude_mae", "total_variation": 0.1},
        {"name": "unet", "members": 2, "learn_flux": True},
        {"name": "autoencoder", "members": 1, "supervised": True, "learn_flux": True},
    ],
    ids=["probe", "total variation", "flux", "supervised"],
)
def test_parts_come_to_what_the_whole_does(settings: dict, small_dataset: Dataset, threads: PartThreads):
    module, batch = module_and_batch(small_dataset, **settings)
    whole, parted = module.evaluate(batch), threads.evaluate(module, batch)
    torch.testing.assert_close(parted.patches, whole.patches, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parted.intensity, whole.intensity, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(parted.objective, whole.objective)
    expected, found = (gradients(module, evaluation.objective) for evaluation in (whole, parted))
    for name, gradient in expected.items():
        assert (gradient is None) == (found[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max()))
    # What does not enter the objective has no gradient, and so no decay.
    assert any(gradient is None for gradient in found.values()) or not settings.get("supervised")
    again = gradients(module, threads.evaluate(module, batch).objective)
    assert all(gradient is None or torch.equal(gradient, found[name]) for name, gradient in again.items())


def test_what_is_watched_is_that_of_the_whole_where_all_frames_have_the_same_good_pixels(
    small_dataset: Dataset, threads: PartThreads
):
    module, batch = module_and_batch(small_dataset, "unrolled", 3)
    batch = batch._replace(scan=torch.zeros_like(batch.scan))
    whole, parted = module.evaluate(batch), threads.evaluate(module, batch)
    torch.testing.assert_close(parted.loss, whole.loss)
    torch.testing.assert_close(parted.deviance, whole.deviance)
    for name, part in whole.parts.items():
        torch.testing.assert_close(parted.parts[name], part)


def test_threads_compute_in_the_precision_that_was_asked_for(small_dataset: Dataset, threads: PartThreads):
    module, batch = module_and_batch(small_dataset, "unrolled", 3)
    exact = threads.evaluate(module, batch).patches
    with torch.autocast("cpu", torch.bfloat16):
        whole, parted = module.evaluate(batch).patches, threads.evaluate(module, batch).patches
    coarse = (whole - exact).abs().mean()
    assert coarse > 1e-5
    assert (parted - whole).abs().mean() < 0.1 * coarse


def test_a_short_batch_is_whole_and_threads_leave_torch_as_it_was(small_dataset: Dataset, threads: PartThreads):
    module, batch = module_and_batch(small_dataset, "unrolled", 3)
    single = batch.parts(3)[1]
    torch.testing.assert_close(threads.evaluate(module, single).objective, module.evaluate(single).objective)
    assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError):
        threads.evaluate(module, batch._replace(amplitudes=batch.amplitudes[..., 1:]))


@pytest.mark.parametrize(
    ("torch_has", "groups", "device", "processes", "parts"),
    [
        (2, 8, "cpu", 1, 2),
        (16, 8, "cpu", 1, 4),
        (16, 3, "cpu", 1, 3),
        (1, 8, "cpu", 1, None),
        (2, 1, "cpu", 1, None),
        (2, 8, "cuda", 1, None),
        (2, 8, "cpu", 2, None),
    ],
)
def test_batches_are_cut_where_threads_have_something_of_it(
    torch_has: int, groups: int, device: str, processes: int, parts: int | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: torch_has)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    found = PartThreads.for_batches(groups, torch.device(device), processes)
    assert (None if found is None else found.parts) == parts
    if found:
        found.close()
