"""Make a page on which a reconstruction is looked at."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(
    reconstruction: Path, data: Path, scores: Path, correlation: Path, output: Path, title: str | None = None
) -> None:
    """Make a page on which a reconstruction is looked at: pictures, frames and curves, in one file.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    data : Path
        The dataset it was made from.
    scores, correlation : Path
        JSON and CSV file written by evaluate.py.
    output : Path
        HTML file to write.
    title : str, optional
        Heading of the page; the name of the dataset if not given.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.metrics.resolution import read_correlations
    from ptychoflow.reconstruction.file import read_reconstruction
    from ptychoflow.reconstruction.scoring import read_scores
    from ptychoflow.view.page import write_view

    shown, dataset = read_reconstruction(reconstruction), read_dataset(data, frames_in_memory=0)
    write_view(output, shown, dataset, read_scores(scores), read_correlations(correlation), title or data.stem)


if __name__ == "__main__":
    run_program(main)
