"""Train a network on diffraction frames."""

import logging
from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveInt

from ptychoflow.command_line import run_program
from ptychoflow.settings import ModelSettings, TrainingSettings


def main(
    train_data_file: list[Path] | Path,
    output_dir: Path,
    model: ModelSettings,
    training: TrainingSettings,
    run_dir: Path | None = None,
    test_data_file: Path | None = None,
    seed: int = 0,
    logger: Literal["csv", "none"] = "csv",
    quiet: bool = False,
    threads: PositiveInt | None = None,
    gridsize: PositiveInt | None = None,
    n_images: PositiveInt | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    disable_mlflow: bool = False,
) -> None:
    """Train a network without ground truth: what it sees in a frame must explain the frame's photons.

    Leaves model.ckpt, metrics.csv and config.yaml in the output folder, and last.ckpt and best.ckpt in the run folder.
    Started again after an interruption it goes on from last.ckpt, if settings, data, seed and code are still the same.

    Parameters
    ----------
    train_data_file : list of Path
        Datasets to train on: CXI, or NPZ of PtychoPINN or tike.
    output_dir : Path
        Folder for the results.
    model : ModelSettings
        The network.
    training : TrainingSettings
        How to train it.
    run_dir : Path, optional
        Folder for the working state; OUTPUT_DIR/checkpoints if not given.
    test_data_file : Path, optional
        Dataset to test on after training: its mean Poisson deviance is printed.
    seed : int
        Fixes initial weights, split and order of the frames.
    logger : {"csv", "none"}
        Where metrics are kept.
    quiet : bool
        Hide the progress bar, and nothing else.
    threads : int, optional
        CPU threads; by default what the environment says.
    gridsize : int, optional
        Edge of a square group, as PtychoPINN counts: groups.size is its square.
    n_images : int, optional
        Older name of --n_groups.
    device : {"cpu", "cuda"}, optional
        Older name of --accelerator.
    disable_mlflow : bool
        Older way to say --logger none; nothing is sent to MLflow.
    """
    import torch

    from ptychoflow.data.readers import read_dataset
    from ptychoflow.training.run import TrainingRun, test_deviance

    if threads is not None:
        torch.set_num_threads(threads)
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
        _deprecated("--disable_mlflow", "--logger none")
    if test_data_file is not None:
        read_dataset(test_data_file)  # what is wrong with it shall show before the training, not after
    data = train_data_file if isinstance(train_data_file, list) else [train_data_file]
    run = TrainingRun(data, output_dir, run_dir or output_dir / "checkpoints", model, training, seed, logger, quiet)
    checkpoint = run.run()
    if test_data_file is not None:
        deviance = test_deviance(checkpoint, test_data_file, training.batch_size)
        logging.info("Poisson deviance per pixel of %s: %.4g", test_data_file, deviance)


def _deprecated(old: str, new: str) -> None:
    logging.warning("%s is deprecated: use %s", old, new)


if __name__ == "__main__":
    run_program(main, flat={"training": TrainingSettings})
