"""Train a network on diffraction frames."""

import logging
from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings


def main(
    train_data_file: list[Path] | Path,
    output_dir: Path,
    model: ModelSettings,
    training: TrainingSettings,
    tracking: TrackingSettings,
    run_dir: Path | None = None,
    test_data_file: Path | None = None,
    init_from: Path | None = None,
    seed: int = 0,
    quiet: bool = False,
    threads: PositiveInt | None = None,
    gridsize: PositiveInt | None = None,
    n_images: PositiveInt | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    disable_mlflow: bool = False,
) -> None:
    """Train a network without ground truth: what it sees in a frame must explain the frame's photons.

    Leaves model.ckpt, metrics.csv, config.yaml and provenance.json in the output folder, and last.ckpt, best.ckpt, logs
    and images in the run folder. Started again after an interruption it goes on from last.ckpt, if settings, data, seed
    and code are still the same.

    Parameters
    ----------
    train_data_file : list of Path
        Datasets to train on, in any format of docs/formats.md.
    output_dir : Path
        Folder for the results.
    model : ModelSettings
        The network.
    training : TrainingSettings
        How to train it.
    tracking : TrackingSettings
        Where metrics go, and which images and predictions are kept.
    run_dir : Path, optional
        Folder for the working state; OUTPUT_DIR/checkpoints if not given.
    test_data_file : Path, optional
        Dataset to test on after training; its scores are logged under test/.
    init_from : Path, optional
        Checkpoint of the same network whose weights to start from.
    seed : int
        Fixes initial weights, split and order of the frames.
    quiet : bool
        Hide progress, as a bar or as lines, and nothing else.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    gridsize : int, optional
        Edge of a square group, as PtychoPINN counts: groups.size is its square.
    n_images : int, optional
        Older name of --n_groups.
    device : {"cpu", "cuda"}, optional
        Older name of --accelerator.
    disable_mlflow : bool
        Older way to leave mlflow out of --logger; the other loggers stay.
    """
    from ptychoflow.running.hardware import use_threads
    from ptychoflow.runs.run import TrainingRun

    use_threads(threads)
    if gridsize is not None:
        training.groups.size = gridsize**2
        training.groups.neighbours = max(training.groups.neighbours, 2 * training.groups.size)
    if n_images is not None:
        _deprecated("--n_images", "--n_groups")
        training.n_groups = n_images
    if device is not None:
        _deprecated("--device", "--accelerator")
        training.accelerator = device
    if disable_mlflow:
        _deprecated("--disable_mlflow", "--logger without mlflow")
        tracking.logger = [logger for logger in tracking.logger if logger != "mlflow"]
    TrainingRun(
        data=train_data_file if isinstance(train_data_file, list) else [train_data_file],
        output_dir=output_dir,
        run_dir=run_dir or output_dir / "checkpoints",
        model=model,
        training=training,
        tracking=tracking,
        seed=seed,
        quiet=quiet,
        init_from=init_from,
        test_data=test_data_file,
    ).run()


def _deprecated(old: str, new: str) -> None:
    logging.warning("%s is deprecated: use %s", old, new)


if __name__ == "__main__":
    run_program(main, flat={"training": TrainingSettings, "tracking": TrackingSettings})
