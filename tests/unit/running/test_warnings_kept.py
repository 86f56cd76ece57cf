"""Warnings of the library are kept in their order, each once, and are logged as before."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from ptychoflow.running.warnings_kept import warnings_kept


def test_own_warnings_are_kept_once_and_others_are_not(caplog: pytest.LogCaptureFixture):
    with warnings_kept() as sentences:
        for name in ("ptychoflow.ingest.readers", "root", "h5py", "ptychoflow.ingest.readers"):
            logging.getLogger(name).warning("from %s", name)
        logging.getLogger("ptychoflow").info("no warning")
    logging.getLogger("ptychoflow").warning("later")
    assert sentences == ["from ptychoflow.ingest.readers"]
    assert len(caplog.messages) >= 5


def test_warnings_are_seen_where_nobody_set_up_logging():
    program = (
        "import logging; from ptychoflow.running.warnings_kept import warnings_kept\n"
        "with warnings_kept():\n    logging.getLogger('ptychoflow.any').warning('seen')"
    )
    scripts = str(Path(__file__).parents[3] / "scripts")
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": scripts}, capture_output=True, text=True
    )
    assert result.stderr.split() == ["seen"]
