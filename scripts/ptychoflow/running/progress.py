"""How far a loop is: told in lines of its log, ever more seldom, so that whoever follows the log can show it."""

import logging
import re
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

SECONDS = 5.0
"""Least time between two lines."""
SHARE = 1 / 50
"""Least time between two lines, as a share of the time gone: a training of a week leaves some 450 lines in its log."""
PROGRESS_LINE = re.compile(r"\d+ of \d+.*, \d+ %")
"""What every line that tells progress holds, and no other."""


class ProgressLog:
    """Says every few seconds, and ever more seldom, how far a loop is: rounds, share and the time left.

    The first line follows the first round.

    Parameters
    ----------
    unit : str
        What is counted, such as ``epoch``.
    total : int
        How many there will be.
    """

    def __init__(self, unit: str, total: int) -> None:
        self.unit, self.total = unit, total
        self.started = self.due = time.monotonic()
        self.measured: tuple[int, float] | None = None

    def tell(self, done: int, detail: Callable[[], str] | None = None) -> None:
        """Write a line, where one is due.

        Parameters
        ----------
        done : int
            Rounds that are done.
        detail : callable, optional
            Gives what else is to be said; called only where a line is written.
        """
        now = time.monotonic()
        if self.measured is None:
            self.measured = done, now  # the first round allocates and compiles: it tells nothing of the others
        if now < self.due and done < self.total:
            return
        self.due = now + max(SECONDS, SHARE * (now - self.started))
        first, since = self.measured
        left = (now - since) / (done - first) * (self.total - done) if done > first else None
        log.info("%s", progress_line(self.unit, done, self.total, left, detail() if detail else ""))


def progress_line(unit: str, done: int, total: int, left: float | None, detail: str = "") -> str:
    """A line of a log that tells progress.

    Parameters
    ----------
    unit : str
        What is counted.
    done, total : int
        Rounds.
    left : float, optional
        Seconds to the end, where they can be told.
    detail : str
        What else is to be said.
    """
    time_left = "" if left is None or done >= total else f", {duration(left)} left"
    return f"{unit} {done} of {total}, {100 * done // max(total, 1)} %{time_left}" + (f": {detail}" if detail else "")


def duration(seconds: float) -> str:
    """A time to read: in seconds below two minutes, then in minutes, then in hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
