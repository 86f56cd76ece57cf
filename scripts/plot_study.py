"""Draw the results of a study."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(study: Path, results: Path, png: Path, svg: Path) -> None:
    """Draw the scores of a study with error bars over seeds.

    Parameters
    ----------
    study : Path
        YAML file in which the workflow says what belongs to the study.
    results : Path
        CSV file written by tabulate_study.py, a row for each result.
    png : Path
        Figure to write.
    svg : Path
        The same figure to write.
    """
    from ptychoflow.figures.result import save_figure
    from ptychoflow.studies.figures import study_figure
    from ptychoflow.studies.tables import read_rows, read_study, summary_rows

    described, rows = read_study(study), read_rows(results)
    figure = study_figure(described, rows, summary_rows(described, rows))
    save_figure(figure, {"result": "study", "study": described.name, "results": described.results}, png, svg)


if __name__ == "__main__":
    run_program(main)
