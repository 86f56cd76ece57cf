"""Draw how far an image may be off at each pixel."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(
    png: Path,
    svg: Path,
    ensemble: Path | None = None,
    reconstruction: Path | None = None,
    data: Path | None = None,
) -> None:
    """Draw the standard deviation at each pixel, and how it compares with the error where the true object is known.

    Parameters
    ----------
    png : Path
        Figure to write.
    svg : Path
        The same figure to write.
    ensemble : Path, optional
        HDF5 file written by combine_seeds.py.
    reconstruction : Path, optional
        HDF5 file written by reconstruct.py with --blind.uncertainty, in place of an ensemble.
    data : Path, optional
        The dataset that the reconstruction was made from.
    """
    from ptychoflow.errors import InputError
    from ptychoflow.figures.result import save_figure, uncertainty_figure
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.reconstruction.ensemble import own_uncertainty, read_ensemble
    from ptychoflow.reconstruction.file import read_reconstruction
    from ptychoflow.reconstruction.pictures import say_doubts
    from ptychoflow.reconstruction.scoring import known_doubts

    if (ensemble is None) == (reconstruction is None) or (reconstruction is None) != (data is None):
        raise InputError("expected either --ensemble, or --reconstruction and --data")
    if ensemble is not None:
        combined = read_ensemble(ensemble)
        save_figure(uncertainty_figure(combined), combined.provenance, png, svg)
        return
    drawn, dataset = read_reconstruction(reconstruction), read_dataset(data, frames_in_memory=0)
    figure = uncertainty_figure(own_uncertainty(drawn, dataset))
    say_doubts(figure, known_doubts(drawn, dataset))
    save_figure(figure, drawn.provenance, png, svg)


if __name__ == "__main__":
    run_program(main)
