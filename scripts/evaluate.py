"""Score a reconstruction."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program


def main(
    reconstruction: Path,
    data: Path,
    output: Path,
    correlation: Path,
    reference: Path | None = None,
    threads: PositiveInt | None = None,
) -> None:
    """Align a reconstruction to the true object and score it; without one, score what the photons allow.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    data : Path
        The dataset it was made from.
    output : Path
        JSON file of flat scores to write; null where a score cannot be computed.
    correlation : Path
        CSV file of the Fourier ring correlations to write.
    reference : Path, optional
        Another reconstruction of the dataset to compare with, where the network saw no light in training.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.metrics.doubts import report
    from ptychoflow.metrics.resolution import write_correlations
    from ptychoflow.reconstruction.file import read_reconstruction
    from ptychoflow.reconstruction.scoring import score, write_scores
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    other = None if reference is None else read_reconstruction(reference)
    scores, rings = score(read_reconstruction(reconstruction), read_dataset(data, frames_in_memory=0), other)
    write_correlations(correlation, rings)
    write_scores(output, scores)
    report(scores)


if __name__ == "__main__":
    run_program(main)
