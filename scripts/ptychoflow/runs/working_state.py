"""What a training leaves in its run folder, and what the next one there makes of it."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.tracking.delivery import RUN_FILE
from ptychoflow.tracking.events import EVENTS_FOLDER
from ptychoflow.tracking.journal import set_aside
from ptychoflow.tracking.loggers import CSV_FOLDER
from ptychoflow.training.checkpoint import drift

LAST, BEST = "last.ckpt", "best.ckpt"
FINISHED = "finished.json"
log = logging.getLogger(__name__)


@dataclass
class Beginning:
    """Where a training begins.

    Parameters
    ----------
    checkpoint : Path, optional
        To go on from; none for a training from its first epoch.
    finished : dict, optional
        Record of this very training, which is finished: nothing is left to train.
    earlier : dict, optional
        ``max_epochs`` of a finished training of otherwise the same settings that this one goes on from, and the times
        at which it ``started`` and ``finished``.
    """

    checkpoint: Path | None = None
    finished: dict[str, Any] | None = None
    earlier: dict[str, Any] | None = None


def beginning(folder: Path, fingerprint: Callable[[int], str], now: dict[str, Any]) -> Beginning:
    """Look where a training begins, and say so.

    Parameters
    ----------
    folder : Path
        Run folder.
    fingerprint : callable
        Gives the training's fingerprint, were it of this many epochs.
    now : dict
        The ``ptychoflow`` entry that its checkpoints will have.
    """
    last, max_epochs = folder / LAST, now["training"]["max_epochs"]
    if not last.exists():
        return Beginning()
    try:
        checkpoint = load_checkpoint(last)
        description = checkpoint["ptychoflow"]
        known, had = description["fingerprint"], description["training"]["max_epochs"]
    except (InputError, KeyError):
        known, had, description = None, 0, None
    record = read_record(folder)
    if known == fingerprint(max_epochs):
        if record is None:
            log.info("going on from %s", last)
            return Beginning(last, earlier=description["provenance"].get("went_on_from"))
        log.info("%s is of this very training, finished: published again; to train anew, remove %s", last, folder)
        return Beginning(last, finished=record)
    if had < max_epochs and known == fingerprint(had) and (record is not None or checkpoint["epoch"] + 1 >= had):
        log.info(
            "going on from %s, of a training that ended after %d epochs, to epoch %d: from there the learning rate is "
            "what the %s schedule of %d epochs says",
            *(last, checkpoint["epoch"] + 1, max_epochs, description["training"]["schedule"], max_epochs),
        )
        times = {key: (record or {}).get("provenance", {}).get(key) for key in ("started", "finished")}
        return Beginning(last, earlier={"max_epochs": had, **times})
    log.warning(
        "starting afresh: %s was begun with %s; more epochs alone would have gone on from it",
        last,
        ", ".join(drift(description, now)) if description else "what cannot be read",
    )
    return Beginning()


def clear(folder: Path) -> None:
    """Clear away the state of another run."""
    set_aside(folder, RUN_FILE, "config.yaml", "images")
    for name in (LAST, BEST, FINISHED, RUN_FILE):
        (folder / name).unlink(missing_ok=True)
    for name in (CSV_FOLDER, EVENTS_FOLDER, "images", "predictions"):
        shutil.rmtree(folder / name, ignore_errors=True)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Give what `write_record` kept; None where the training there is not finished."""
    try:
        return json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_record(folder: Path, provenance: dict[str, Any], tested_on: str | None) -> None:
    """Keep of a finished training what made it, and the SHA-256 of the dataset that it was tested on."""
    with replacing(folder / FINISHED) as temporary:
        temporary.write_text(json.dumps({"provenance": provenance, "tested_on": tested_on}), encoding="utf-8")
