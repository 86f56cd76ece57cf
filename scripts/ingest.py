"""Bring a scan of another format into the canonical CXI file."""

from pathlib import Path

from ptychoflow.command_line import run_program
from ptychoflow.data.readers import IngestSettings


def main(input: Path, output: Path, settings: IngestSettings, sha256: str | None = None) -> None:
    """Read a scan of any known format, check it, and write it as CXI.

    Parameters
    ----------
    input : Path
        CXI of PtychoFlow, or NPZ of PtychoPINN or tike, which may be packed by bzip2.
    output : Path
        CXI file to write.
    settings : IngestSettings
        What the file does not say about itself.
    sha256 : str, optional
        Digest that the input must have.
    """
    from ptychoflow.data.cxi import write_cxi
    from ptychoflow.data.readers import read_dataset
    from ptychoflow.errors import InputError
    from ptychoflow.files import sha256_of

    if sha256 is not None and (found := sha256_of(input)) != sha256:
        raise InputError(f"{input} has sha256 {found}: expected {sha256}")
    write_cxi(output, read_dataset(input, settings))


if __name__ == "__main__":
    run_program(main, flat={"settings": IngestSettings})
