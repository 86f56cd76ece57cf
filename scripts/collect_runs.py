"""Put all results into one table."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(results: list[Path], output: Path, page: Path | None = None) -> None:
    """Put all results into one table: settings, scores, times and run ids, a row for each.

    Parameters
    ----------
    results : list of Path
        Folders with the provenance.json and metrics.json of a reconstruction.
    output : Path
        CSV file to write.
    page : Path, optional
        HTML file to write that shows them side by side: images, scores, and what differs in their settings.
    """
    from ptychoflow.studies.comparison import result_row, write_table

    write_table(output, [result_row(folder) for folder in results])
    if page is not None:
        from ptychoflow.figures.page import write_page

        write_page(page, results)


if __name__ == "__main__":
    run_program(main)
