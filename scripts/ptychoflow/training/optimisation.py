"""The optimiser of a training, and how fast it learns as the steps go by."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ptychoflow.settings.training import TrainingSettings


def scheduled_adam(
    network: Iterable[nn.Parameter], physical: Iterable[nn.Parameter], settings: TrainingSettings, steps: int
) -> dict[str, Any]:
    """AdamW with a warm-up and a half cosine for the network; the probe waits until the network means something.

    Parameters
    ----------
    network : iterable of Parameter
        Weights of the network that are trained.
    physical : iterable of Parameter
        Probes and flux, where they are trained, without decay.
    settings : TrainingSettings
        Rates and schedule.
    steps : int
        Of the whole training.

    Returns
    -------
    dict
        Optimiser and schedule as Lightning takes them.
    """

    def network_rate(step: int) -> float:
        share = step / steps
        if share < settings.warmup:
            return (step + 1) / (settings.warmup * steps + 1)
        return 1.0 if settings.schedule == "constant" else 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))

    def probe_rate(step: int) -> float:
        return network_rate(step) if step >= settings.probe_delay * steps else 0.0

    groups: list[dict[str, Any]] = [{"params": list(network), "lr": settings.learning_rate}]
    rates = [network_rate]
    physical = list(physical)
    if physical:
        groups.append({"params": physical, "lr": settings.probe_learning_rate, "weight_decay": 0.0})
        rates.append(probe_rate)
    # In one pass over the weights, of which there are many and small ones.
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
