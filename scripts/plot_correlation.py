"""Draw Fourier ring correlations with their thresholds."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(correlation: Path, title: str, png: Path, svg: Path, provenance: Path | None = None) -> None:
    """Draw Fourier ring correlations with their thresholds.

    Parameters
    ----------
    correlation : Path
        CSV file written by evaluate.py.
    title : str
        Title of the figure.
    png, svg : Path
        Pictures to write.
    provenance : Path, optional
        provenance.json of the reconstruction, to go into them.
    """
    from ptychoflow.figures.result import correlation_figure, save_figure
    from ptychoflow.metrics.resolution import read_correlations
    from ptychoflow.provenance.embedded import read_provenance

    figure = correlation_figure(read_correlations(correlation), title)
    save_figure(figure, read_provenance(provenance) if provenance else {}, png, svg)


if __name__ == "__main__":
    run_program(main)
