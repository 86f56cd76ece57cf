"""Draw where reconstructions of several seeds differ."""

from pathlib import Path

from ptychoflow.command_line import run_program


def main(ensemble: Path, png: Path, svg: Path) -> None:
    """Draw the standard deviation over seeds at each pixel, and how it compares with the error.

    Parameters
    ----------
    ensemble : Path
        HDF5 file written by combine_seeds.py.
    png : Path
        Figure to write.
    svg : Path
        The same figure to write.
    """
    from ptychoflow.ensemble import read_ensemble
    from ptychoflow.figures import save_figure, uncertainty_figure

    combined = read_ensemble(ensemble)
    save_figure(uncertainty_figure(combined), combined.provenance, png, svg)


if __name__ == "__main__":
    run_program(main)
