"""From a checkpoint to an image in one process."""

import logging
from pathlib import Path
from typing import Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ptychoflow.command_line import run_program
from ptychoflow.errors import InputError
from ptychoflow.settings import FRAMES_IN_MEMORY, InferenceSettings


def main(
    model_path: Path,
    test_data: Path,
    output_dir: Path,
    inference: InferenceSettings,
    n_groups: int | None = None,
    n_images: int | None = None,
    phase_iterations: NonNegativeInt | None = None,
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto",
    device: Literal["cpu", "cuda"] | None = None,
    threads: PositiveInt | None = None,
) -> None:
    """Reconstruct a dataset: patches, stitched image, reconstructed_amplitude.png and reconstructed_phase.png.

    Parameters
    ----------
    model_path : Path
        A checkpoint, or the output folder of train.py: there model.ckpt, and then checkpoints/last.ckpt, is looked for.
    test_data : Path
        Dataset, in any format of docs/formats.md.
    output_dir : Path
        Folder for reconstruction.h5, the two pictures and provenance.json.
    inference : InferenceSettings
        How it is reconstructed.
    n_groups : int, optional
        Frames to reconstruct, the first ones; all if not given.
    n_images : int, optional
        Older name of --n_groups.
    phase_iterations : int, optional
        How often the global phases of the patches are brought into agreement; by default once for patches that were
        reconstructed together, and 5 times for others.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to run on, by Lightning's names.
    device : {"cpu", "cuda"}, optional
        Older name of --accelerator.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.data.readers import read_dataset
    from ptychoflow.hardware import use_threads
    from ptychoflow.inference import Inference
    from ptychoflow.pictures import keep_reconstruction

    use_threads(threads)
    if n_images is not None:
        logging.warning("--n_images is deprecated: use --n_groups")
        n_groups = n_images
    if device is not None:
        logging.warning("--device is deprecated: use --accelerator")
        accelerator = device
    trained = Inference(
        find_checkpoint(model_path),
        read_dataset(test_data, frames_in_memory=FRAMES_IN_MEMORY),
        test_data,
        inference.probe,
        n_groups,
        tile_frames=inference.tile_frames,
        single_shot=inference.single_shot,
    )
    keep_reconstruction(
        trained.reconstruct(inference.batch_size, phase_iterations, accelerator),
        output_dir / "reconstruction.h5",
        output_dir / "reconstructed_amplitude.png",
        output_dir / "reconstructed_phase.png",
        output_dir / "provenance.json",
    )


def find_checkpoint(path: Path) -> Path:
    """Give a checkpoint file itself, or the best one of a training's output folder."""
    candidates = [path / "model.ckpt", path / "checkpoints" / "last.ckpt"] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"{path} has no checkpoint: expected {' or '.join(str(candidate) for candidate in candidates)}")


if __name__ == "__main__":
    run_program(main, flat={"inference": InferenceSettings})
