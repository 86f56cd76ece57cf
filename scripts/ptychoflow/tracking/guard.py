"""Once a training has begun, no logger can end it."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from lightning.pytorch.loggers import Logger

from ptychoflow.errors import InputError

log = logging.getLogger(__name__)

CALLED = ("save", "finalize", "after_save_checkpoint")


class Guard:
    """Lets the methods of a logger fail, once: it is left out from then on, and a warning says what is lost.

    Parameters
    ----------
    logger : Logger
        Whose methods are wrapped in place: it stays of its own class.
    name : str
        What it is called in the warning.
    begun : bool
        Whether the training has begun already, in an earlier attempt, or may begin without this logger.
    """

    def __init__(self, logger: Logger, name: str, begun: bool) -> None:
        self.name, self.begun, self.failed = name, begun, False
        for method in {name for name in dir(type(logger)) if name.startswith("log_")} | set(CALLED):
            if callable(getattr(type(logger), method, None)):
                setattr(logger, method, self._guarded(getattr(logger, method)))

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.failed:
                return None
            try:
                return method(*args, **kwargs)
            except Exception as error:
                self.failed = True
                reason = " ".join(str(error).split()) or type(error).__name__
                if not self.begun:
                    raise InputError(
                        f"logger {self.name} cannot be used ({reason:.200}): expected one that works, or "
                        "tracking.require false to begin without it"
                    ) from None
                log.warning(
                    "logger %s failed (%.200s): what comes from here on is lost to it; the training goes on",
                    self.name,
                    reason,
                )
                return None

        return guarded


def begin(guards: list[Guard]) -> None:
    """From now on the training has begun."""
    for guard in guards:
        guard.begun = True
