"""A training that waits before a step for as long as a file is there, so that it can be killed in the middle."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

HELD = "held"
"""The file, in the folder of the workflow."""


class Held(Callback):
    """Holds a training before a step.

    Parameters
    ----------
    step : int
        Counted from 0.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        while trainer.global_step == self.step and Path(HELD).exists():
            time.sleep(0.05)


def held_before(step: int) -> dict[str, Any]:
    """The callback as the config of a workflow names it."""
    return {"class_path": "held_training.Held", "init_args": {"step": step}}
