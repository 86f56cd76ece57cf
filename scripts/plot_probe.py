"""Draw amplitude and phase of the probe modes of a reconstruction."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(reconstruction: Path, png: Path, svg: Path) -> None:
    """Draw amplitude and phase of the probe modes of a reconstruction.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    png, svg : Path
        Pictures to write.
    """
    from ptychoflow.figures.result import probe_figure, save_figure
    from ptychoflow.reconstruction.file import read_reconstruction

    drawn = read_reconstruction(reconstruction)
    save_figure(probe_figure(drawn), drawn.provenance, png, svg)


if __name__ == "__main__":
    run_program(main)
