"""Put the results of a study into tables."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(study: Path, results: Path, table: Path, markdown: Path, latex: Path) -> None:
    """Put the results of a study into tables: every result, and means over seeds with what they mean in words.

    Parameters
    ----------
    study : Path
        YAML file in which the workflow says what belongs to the study.
    results : Path
        CSV file with a row for each result to write.
    table : Path
        CSV file of means and standard deviations to write.
    markdown : Path
        The same as Markdown, with findings in words, to write.
    latex : Path
        The same for LaTeX to write.
    """
    from ptychoflow.files import replacing
    from ptychoflow.studies import tables
    from ptychoflow.studies.comparison import write_table

    described = tables.read_study(study)
    rows = tables.result_rows(described)
    summary = tables.summary_rows(described, rows)
    findings = tables.findings(described, rows)
    write_table(results, rows)
    write_table(table, summary)
    for path, text in (
        (markdown, tables.markdown(described, summary, findings)),
        (latex, tables.latex(described, summary)),
    ):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
