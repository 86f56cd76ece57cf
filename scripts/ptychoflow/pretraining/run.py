"""A pretraining on disk: started, gone on with after an interruption, published."""

import hashlib
import json
import logging
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningDataModule, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.models.trained import load_checkpoint, network_weights
from ptychoflow.pretraining.module import BlindTraining
from ptychoflow.pretraining.scans import TrainingScans
from ptychoflow.pretraining.states import StateCrops
from ptychoflow.provenance.record import circumstances, code_digest, now, write_provenance
from ptychoflow.running.hardware import device_name
from ptychoflow.settings.blind import BlindSettings, PretrainingSettings
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.values import plain
from ptychoflow.tracking.delivery import RUN_FILE
from ptychoflow.tracking.guard import begin
from ptychoflow.tracking.journal import set_aside
from ptychoflow.tracking.loggers import CSV_FOLDER, close, collect_metrics, make_loggers
from ptychoflow.training.checkpoint import save
from ptychoflow.training.progress import ProgressLines
from ptychoflow.training.statistics import EpochMetricsInCheckpoint, EpochReport
from ptychoflow.training.trainer import WholeCheckpoints, make_trainer, process_environment

LAST = "last.ckpt"
VALIDATION = 2**23
"""Number of the first scan that is validated on; none so far is trained on."""
REHEARSAL = {
    **{"max_epochs": 2, "scans_per_epoch": 4, "scans_at_once": 2, "canvas": 96, "iterations": (3, 4), "judges": 4},
    **{"batch_size": 2, "crop": 48, "validation_scans": 2, "accelerator": "cpu"},
}
CIRCUMSTANTIAL = ("workers", "accelerator")
"""Settings that change where a training runs and not what comes out of it, but for rounding."""
log = logging.getLogger(__name__)


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


@dataclass
class Pretraining:
    """A pretraining and its folders.

    Parameters
    ----------
    output_dir : Path
        Where model.ckpt, metrics.csv, config.yaml and provenance.json are published.
    run_dir : Path
        Working state that survives an interruption: last.ckpt and logs.
    model : BlindSettings
        The network.
    settings : PretrainingSettings
        How it is trained.
    recipe : RecipeSettings
        On what.
    seed : int
        Fixes initial weights and all that is drawn beside the scans.
    tracking : TrackingSettings
        Which loggers.
    """

    output_dir: Path
    run_dir: Path
    model: BlindSettings
    settings: PretrainingSettings
    recipe: RecipeSettings
    seed: int = 0
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    device: str | None = field(default=None, init=False)

    def run(self) -> Path:
        """Train, or go on from the last whole epoch, and publish; gives the published model.ckpt."""
        self.fit()
        return self.publish()

    def fit(self) -> dict[str, float]:
        """Train, or go on from the last whole epoch; gives the metrics of the last one."""
        seed_everything(self.seed, verbose=False)
        module = BlindTraining(self.model, self.settings, self.seed)
        module.description = self._description()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        start = self._resume_from(module.description["fingerprint"])
        step = load_checkpoint(start)["global_step"] if start else None
        name = f"{self.tracking.tags.get('experiment', self.output_dir.name)}/seed{self.seed}"
        loggers, guards = make_loggers(
            self.tracking, self.run_dir, step, name, self.tracking.tags | {"stage": "pretrain"}
        )
        trainer = make_trainer(
            accelerator=self.settings.accelerator,
            devices=1,
            max_epochs=self.settings.max_epochs,
            gradient_clip_val=self.settings.gradient_clip,
            check_val_every_n_epoch=min(4, self.settings.max_epochs),
            logger=loggers or False,
            callbacks=[
                ModelCheckpoint(
                    dirpath=self.run_dir, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
                ),
                ProgressLines(),
                EpochReport(),
                EpochMetricsInCheckpoint(),
            ],
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            plugins=[process_environment(1), WholeCheckpoints()],
        )
        try:
            for logger in loggers:
                if start is None:
                    logger.log_hyperparams(self.resolved())
            begin(guards)
            trainer.fit(module, PretrainingData(self.recipe, self.settings, self.seed), ckpt_path=start)
        except BaseException:
            for logger in loggers:
                logger.finalize("failed")
            raise
        finally:
            close(loggers)
        self.device = device_name(module.device)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}

    def resolved(self) -> dict[str, Any]:
        """Everything that this run was told, as plain containers."""
        return {
            "seed": self.seed,
            "model": plain(self.model),
            "pretraining": plain(self.settings),
            "recipe": plain(self.recipe),
            **plain(self.tracking),
        }

    def digest(self) -> str:
        """SHA-256 of all settings that decide what comes out."""
        decisive = {key: value for key, value in plain(self.settings).items() if key not in CIRCUMSTANTIAL}
        parts = [plain(self.model), decisive, plain(self.recipe), self.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _description(self) -> dict[str, Any]:
        code = code_digest(Path(__file__))
        fingerprint = hashlib.sha256(f"{self.digest()} {code}".encode()).hexdigest()
        return {
            "result": "pretrained",
            "model": plain(self.model),
            "recipe_sha256": self.digest(),
            "code_sha256": code,
            "seed": self.seed,
            "fingerprint": fingerprint,
            "provenance": {
                "result": "model",
                "run_id": None,
                "stage": "pretrain",
                "seed": self.seed,
                "config": self.resolved(),
                "device": None,
                **circumstances(),
            },
        }

    def _resume_from(self, fingerprint: str) -> Path | None:
        """Give the checkpoint to go on from, if it is of the same recipe and code."""
        last = self.run_dir / LAST
        if not last.exists():
            return None
        try:
            if load_checkpoint(last)["ptychoflow"]["fingerprint"] == fingerprint:
                log.info("going on from %s", last)
                return last
        except InputError:
            pass
        log.info("starting afresh: %s is of another recipe, seed or code", last)
        last.unlink()
        set_aside(self.run_dir, RUN_FILE)
        return None

    def publish(self) -> Path:
        """Publish the network of the last whole epoch, with what made it; gives model.ckpt."""
        if "csv" in self.tracking.logger:
            collect_metrics(self.run_dir / CSV_FOLDER, self.output_dir / "metrics.csv")
        with replacing(self.output_dir / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(self.resolved(), sort_keys=False), encoding="utf-8")
        state = load_checkpoint(self.run_dir / LAST)
        description = state["ptychoflow"] | {"rehearsal": rehearse(self.recipe)}
        description["provenance"] |= {"finished": now(), "device": self.device}
        checkpoint = self.output_dir / "model.ckpt"
        save({"ptychoflow": description, "state_dict": network_weights(state["state_dict"])}, checkpoint)
        record = description["provenance"] | {"checkpoint_sha256": sha256_of(checkpoint)}
        write_provenance(self.output_dir / "provenance.json", record)
        return checkpoint


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
        run = Pretraining(Path(folder), Path(folder), BlindSettings(features=4, depth=1), settings, small)
        return {name: value for name, value in run.fit().items() if name.startswith("val/")}
