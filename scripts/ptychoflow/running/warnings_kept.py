"""Warnings that are kept in a record besides being logged, so that none is lost in a log file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OWN = "ptychoflow"
"""Above all loggers of the library; what others warn of says nothing of the data."""


class _Kept(logging.Handler):
    def __init__(self, sentences: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.sentences = sentences

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] == OWN and record.getMessage() not in self.sentences:
            self.sentences.append(record.getMessage())
        if logging.getLogger().handlers == [self] and logging.lastResort is not None:
            # Where nobody has set up logging, this handler must not keep its last resort from speaking.
            logging.lastResort.handle(record)


@contextmanager
def warnings_kept() -> Iterator[list[str]]:
    """Give a list to which each warning of the library is added while the block runs, once, in their order."""
    sentences: list[str] = []
    handler = _Kept(sentences)
    logging.getLogger().addHandler(handler)
    try:
        yield sentences
    finally:
        logging.getLogger().removeHandler(handler)


def hush_lightning() -> None:
    """Silence Lightning's hints and the warnings of its own dependencies, which tell our users nothing."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


@contextmanager
def lightning_hushed() -> Iterator[None]:
    """Do so while a block runs, in a process that is somebody else's."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    with warnings.catch_warnings():
        hush_lightning()
        try:
            yield
        finally:
            logger.setLevel(level)
