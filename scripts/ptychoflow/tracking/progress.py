"""Signs of life of a training where no progress bar can be drawn: in a log file."""

import logging
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)

SECONDS = 5.0
"""Least time between two lines."""
SHARE = 1 / 50
"""Least time between two lines, as a share of the time gone: a training of a week leaves some 450 lines in its log."""


class ProgressLines(Callback):
    """Says every few seconds, and ever more seldom, how far a training is: step, loss and the time left.

    The first line follows the first step.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.monotonic()
        self.due = self.started
        self.measured: tuple[int, float] | None = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *arguments: Any) -> None:
        now, step = time.monotonic(), trainer.global_step
        if self.measured is None:
            self.measured = step, now  # the first step allocates and compiles: it tells nothing of the others
        if not trainer.is_global_zero or now < self.due:
            return
        self.due = now + max(SECONDS, SHARE * (now - self.started))
        total, (first, since) = int(trainer.estimated_stepping_batches), self.measured
        left = f", {duration((now - since) / (step - first) * (total - step))} left" if step > first else ""
        # Only here: a loss that is read stops a GPU's queue.
        log.info("step %d of %d: loss %.4g%s", step, total, float(outputs["loss"]), left)


def duration(seconds: float) -> str:
    """A time to read: in seconds below two minutes, then in minutes, then in hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
