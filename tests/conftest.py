"""One small simulated scan for all tests, and how tests share several processes."""

from dataclasses import asdict
from pathlib import Path

import matplotlib
import pytest
import torch

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

# Jobs of one core each run fastest; two threads each on two cores crawl.
torch.set_num_threads(1)
# Wherever tests run, a figure opens no window.
matplotlib.use("Agg")

# Those that take longest begin first, so that nobody waits for them in the end; the cluster's mostly wait.
FIRST = ("slurm", "workflow", "rules", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, and begin with it."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] != "unit":
            item.add_marker(pytest.mark.slow)

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    """64 frames of 32×32 pixels under a disk probe."""
    settings = SimulationSettings(
        size=32, probe=ProbeSettings(kind="disk"), scan=ScanSettings(frames=64, step=4.0), seed=7
    )
    return simulate(settings).validate("small dataset")


@pytest.fixture(scope="session")
def blind_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blind network that was not trained, which is the plain engine, in the form of the shipped one."""
    path = tmp_path_factory.mktemp("weights") / "model.ckpt"
    description = {
        "model": asdict(BlindSettings()),
        "result": "pretrained",
        "provenance": {},
        "fingerprint": "",
        "seed": 0,
    }
    torch.save({"ptychoflow": description, "state_dict": Blind(BlindSettings()).state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def small_cxi(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small dataset as a file."""
    path = tmp_path_factory.mktemp("data") / "small.cxi"
    write_cxi(path, small_dataset)
    return path
