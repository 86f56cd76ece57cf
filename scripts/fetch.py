"""Download a file and check its digest."""

import shutil
import urllib.request
from pathlib import Path

from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.running.command_line import run_program


def main(url: str, sha256: str, output: Path) -> None:
    """Download a public file; it appears only whole and with the right digest.

    Parameters
    ----------
    url : str
        Public https address.
    sha256 : str
        Digest that the file must have.
    output : Path
        File to write.
    """
    if not url.startswith("https://"):
        raise InputError(f"url is {url}: expected an https address")
    with replacing(output) as temporary:
        try:
            with urllib.request.urlopen(url, timeout=60) as response, open(temporary, "wb") as stream:
                shutil.copyfileobj(response, stream)
        except OSError as error:
            raise InputError(f"{url} cannot be fetched: {error}") from None
        if (found := sha256_of(temporary)) != sha256:
            raise InputError(f"{url} has sha256 {found}: expected {sha256}")


if __name__ == "__main__":
    run_program(main)
