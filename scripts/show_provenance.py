"""Print what made a result, from the file alone."""

from pathlib import Path

from ptychoflow.command_line import run_program


def main(file: Path) -> None:
    """Print what made a result, from the file alone: run, data, checkpoint, settings, code, packages and times.

    Parameters
    ----------
    file : Path
        A figure (PNG or SVG), reconstruction.h5, a CXI dataset, model.ckpt, or a provenance.json.
    """
    import yaml

    from ptychoflow.embedded_provenance import read_provenance

    print(yaml.safe_dump(read_provenance(file), sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    run_program(main, positional=True)
