"""Pack results into a Workflow Run RO-Crate."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(results: list[Path], workflow: Path, output: Path, studies: list[Path] | None = None) -> None:
    """Pack results, their runs, studies and the workflow into one RO-Crate (Workflow Run profile).

    Parameters
    ----------
    results : list of Path
        Folders results/{experiment}/seed{seed}/{dataset} of finished results.
    workflow : Path
        The Snakefile; rules, environments and config beside it are packed as well.
    output : Path
        ZIP file to write.
    studies : list of Path, optional
        Tables and figures results/studies/{study}/{name}.
    """
    from ptychoflow.provenance.crate import write_crate

    write_crate(output, results, workflow, studies=studies or ())


if __name__ == "__main__":
    run_program(main)
