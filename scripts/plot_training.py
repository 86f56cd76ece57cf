"""Draw the training curves of a run."""

from pathlib import Path

from ptychoflow.command_line import run_program


def main(metrics: Path, png: Path, svg: Path) -> None:
    """Draw the training curves of a run.

    Parameters
    ----------
    metrics : Path
        metrics.csv of a training.
    png, svg : Path
        Pictures to write.
    """
    from ptychoflow.figures import save_figure, training_figure

    save_figure(training_figure(metrics), png, svg)


if __name__ == "__main__":
    run_program(main)
