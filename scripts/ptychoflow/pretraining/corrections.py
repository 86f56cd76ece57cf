"""What every training of a blind network's corrections has: its optimiser, and what its checkpoints keep."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule

from ptychoflow.models.blind import Blind
from ptychoflow.settings.blind import PretrainingSettings, TuningSettings


class CorrectionTraining(LightningModule):
    """A training of the corrections of a blind network; subclasses say by what they are judged.

    Parameters
    ----------
    network : Blind
        Where it begins.
    settings : PretrainingSettings or TuningSettings
        How it is trained.
    seed : int
        Fixes what is drawn.
    """

    def __init__(self, network: Blind, settings: PretrainingSettings | TuningSettings, seed: int) -> None:
        super().__init__()
        self.network, self.settings, self.seed = network, settings, seed
        # Lightning's own count is behind when a training that was interrupted asks for its first batches.
        self.register_buffer("epochs_done", torch.tensor(0))
        self.description: dict[str, Any] = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what made this network into the checkpoint, so that it can be rebuilt from that file alone."""
        checkpoint["ptychoflow"] = self.description

    def on_train_epoch_end(self) -> None:
        self.epochs_done += 1

    def configure_optimizers(self) -> dict[str, Any]:
        settings = self.settings
        optimizer = torch.optim.AdamW(
            self.network.correction.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

        def rate(epoch: int) -> float:
            return 0.5 + 0.5 * math.cos(math.pi * epoch / settings.max_epochs)

        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, rate)}
