"""What tracking costs: the demo's network on a quarter of its frames, with all loggers and images and with csv alone.

Both in turn, since no machine is the same for minutes. Images come once in five epochs whatever an epoch takes, so that
on all of the demo's frames they weigh a quarter. What does not come with every training is told apart: loading MLflow,
and making the tables of a store that is new.
"""

import time
from pathlib import Path
from statistics import median

import pytest
import torch

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.tracking.mlflow_store import connect

TURNS, EPOCHS = 3, 5


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "demo.cxi"
    write_cxi(path, simulate(SimulationSettings(seed=1, scan=ScanSettings(frames=256, step=6))))
    return path


def test_a_training_with_everything_tracked_beside_one_with_csv_alone(benchmark, data: Path, tmp_path: Path):
    torch.set_num_threads(2)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    began = time.perf_counter()
    connect(store)
    once = time.perf_counter() - began
    csv = TrackingSettings(logger=["csv"])
    everything = TrackingSettings(
        logger=["csv", "tensorboard", "mlflow"],
        mlflow_tracking_uri=store,
        recon_log_every_n_epochs=EPOCHS,
        recon_log_stitch=True,
    )
    training = TrainingSettings(max_epochs=EPOCHS, batch_size=4, precision="32-true", accelerator="cpu")

    def seconds(name: str, tracking: TrackingSettings) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        TrainingRun([data], tmp_path, tmp_path / name, ModelSettings(), training, 0, tracking).run()
        return time.perf_counter() - wall, time.process_time() - processor

    def in_turn() -> list[tuple[float, float]]:
        ratios = []
        for turn in range(TURNS):
            alone, tracked = seconds(f"csv{turn}", csv), seconds(f"everything{turn}", everything)
            ratios.append((tracked[0] / alone[0], tracked[1] / alone[1]))
        return ratios

    ratios = benchmark.pedantic(in_turn, rounds=1)
    wall, processor = (median(turn[kind] for turn in ratios) for kind in (0, 1))
    benchmark.extra_info |= {"device": "cpu", "wall_ratio": wall, "processor_ratio": processor, "once": once}
    print(f"\neverything over csv alone: time {wall:.3f}, processor time {processor:.3f}; once {once:.1f} s more")
