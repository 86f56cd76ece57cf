"""Warnings that are kept in a record besides being logged, so that none is lost in a log file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

OWN = ("root", "ptychoflow")
"""Loggers of the library; what others warn of says nothing of the data."""


class _Kept(logging.Handler):
    def __init__(self, sentences: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.sentences = sentences

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] in OWN and record.getMessage() not in self.sentences:
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
