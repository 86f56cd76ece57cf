"""Lightning's trainer with its refusals in our words, and who starts its processes."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.errors import InputError
from ptychoflow.running.hardware import computes_bfloat16, uses_gpu
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.training.checkpoint import save

log = logging.getLogger(__name__)


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


def settle(settings: TrainingSettings) -> TrainingSettings:
    """Settings of a training with the one answered that the machine decides: `precision`.

    Says the precision in one line of the log, and warns of what was asked for and does not pay here.

    Parameters
    ----------
    settings : TrainingSettings
        As the user wrote them; they stay as they are.

    Returns
    -------
    TrainingSettings
        With the precision that `auto` stands for here.
    """
    on_gpu = uses_gpu(settings.accelerator)
    able, processor = computes_bfloat16(on_gpu), "GPU" if on_gpu else "CPU"
    if settings.precision != "auto":
        precision, reason = settings.precision, "as configured"
    elif on_gpu:
        precision, reason = "32-true", "a GPU trains networks of few features no faster by bfloat16"
    elif settings.num_nodes > 1:
        # Their processes ask each its own processor, and all must come to one answer.
        precision, reason = "32-true", "the processors of several nodes may differ"
    elif able:
        precision, reason = "bf16-mixed", "this CPU has instructions for bfloat16"
    else:
        precision, reason = "32-true", "this CPU has no instructions for bfloat16"
    if rank_zero_only.rank == 0:
        log.info("precision %s: %s", precision, reason)
        if precision == "bf16-mixed" and not able:
            log.warning(
                "precision is bf16-mixed, which this %s can only emulate, many times slower than float32: "
                "set it to auto or 32-true",
                processor,
            )
    return dataclasses.replace(settings, precision=precision)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints of a running training, renamed in their own folder: a copy from elsewhere could be cut short."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str, storage_options: Any | None = None) -> None:
        save(checkpoint, Path(path))


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
