"""Draw amplitude and phase of a reconstruction beside truth and error."""

from pathlib import Path

from ptychoflow.command_line import run_program


def main(reconstruction: Path, data: Path, png: Path, svg: Path) -> None:
    """Draw amplitude and phase of a reconstruction beside truth and error.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    data : Path
        The dataset it was made from.
    png, svg : Path
        Pictures to write.
    """
    from ptychoflow.data.readers import read_dataset
    from ptychoflow.figures import reconstruction_figure, save_figure
    from ptychoflow.reconstruction import read_reconstruction

    drawn = read_reconstruction(reconstruction)
    save_figure(reconstruction_figure(drawn, read_dataset(data, frames_in_memory=0)), drawn.provenance, png, svg)


if __name__ == "__main__":
    run_program(main)
