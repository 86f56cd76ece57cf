"""Put all results into one table."""

from pathlib import Path

from ptychoflow.command_line import run_program


def main(results: list[Path], output: Path) -> None:
    """Put all results into one table: settings, scores, times and run ids, a row for each.

    Parameters
    ----------
    results : list of Path
        Folders with the provenance.json and metrics.json of a reconstruction.
    output : Path
        CSV file to write.
    """
    from ptychoflow.tracking.comparison import write_comparison

    write_comparison(output, results)


if __name__ == "__main__":
    run_program(main)
