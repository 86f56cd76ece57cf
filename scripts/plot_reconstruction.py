"""Draw amplitude and phase of a reconstruction beside truth and error, and say what is doubtful about it."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(reconstruction: Path, data: Path, png: Path, svg: Path, unwrap: bool = False) -> None:
    """Draw amplitude and phase of a reconstruction beside truth and error, and say what is doubtful about it.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    data : Path
        The dataset it was made from.
    png, svg : Path
        Pictures to write.
    unwrap : bool
        Whether phases are drawn without jumps of a turn, the points marked round which no such phase can be.
    """
    from ptychoflow.figures.result import reconstruction_figure, save_figure
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.reconstruction.file import read_reconstruction
    from ptychoflow.reconstruction.pictures import say_doubts
    from ptychoflow.reconstruction.scoring import known_doubts

    drawn, dataset = read_reconstruction(reconstruction), read_dataset(data, frames_in_memory=0)
    figure = reconstruction_figure(drawn, dataset, unwrap)
    say_doubts(figure, known_doubts(drawn, dataset))
    save_figure(figure, drawn.provenance, png, svg)


if __name__ == "__main__":
    run_program(main)
