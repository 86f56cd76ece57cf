"""Reading a foreign HDF5 file once in a process of its own, before this one trusts it.

On damaged files the HDF5 library itself may crash, or never come back: neither can be caught where it happens.
"""

import faulthandler
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from ptychoflow.dataset.cxi import is_own
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.survey import Survey
from ptychoflow.ingest.frame_choice import paired
from ptychoflow.ingest.ingestion import look_at
from ptychoflow.settings.ingest import IngestSettings

SILENCE = 120.0
"""Seconds after which a process that has read no further block hangs."""
# A fork takes milliseconds; elsewhere than on Linux it is not safe beside the libraries of the system.
CONTEXT = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def is_ours(path: Path, settings: IngestSettings) -> bool:
    """Whether a file is CXI of PtychoFlow, and may be by the settings."""
    return settings.format in ("auto", "cxi") and is_own(path)


def rehearse(path: Path, settings: IngestSettings) -> Survey | None:
    """Read all of a foreign file in another process, block by block; a file of our own is opened there, no more.

    What is seen of the frames comes back, so that they need not be gone through once more for it; nothing does of a
    file of our own, or where reading ends in an error that is not the file's.

    Parameters
    ----------
    path : Path
        The file.
    settings : IngestSettings
        How it is read.

    Raises
    ------
    InputError
        Where reading it ends so there, or crashes, or hangs.
    """
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_read_all, args=(path, settings, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return _follow(path, ours, process)
    finally:
        process.kill()
        process.join()
        ours.close()


def _follow(path: Path, connection: Connection, process: BaseProcess) -> Survey | None:
    answer = b""
    while not answer.startswith(b"done"):
        if not connection.poll(SILENCE):
            raise InputError(f"{path} hangs the HDF5 library for {SILENCE:g} s: expected a whole file")
        try:
            answer = connection.recv_bytes()
        except EOFError:
            process.join()
            if process.exitcode < 0:
                raise InputError(f"{path} crashes the HDF5 library: expected a whole file") from None
            # An error of Python's shows itself where it can be seen, when the file is read here.
            return None
        if answer.startswith(b"refused"):
            raise InputError(answer.removeprefix(b"refused ").decode())
    content = answer.removeprefix(b"done")
    return Survey.unpacked(content) if content else None


def _read_all(path: Path, settings: IngestSettings, connection: Connection) -> None:
    faulthandler.disable()
    # Filters print what they think of damaged frames.
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    answer = b"done"
    try:
        if not is_ours(path, settings):
            # Here, for only foreign files need hdf5plugin.
            from ptychoflow.ingest.formats.hdf5 import read_hdf5

            scan = paired(read_hdf5(path, settings), settings.frames, str(path))
            answer += look_at(scan, settings, lambda: connection.send_bytes(b"block")).packed()
        connection.send_bytes(answer)
    except (InputError, ImportError) as error:
        connection.send_bytes(b"refused " + str(error).encode(errors="replace"))
