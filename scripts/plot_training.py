"""Draw the training curves of a run."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(metrics: Path, png: Path, svg: Path, provenance: Path | None = None) -> None:
    """Draw the training curves of a run.

    Parameters
    ----------
    metrics : Path
        metrics.csv of a training.
    png, svg : Path
        Pictures to write.
    provenance : Path, optional
        provenance.json of the training, to go into them.
    """
    from ptychoflow.figures.result import save_figure, training_figure
    from ptychoflow.provenance.embedded import read_provenance

    save_figure(training_figure(metrics), read_provenance(provenance) if provenance else {}, png, svg)


if __name__ == "__main__":
    run_program(main)
