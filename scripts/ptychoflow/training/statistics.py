"""How training itself goes, once per epoch: optimiser, gradients, speed, memory, and one line in the log."""

import logging
import resource
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)

REPORTED = {
    "loss": "train/loss/epoch",
    "validation loss": "val/loss/epoch",
    "validation deviance": "val/metrics/deviance/epoch",
    "frames/s": "train/frames_per_second",
}


class TrainingStatistics(Callback):
    """Logs how the optimiser is set and how fast training goes.

    - ``train/gradient_norm/step`` and ``/epoch``, before clipping,
    - ``train/lr``, ``train/beta1`` and ``train/beta2`` or ``train/momentum``, ``train/probe_lr`` where it is refined,
    - ``train/frames_per_second``, of all processes together and without validation,
    - ``train/device_memory_mb``: most that tensors took on the GPU since the start, or the process on a CPU.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.ended = time.perf_counter()

    # Before the step: afterwards the schedule has already set the rate of the next.
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.settings = optimizer_statistics(optimizer)
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        pl_module.log("train/gradient_norm/step", norm, on_step=True, on_epoch=False)
        pl_module.log("train/gradient_norm/epoch", norm, on_step=False, on_epoch=True, batch_size=1)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log_dict(self.settings)
        loader = trainer.train_dataloader
        frames = len(loader.neighbours) * loader.groups.size
        pl_module.log("train/frames_per_second", frames / (self.ended - self.started), sync_dist=True)
        pl_module.log("train/device_memory_mb", memory_mb(pl_module.device), sync_dist=True, reduce_fx="max")


def optimizer_statistics(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """What an optimiser is set to, under the names they are logged by."""
    group, *others = optimizer.param_groups
    statistics = {"train/lr": group["lr"]}
    if "betas" in group:
        statistics |= {"train/beta1": group["betas"][0], "train/beta2": group["betas"][1]}
    elif "momentum" in group:
        statistics["train/momentum"] = group["momentum"]
    if others:
        statistics["train/probe_lr"] = others[0]["lr"]
    return statistics


def memory_mb(device: torch.device) -> float:
    """Most memory used so far, MiB: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class EpochReport(Callback):
    """One line in the log for each epoch: readable in a file, where a progress bar is not."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        if trainer.is_global_zero:
            parts = [f"{name} {values[key]:.4g}" for name, key in REPORTED.items() if key in values]
            log.info("epoch %d/%d: %s", trainer.current_epoch + 1, trainer.max_epochs, ", ".join(parts))


class EpochMetricsInCheckpoint(Callback):
    """Keeps an epoch's metrics in its checkpoint, since Lightning saves that before it logs them.

    A run killed between the two logs them when it goes on; loggers drop what they already have.
    """

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if not key.endswith("/step")}
        checkpoint["epoch_metrics"] = {"step": trainer.global_step - 1, "epoch": trainer.current_epoch, **metrics}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.saved = dict(checkpoint.get("epoch_metrics", {}))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.saved:
            step = self.saved.pop("step")
            for logger in trainer.loggers:
                logger.log_metrics(self.saved, step)
                logger.save()
