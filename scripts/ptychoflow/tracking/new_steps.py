"""No metric has a step twice, however often its run was interrupted."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only


class OnlyNewSteps:
    """Mixed into a Lightning logger, drops each value whose step that metric already has.

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
