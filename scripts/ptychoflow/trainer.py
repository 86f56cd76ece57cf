"""Lightning's trainer with its refusals in our words, and what it runs on."""

from typing import Any

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from ptychoflow.errors import InputError


def make_trainer(**options: Any) -> Trainer:
    """Make a trainer.

    Raises
    ------
    InputError
        Where Lightning refuses the options, such as an accelerator that this machine has not.
    """
    try:
        return Trainer(**options)
    except (MisconfigurationException, ValueError) as error:
        chosen = ", ".join(
            f"{name} {options[name]}"
            for name in ("accelerator", "devices", "num_nodes", "strategy", "precision")
            if name in options
        )
        raise InputError(f"{chosen} cannot be used here: {str(error).split('. ')[0]}") from None


def process_environment(nodes: int) -> ClusterEnvironment:
    """Who starts the processes of a training: Lightning itself on one node, the scheduler on several.

    On one node Lightning would otherwise take a SLURM job's single task for the only process that may run. The
    workflow starts an interrupted job again; Lightning shall not do so too.
    """
    if nodes > 1 and SLURMEnvironment.detect():
        return SLURMEnvironment(auto_requeue=False)
    if nodes > 1 and TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    return LightningEnvironment()


def device_name(device: torch.device) -> str:
    """What a device is called: the GPU's product name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"
