"""Reconstruct the pieces of a dataset's image with a trained network."""

from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.training import FRAMES_IN_MEMORY


def main(
    checkpoint: Path,
    data: Path,
    output: Path,
    inference: InferenceSettings,
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto",
    part: str = "1-of-1",
    also: list[Literal["hdf5", "npy", "png", "tiff", "csv", "parquet"]] | None = None,
    threads: PositiveInt | None = None,
) -> None:
    """Reconstruct a scan piece by piece into an HDF5 file: tiles of the object, or a patch for every frame.

    Parameters
    ----------
    checkpoint : Path
        model.ckpt of a training.
    data : Path
        Dataset, in any format of docs/formats.md.
    output : Path
        HDF5 file to write, named .h5: tiles of the object where the network joins frames, else patches.
    inference : InferenceSettings
        How it is reconstructed.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to run on, by Lightning's names.
    part : str
        Which part of the frames, such as 2-of-8.
    also : list of {"hdf5", "npy", "png", "tiff", "csv", "parquet"}, optional
        More files of patches and tables of frames to write beside it, which then holds patches in any case; `hdf5` asks
        for no more than that.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.reconstruction.inference import Inference
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    dataset = read_dataset(data, frames_in_memory=FRAMES_IN_MEMORY)
    trained = Inference(
        checkpoint,
        dataset,
        data,
        inference.probe,
        part=part,
        tile_frames=inference.tile_frames,
        single_shot=inference.single_shot,
        held_out=inference.held_out,
    )
    trained.write(output, inference.batch_size, accelerator, also or ())


if __name__ == "__main__":
    run_program(main, flat={"inference": InferenceSettings})
