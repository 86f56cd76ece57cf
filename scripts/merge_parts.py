"""Merge the parts of a scan into one image."""

from pathlib import Path

from jsonargparse.typing import NonNegativeInt

from ptychoflow.running.command_line import run_program


def main(
    sums: list[Path],
    output: Path,
    phase_iterations: NonNegativeInt = 0,
    amplitude: Path | None = None,
    phase: Path | None = None,
    provenance: Path | None = None,
) -> None:
    """Merge the sums of all parts of a scan into one reconstruction, the same as if it had been stitched as a whole.

    Parameters
    ----------
    sums : list of Path
        HDF5 files written by stitch_part.py in one round.
    output : Path
        HDF5 reconstruction to write.
    phase_iterations : int
        Which round that is: how often the phases of the patches were brought into agreement.
    amplitude, phase : Path, optional
        PNG files to write.
    provenance : Path, optional
        JSON file to write about what made the reconstruction.
    """
    from ptychoflow.reconstruction.parts import merge_parts
    from ptychoflow.reconstruction.pictures import keep_reconstruction

    keep_reconstruction(merge_parts(sums, phase_iterations), output, amplitude, phase, provenance)


if __name__ == "__main__":
    run_program(main)
