"""The pretraining: a training of a blind network on the scans of a recipe, and its rehearsal."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from ptychoflow.pretraining.blind_run import BlindRun
from ptychoflow.pretraining.module import BlindTraining
from ptychoflow.pretraining.scans import TrainingScans
from ptychoflow.pretraining.states import StateCrops
from ptychoflow.settings.blind import BlindSettings, PretrainingSettings
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.values import plain

VALIDATION = 2**23
"""Number of the first scan that is validated on; none so far is trained on."""
REHEARSAL = {
    **{"max_epochs": 2, "scans_per_epoch": 4, "scans_at_once": 2, "canvas": 96, "iterations": (3, 4), "judges": 4},
    **{"batch_size": 2, "crop": 48, "validation_scans": 2, "accelerator": "cpu"},
}


class PretrainingData(LightningDataModule):
    """States of reconstructions of the recipe's scans, other scans in each epoch.

    Parameters
    ----------
    recipe : RecipeSettings
        What is drawn.
    settings : PretrainingSettings
        How many, and how large.
    seed : int
        Fixes the parts of objects that are looked at.
    """

    def __init__(self, recipe: RecipeSettings, settings: PretrainingSettings, seed: int) -> None:
        super().__init__()
        self.recipe, self.settings, self.seed = recipe, settings, seed
        self.collected: tuple[int, DataLoader] | None = None

    def train_dataloader(self) -> DataLoader:
        """States of the epoch, once however often they are asked for."""
        epoch = int(self.trainer.lightning_module.epochs_done)
        if self.collected is None or self.collected[0] != epoch:
            self.collected = epoch, self._collect(epoch)
        return self.collected[1]

    def _collect(self, epoch: int) -> DataLoader:
        settings = self.settings
        scans = self._scans(epoch * settings.scans_per_epoch, settings.scans_per_epoch)
        states = self.trainer.lightning_module.collect(scans, epoch)
        crops = StateCrops(states, settings.crop, settings.passes, self.seed + epoch)
        order = torch.Generator().manual_seed(self.seed + epoch)
        return DataLoader(crops, batch_size=settings.batch_size, shuffle=True, generator=order, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return self._scans(VALIDATION, self.settings.validation_scans)

    def _scans(self, first: int, count: int) -> DataLoader:
        settings = self.settings
        scans = TrainingScans(self.recipe, first, count, settings.canvas, settings.probe_modes)
        return DataLoader(scans, batch_size=settings.scans_at_once, num_workers=settings.workers)


@dataclass(kw_only=True)
class Pretraining(BlindRun):
    """A training on scans that a recipe draws; folders, seed and tracking are those of `BlindRun`.

    Parameters
    ----------
    model : BlindSettings
        The network.
    settings : PretrainingSettings
        How it is trained.
    recipe : RecipeSettings
        On what.
    """

    model: BlindSettings
    settings: PretrainingSettings
    recipe: RecipeSettings

    @property
    def stage(self) -> str:
        return "pretrain"

    @property
    def network(self) -> BlindSettings:
        return self.model

    def parts(self) -> tuple[LightningModule, LightningDataModule]:
        module = BlindTraining(self.model, self.settings, self.seed)
        return module, PretrainingData(self.recipe, self.settings, self.seed)

    def resolved(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "model": plain(self.model),
            "pretraining": plain(self.settings),
            "recipe": plain(self.recipe),
            **plain(self.tracking),
        }

    def digest(self) -> str:
        parts = [plain(self.model), self.decisive(), plain(self.recipe), self.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def origin(self) -> dict[str, Any]:
        return {"recipe_sha256": self.digest()}

    def findings(self) -> dict[str, Any]:
        return {"rehearsal": rehearse(self.recipe)}


def rehearse(recipe: RecipeSettings) -> dict[str, float]:
    """Metrics of a training so short that anyone can repeat it: code that trains otherwise does not make them again.

    Parameters
    ----------
    recipe : RecipeSettings
        What is drawn, with small frames.
    """
    settings = PretrainingSettings(**REHEARSAL)
    small = replace(recipe, sizes=(32,), frames=16)
    with tempfile.TemporaryDirectory() as folder:
        run = Pretraining(
            output_dir=Path(folder),
            run_dir=Path(folder),
            model=BlindSettings(features=4, depth=1),
            settings=settings,
            recipe=small,
        )
        return {name: value for name, value in run.fit().items() if name.startswith("val/")}
