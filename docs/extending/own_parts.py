"""The parts of docs/extending.md: a metric, a callback and a format of predictions of one's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ptychoflow.loading.tables import Batch
from ptychoflow.training.module import BatchMetric, Evaluation, Reconstructor


class MeanAbsorption(BatchMetric):
    """Share of the light that the reconstructed object absorbs, where the probe shines."""

    def __call__(self, evaluation: Evaluation, batch: Batch, module: Reconstructor) -> torch.Tensor:
        weight = module.illumination(batch)[:, None]
        transmitted = (evaluation.patches.abs().square() * weight).sum() / weight.expand_as(evaluation.intensity).sum()
        return 1 - transmitted


class EpochTimes(Callback):
    """Writes a line into a file for each epoch, as a stand-in for a message to the beamline."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(f"epoch {trainer.current_epoch} done\n")


class JSONLines:
    """A line for each frame: its number, its deviance, and the mean amplitude of its patch."""

    suffix = ".jsonl"

    def __init__(self, path: Path, count: int, size: int, digits: int = 6) -> None:
        self.stream = open(path, "w", encoding="utf-8")  # noqa: SIM115, closed by close
        self.digits = digits

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        for frame, patch, deviance in zip(frames, patches, table["deviance"], strict=True):
            line: dict[str, Any] = {"frame": int(frame), "deviance": round(float(deviance), self.digits)}
            line["amplitude"] = round(float(np.abs(patch).mean()), self.digits)
            self.stream.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self.stream.close()
