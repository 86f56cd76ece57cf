"""What tracking costs: the demo's network on a quarter of its frames, with and without loggers and images.

Images come once in five epochs whatever an epoch takes, so that on all of the demo's frames they weigh a quarter.
"""

from pathlib import Path

import pytest
import torch

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.simulation.dataset import simulate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "demo.cxi"
    write_cxi(path, simulate(SimulationSettings(seed=1, scan=ScanSettings(frames=256, step=6))))
    return path


@pytest.mark.parametrize("tracked", [False, True], ids=["no logger", "csv, mlflow and images"])
def test_training_of_five_epochs(benchmark, tracked: bool, data: Path, tmp_path: Path):
    torch.set_num_threads(2)
    training = TrainingSettings(max_epochs=5, batch_size=4, precision="32-true", accelerator="cpu")
    tracking = TrackingSettings(
        logger=["csv", "mlflow"] if tracked else "none",
        mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        recon_log_every_n_epochs=5 if tracked else None,
        recon_log_stitch=tracked,
    )
    run = TrainingRun([data], tmp_path, tmp_path / "run", ModelSettings(), training, 0, tracking)
    benchmark.pedantic(run.run, rounds=1)
