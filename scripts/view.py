"""Make a page on which a reconstruction is looked at."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(
    reconstruction: Path,
    data: Path,
    output: Path,
    scores: Path | None = None,
    correlation: Path | None = None,
    title: str | None = None,
) -> None:
    """Make a page on which a reconstruction is looked at: pictures, frames and curves, in one file.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py or reconstruct.py.
    data : Path
        The dataset it was made from, in any format of docs/formats.md.
    output : Path
        HTML file to write.
    scores, correlation : Path, optional
        JSON and CSV file written by evaluate.py; what is not given is computed.
    title : str, optional
        Heading of the page; the name of the dataset if not given.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.metrics.resolution import read_correlations
    from ptychoflow.reconstruction.file import read_reconstruction
    from ptychoflow.reconstruction.scoring import read_scores, score
    from ptychoflow.view.page import write_view

    shown, dataset = read_reconstruction(reconstruction), read_dataset(data, frames_in_memory=0)
    told, rings = ({}, {}) if scores and correlation else score(shown, dataset)
    told = read_scores(scores) if scores else told
    rings = read_correlations(correlation) if correlation else rings
    write_view(output, shown, dataset, told, rings, title or data.stem)


if __name__ == "__main__":
    run_program(main)
