"""The logs of running jobs, followed from outside: how far each job is, and how one ended."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ptychoflow.running.progress import PROGRESS_LINE, SECONDS, SHARE

REFUSED = re.compile(r"^[\w.-]+: error: ")
"""Last line of a program that was given what it cannot use: no further attempt makes it right."""
FAILURE = re.compile(r"^Error in (?:rule|group) ([\w-]+):\n((?:[ \t]+.*\n)*)", re.MULTILINE)
"""What Snakemake says of a job that failed: its rule, and indented lines."""
FAILED_LOG = re.compile(r"^ +log: (.+?)(?: \(check log file.*)?$", re.MULTILINE)
READ_EVERY = 1.0
"""Seconds between two looks at all logs."""
PIECE = 1 << 16
"""Bytes of a log that are looked at, at most, at a time: its end tells how far the job is."""


@dataclass
class FollowedJob:
    """A job on its way.

    Parameters
    ----------
    name : str
        What people know it by.
    logs : list of Path
        Its logs, which may not be there yet.
    """

    name: str
    logs: list[Path]
    started: float = field(default_factory=lambda: time.monotonic())
    shown: float = field(default_factory=lambda: time.monotonic())
    before: dict[Path, tuple[int, int]] = field(init=False)
    places: dict[Path, int] = field(init=False)

    def __post_init__(self) -> None:
        # What stands in a log that goes on is of an earlier attempt.
        self.before = {log: state_of(log) for log in self.logs}
        self.places = {log: size for log, (size, _) in self.before.items()}

    def news(self) -> str | None:
        """Last line that tells progress of those that have come since it was asked."""
        line = None
        for log, place in self.places.items():
            size, _ = state_of(log)
            # A log that has become shorter was begun anew.
            begin = max(0 if size < place else place, size - PIECE)
            if size == place:
                continue
            try:
                with open(log, "rb") as stream:
                    stream.seek(begin)
                    text = stream.read(size - begin)
            except OSError:
                continue
            whole = text.rfind(b"\n") + 1
            self.places[log] = begin + whole
            told = [one for one in text[:whole].decode(errors="replace").splitlines() if PROGRESS_LINE.search(one)]
            line = told[-1].strip() if told else line
        return line


class FollowedJobs:
    """Shows how far the jobs are that run, each every few seconds and ever more seldom, in a thread of its own.

    Parameters
    ----------
    show : callable
        Takes a sentence.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self.jobs: dict[int, FollowedJob] = {}
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.thread: threading.Thread | None = None

    def begin(self, job: int, name: str, logs: list[str]) -> None:
        """Follow a job from now on; to be called before it writes."""
        with self.lock:
            self.jobs[job] = FollowedJob(name, [Path(log) for log in logs])
            if self.thread is None:
                self.thread = threading.Thread(target=self._follow, name="progress of jobs", daemon=True)
                self.thread.start()

    def end(self, job: int) -> FollowedJob | None:
        """Follow a job no longer."""
        with self.lock:
            return self.jobs.pop(job, None)

    def stop(self) -> None:
        """Follow no job any longer."""
        self.stopped.set()

    def look(self) -> None:
        """Look at all logs once, and show what is due: about a line a second at most, however many jobs run."""
        with self.lock:
            jobs = list(self.jobs.values())
        now = time.monotonic()
        for job in jobs:
            if now - job.shown >= max(SECONDS, SHARE * (now - job.started), READ_EVERY * len(jobs)):
                news = job.news()
                if news is not None:
                    job.shown = now
                    self.show(f"{job.name}: {news}")

    def _follow(self) -> None:
        while not self.stopped.wait(READ_EVERY):
            self.look()


def state_of(log: Path) -> tuple[int, int]:
    """Bytes of a file and when it was written to last, in nanoseconds; zeros where there is no such file."""
    try:
        found = log.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def last_line(log: Path) -> str:
    """Last line of a log that says something; empty where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip() if lines else ""


def was_refused(job: FollowedJob) -> bool:
    """Whether a job that failed ended with a refusal of what it was given, in this attempt."""
    return any(state_of(log) != state and REFUSED.match(last_line(log)) for log, state in job.before.items())


def failures(logs: list[str]) -> list[str]:
    """Sentences that name each rule that failed, with its log and the last line of that.

    Parameters
    ----------
    logs : list of str
        Snakemake's own logs of a run.
    """
    text = "\n".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    sentences = []
    for rule, details in FAILURE.findall(text):
        named = FAILED_LOG.search(details)
        files = [Path(file.strip()) for file in named[1].split(", ")] if named else []
        there = [file for file in files if file.exists()]
        said = next((line for file in there if (line := last_line(file))), "")
        if there:
            sentence = f"{rule} failed, see {', '.join(map(str, there))}" + (f": {said}" if said else "")
        else:
            sentence = f"{rule} failed before it wrote a log: see the messages above and {', '.join(map(str, logs))}"
        if sentence not in sentences:
            sentences.append(sentence)
    return sentences or ["Something failed: see the messages above."]
