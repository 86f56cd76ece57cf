"""Put the warnings about all datasets and results on one page."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(data: list[Path], results: list[Path], output: Path) -> None:
    """Put the warnings about datasets and results on one page, each with the settings that mend it.

    Parameters
    ----------
    data : list of Path
        Records results/data/{dataset}.provenance.json.
    results : list of Path
        Folders with the provenance.json and metrics.json of a reconstruction.
    output : Path
        HTML file to write.
    """
    from ptychoflow.figures.warnings_page import warnings_of_data, warnings_of_result, write_warnings

    warnings = [warning for record in data for warning in warnings_of_data(record)]
    write_warnings(output, warnings + [warning for folder in results for warning in warnings_of_result(folder)])


if __name__ == "__main__":
    run_program(main)
