"""Reconstruct a dataset by an iterative solver."""

from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.solver import SolverSettings


def main(
    data: Path,
    output: Path,
    amplitude: Path,
    phase: Path,
    solver: SolverSettings,
    provenance: Path | None = None,
    start: Path | None = None,
    start_scores: Path | None = None,
    seed: NonNegativeInt = 0,
    threads: PositiveInt | None = None,
) -> None:
    """Reconstruct a dataset by pty-chi: object, probe and positions that explain its photons, found by iteration.

    Parameters
    ----------
    data : Path
        Dataset, in any format of docs/formats.md.
    output : Path
        HDF5 reconstruction to write.
    amplitude : Path
        PNG of the amplitude to write.
    phase : Path
        PNG of the phase to write.
    solver : SolverSettings
        Algorithm and its settings.
    provenance : Path, optional
        JSON file to write about what made the reconstruction.
    start : Path, optional
        Reconstruction to start from, such as a network's; an empty object and the dataset's probe if not given.
    start_scores : Path, optional
        What evaluate.py wrote about that reconstruction; one that has collapsed is refused.
    seed : int
        Fixes the order of the frames and those that are held out.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.iterative.solver import solve
    from ptychoflow.reconstruction.pictures import keep_reconstruction
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    reconstruction = solve(solver, read_dataset(data), data, seed, start, start_scores)
    keep_reconstruction(reconstruction, output, amplitude, phase, provenance)


if __name__ == "__main__":
    run_program(main, flat={"solver": SolverSettings})
