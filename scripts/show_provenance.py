"""Print what made a result, from the file alone."""

from pathlib import Path
from typing import Literal

from ptychoflow.running.command_line import run_program


def main(file: Path, draw: Literal["text", "mermaid"] | None = None) -> None:
    """Print what made a result, from the file alone: run, data, checkpoint, settings, code, packages and times.

    Parameters
    ----------
    file : Path
        A figure (PNG or SVG), reconstruction.h5, a CXI dataset, model.ckpt, or a provenance.json.
    draw : {"text", "mermaid"}, optional
        Draw the chain from raw data to the file instead: every job, where the workflow's records are found above the
        file, else what the file itself knows.
    """
    if draw is not None:
        from ptychoflow.provenance.jobs import as_mermaid, as_text, known_chain

        print((as_text if draw == "text" else as_mermaid)(*known_chain(file)), end="")
        return
    import yaml

    from ptychoflow.provenance.embedded import read_provenance

    print(yaml.safe_dump(read_provenance(file), sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    run_program(main, positional=True)
