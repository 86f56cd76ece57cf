"""Combine the reconstructions of several seeds."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(reconstructions: list[Path], data: Path, output: Path) -> None:
    """Combine the reconstructions of several seeds: their mean, and at each pixel how far they differ.

    Parameters
    ----------
    reconstructions : list of Path
        HDF5 files written by stitch.py, reconstruct.py or solve.py, of one dataset.
    data : Path
        The dataset they were made from.
    output : Path
        HDF5 file to write: the mean object, standard deviations of amplitude and phase, and, where the truth is known,
        how these compare with the error.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.reconstruction.ensemble import combine, write_ensemble
    from ptychoflow.reconstruction.file import read_reconstruction

    write_ensemble(
        output, combine([read_reconstruction(path) for path in reconstructions], read_dataset(data, frames_in_memory=0))
    )


if __name__ == "__main__":
    run_program(main)
