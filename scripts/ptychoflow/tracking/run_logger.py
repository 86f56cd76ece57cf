"""What a logger of the house can be told of a run, beside metrics and settings; no metric has a step twice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.settings.tracking import TrackingSettings


class RunLogger:
    """Mixed into a Lightning logger, drops each value whose step that metric already has, and hears what else there is.

    What a logger has no use for does nothing. All that begins with ``log_`` is guarded: once a training has begun, it
    cannot end it.

    A run that goes on from its last whole epoch redoes the steps which the killed attempt had logged after it. On a
    CPU they give the same values again; on any device the values first logged stay.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last_steps: dict[str, int] = {}

    def new_ones(self, metrics: Mapping[str, float], step: int | None) -> Mapping[str, float]:
        """Give the metrics that are new at this step, which from now on they are no more."""
        if step is not None:
            metrics = {key: value for key, value in metrics.items() if step > self.last_steps.get(key, -1)}
            self.last_steps.update(dict.fromkeys(metrics, step))
        return metrics

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the metrics that are new at this step."""
        if metrics := self.new_ones(metrics, step):
            super().log_metrics(metrics, step)

    @property
    def tracked_as(self) -> dict[str, Any]:
        """Where the run is found later, for its provenance."""
        return {}

    def log_beginning(self, config: Path, datasets: Sequence[Path], provenance: dict[str, Any], resumed: bool) -> None:
        """Log what is known when a training begins, or goes on: its config file, datasets and provenance."""

    def log_pictures(self, folder: Path, pictures: dict[str, np.ndarray], step: int) -> None:
        """Log pictures, (H, W, 3) uint8 by name and as PNG files of a folder."""

    def log_published(
        self, checkpoint: Path, record: Path, provenance: dict[str, Any], tracking: TrackingSettings
    ) -> None:
        """Log a published model.ckpt and the record beside it."""

    def close(self) -> None:
        """End what runs beside the training."""


def of_the_house(loggers: Sequence[Logger]) -> list[RunLogger]:
    """Those loggers that can be told more than Lightning's interface knows."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]


def log_pictures(logger: Logger, folder: Path, pictures: dict[str, np.ndarray], step: int) -> None:
    """Give pictures to a logger, in its own way or in that of Lightning's loggers, if it takes some at all."""
    if isinstance(logger, RunLogger):
        logger.log_pictures(folder, pictures, step)
    elif hasattr(logger, "log_image"):
        for name, picture in pictures.items():
            logger.log_image(key=name, images=[picture], step=step)
