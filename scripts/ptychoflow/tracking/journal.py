"""What a run in MLflow shall hold, line by line in a file of the run folder: first written, then sent.

Each line is one JSON object of a ``kind``: ``begin`` (the first), ``tags``, ``params``, ``metrics``, ``status``,
``note``, ``inputs``, ``file``, ``image``, ``model`` or ``scores``. The journal stays whole as long as the run, so that
another run, in place of one that was deleted, can be given all of it. Values carry the time at which they were logged:
sent twice, they are in the store once.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ptychoflow.errors import InputError
from ptychoflow.files import replacing

JOURNAL, SENT, LOCK = "mlflow_journal.jsonl", "mlflow_sent.json", "mlflow_journal.lock"
SET_ASIDE = "unsent"
SECONDS_OF_THE_LOCK = 60
FILES = ("file", "image", "model", "scores")
"""Kinds that are sent apart, so that an artifact folder that fails holds up no value."""
LANES = ("values", "files")


@dataclass
class Sent:
    """How much of a journal a run of a store has: bytes of the journal, for values and for files."""

    uri: str = ""
    run_id: str | None = None
    values: int = 0
    files: int = 0


class Journal:
    """The journal of one run.

    Parameters
    ----------
    folder : Path
        The run folder; paths of files in the journal are relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / JOURNAL
        self._lock = FileLock(self.folder / LOCK)
        self._writing = threading.Lock()

    def open(self, begin: dict[str, Any]) -> None:
        """Begin the journal, or go on with the one that is there, behind its last whole line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=SECONDS_OF_THE_LOCK)
        except Timeout:
            raise InputError(
                f"{self.folder} is in use by another process: expected a run folder of one training"
            ) from None
        if self.path.exists():
            with open(self.path, "r+b") as stream:
                stream.truncate(stream.read().rfind(b"\n") + 1)  # a line that was being written when the node died
        self.stream = open(self.path, "a", encoding="utf-8")  # noqa: SIM115, closed by close
        if not self.path.stat().st_size:
            self.append({"kind": "begin", "key": uuid.uuid4().hex, **begin})

    def try_lock(self) -> bool:
        """Whether nobody else writes it: no training that is alive."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def close(self) -> None:
        if stream := getattr(self, "stream", None):
            stream.close()
        self._lock.release()

    def append(self, entry: dict[str, Any]) -> None:
        """Write one line, whole for any process that reads it from now on."""
        with self._writing:
            self.stream.write(json.dumps(entry) + "\n")
            self.stream.flush()

    def stamped(self, entry: dict[str, Any]) -> None:
        """Write one line with the time, in milliseconds."""
        self.append({**entry, "time": time.time_ns() // 1_000_000})

    def relative(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)

    def entries(self, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """Whole lines behind an offset in bytes, each with the offset behind it."""
        with open(self.path, "rb") as stream:
            stream.seek(offset)
            while (line := stream.readline()).endswith(b"\n"):
                offset += len(line)
                yield json.loads(line), offset

    def lane(self, name: str, offset: int, most: int | None = None) -> tuple[list[dict[str, Any]], int]:
        """Give up to so many entries that are sent as ``values`` or as ``files``, and the offset behind them."""
        found, end = [], offset
        for entry, behind in self.entries(offset):
            end = behind
            if entry["kind"] != "begin" and (entry["kind"] in FILES) == (name == "files"):
                found.append(entry)
                if len(found) == most:
                    break
        return found, end

    def begin(self) -> dict[str, Any]:
        return next(self.entries())[0]

    def waiting(self) -> int:
        """Number of lines that have not been sent."""
        sent = self.sent()
        return sum(len(self.lane(name, getattr(sent, name))[0]) for name in LANES)

    def last_steps(self) -> dict[str, int]:
        """Last step of each metric, and of each picture."""
        steps: dict[str, int] = {}
        for entry, _ in self.entries():
            if entry["kind"] == "metrics":
                steps |= dict.fromkeys(entry["values"], entry["step"])
            elif entry["kind"] == "image":
                steps[entry["key"]] = entry["step"]
        return steps

    def last_values(self) -> dict[str, tuple[float, int, int]]:
        """Last value of each metric, with its step and its time in milliseconds."""
        values: dict[str, tuple[float, int, int]] = {}
        for entry, _ in self.entries():
            if entry["kind"] == "metrics":
                values |= {key: (value, entry["step"], entry["time"]) for key, value in entry["values"].items()}
        return values

    def sent(self) -> Sent:
        try:
            return Sent(**json.loads((self.folder / SENT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Sent()

    def keep_sent(self, sent: Sent) -> None:
        with replacing(self.folder / SENT) as temporary:
            temporary.write_text(json.dumps(asdict(sent)), encoding="utf-8")


def set_aside(folder: Path, *others: str) -> None:
    """Clear a run folder of its journal; one that waits to be sent goes into a folder of its own, with its files.

    Parameters
    ----------
    folder : Path
        The run folder.
    *others : str
        Files and folders that go with the journal.
    """
    journal = Journal(folder)
    if journal.path.exists() and journal.waiting():
        place = folder / f"{SET_ASIDE}_{journal.begin()['key'][:8]}"
        place.mkdir(exist_ok=True)
        for name in (JOURNAL, SENT, *others):
            if (folder / name).exists():
                (folder / name).rename(place / name)
    for name in (JOURNAL, SENT):
        (folder / name).unlink(missing_ok=True)


def journals_below(folder: Path) -> list[Journal]:
    """Journals of all runs below a folder that wait to be sent and are not being written."""
    found = [Journal(path.parent) for path in sorted(folder.rglob(JOURNAL)) if path.stat().st_size]
    return [journal for journal in found if journal.waiting()]
