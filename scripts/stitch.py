"""Stitch patches into one image."""

from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ptychoflow.running.command_line import run_program


def main(
    patches: Path,
    output: Path,
    amplitude: Path,
    phase: Path,
    provenance: Path | None = None,
    phase_iterations: NonNegativeInt = 0,
    threads: PositiveInt | None = None,
) -> None:
    """Average patches, or tiles of the object, where they overlap, weighted by the probe's intensity.

    Parameters
    ----------
    patches : Path
        HDF5 file written by infer.py.
    output : Path
        HDF5 reconstruction to write.
    amplitude : Path
        PNG of the amplitude to write.
    phase : Path
        PNG of the phase to write.
    provenance : Path, optional
        JSON file to write about what made the reconstruction.
    phase_iterations : int
        How often the global phases of the patches are brought into agreement.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.reconstruction.pictures import keep_reconstruction
    from ptychoflow.reconstruction.pieces import stitch_file
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    keep_reconstruction(stitch_file(patches, phase_iterations), output, amplitude, phase, provenance)


if __name__ == "__main__":
    run_program(main)
