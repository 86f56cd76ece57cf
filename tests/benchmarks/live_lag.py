"""How far behind a detector the image of a scan is that is being measured, and at what cost.

``python tests/benchmarks/live_lag.py --rate 1000`` writes a raster of simulated frames in one process and follows it in
another, as watch.py does by a network of train.py, and prints a table.
"""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from jsonargparse.typing import PositiveFloat, PositiveInt

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.growing import GrowingFile, GrowingScan
from ptychoflow.live.trained_watching import TrainedWatch
from ptychoflow.running.command_line import run_program
from ptychoflow.running.hardware import use_threads
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.training.checkpoint import describe
from ptychoflow.training.scan_network import ScanNetwork

EXPOSURES = 50
"""Times a second that the detector writes what it has."""
TIMEOUT = 30.0


class TimedWatch(TrainedWatch):
    """Notes when each picture was there, and of how many frames."""

    def follow(self, every: float, timeout: float) -> str:
        self.pictures: list[tuple[float, int]] = []
        return super().follow(every, timeout)

    def _draw(self) -> None:
        super()._draw()
        self.pictures.append((time.monotonic(), self.read))


def main(
    rate: PositiveFloat = 1000.0,
    frames: PositiveInt = 8192,
    every: PositiveFloat = 0.5,
    checkpoint: Path | None = None,
    threads: PositiveInt | None = 1,
) -> None:
    """Follow a scan that is written at a given rate.

    Parameters
    ----------
    rate : float
        Frames of 64×64 pixels in a second.
    frames : int
        Of the scan.
    every : float
        Seconds between two pictures, as of watch.py.
    checkpoint : Path, optional
        model.ckpt of train.py; by default the default network as it is before training, which takes as long.
    threads : int, optional
        Of the network.
    """
    use_threads(threads)
    dataset = simulate(SimulationSettings(scan=ScanSettings(frames=frames)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_cxi(folder / "whole.cxi", dataset)
        path = checkpoint or untrained(dataset.probe, dataset.mask, folder / "model.ckpt")
        detector = multiprocessing.get_context("spawn").Process(target=measure, args=(folder, rate))
        detector.start()
        with GrowingScan(folder / "scan.cxi", TIMEOUT) as scan:
            watching = TimedWatch(path, scan, folder / "live", "dataset", torch.device("cpu"))
            began = time.process_time()
            watching.follow(every, TIMEOUT)
            seconds = time.process_time() - began
        detector.join()
        written = np.load(folder / "written.npy")
    shown, known = (np.array(values) for values in zip(*watching.pictures, strict=True))
    lag = shown[np.searchsorted(known, np.arange(frames), side="right")] - written
    pace = frames / (shown[-1] - written[0])
    print(
        "| frames/s written | frames/s shown | lag, median | 99 % | largest | pictures | frames per processor second |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    lags = " | ".join(f"{value:.2f} s" for value in np.quantile(lag, [0.5, 0.99, 1.0]))
    print(f"| {rate:,.0f} | {pace:,.0f} | {lags} | {len(shown)} | {frames / seconds:,.0f} |")


def measure(folder: Path, rate: float) -> None:
    """Write the scan as a detector would, and when each frame was in the file."""
    dataset = read_cxi(folder / "whole.cxi")
    written = np.zeros(len(dataset.frames))
    with GrowingFile(folder / "scan.cxi", dataset, planned=len(written)) as file:
        began, done = time.monotonic(), 0
        while done < len(written):
            time.sleep(1 / EXPOSURES)
            due = min(len(written), int((time.monotonic() - began) * rate))
            file.append(dataset.frames[done:due], dataset.positions[done:due])
            written[done:due], done = time.monotonic(), due
    np.save(folder / "written.npy", written)


def untrained(probe: np.ndarray, mask: np.ndarray, path: Path) -> Path:
    """Write the default network with the weights that a training begins with."""
    training = TrainingSettings(validation_fraction=0.0)
    network = ScanNetwork(ModelSettings(), training, torch.from_numpy(probe)[None], torch.from_numpy(mask)[None])
    description = describe(network.model_settings, training, None, [], 0, "untrained", {})
    torch.save({"state_dict": network.state_dict(), "ptychoflow": description}, path)
    return path


if __name__ == "__main__":
    run_program(main)
