"""Stitch one part of a scan."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program


def main(patches: Path, output: Path, previous: Path | None = None, threads: PositiveInt | None = None) -> None:
    """Add up the patches of one part of a scan, to be merged with those of the others.

    Parameters
    ----------
    patches : Path
        HDF5 file written by infer.py for the part.
    output : Path
        HDF5 file of sums to write.
    previous : Path, optional
        Reconstruction of the round before, whose phase the patches take.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.reconstruction.parts import stitch_part
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    stitch_part(patches, output, previous)


if __name__ == "__main__":
    run_program(main)
