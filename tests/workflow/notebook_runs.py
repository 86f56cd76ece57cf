"""Run the notebooks of docs/, for the tests; by itself, run by `make notebooks`, it renews what they show."""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """A notebook with what it gives now, run in a folder for what it writes, with the library of the checkout."""
    notebook = nbformat.read(path, as_version=4)
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {"PYTHONPATH": str(ROOT / "scripts"), "IPYTHONDIR": str(folder / "ipython")}
    # A port that was free when it was chosen may be another program's when the kernel comes to it; a socket, whose name
    # must be short, is its own.
    with tempfile.TemporaryDirectory(prefix="kernel") as sockets:
        client = NotebookClient(
            notebook,
            timeout=900,
            startup_timeout=300,
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/socket"}),
        )
        client.execute(env=environment)
    return notebook


if __name__ == "__main__":
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as place:
            nbformat.write(executed(path, Path(place)), path)
