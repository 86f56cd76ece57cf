"""A training of a blind network on disk: started, gone on with after an interruption, published."""

import hashlib
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.models.trained import load_checkpoint, network_weights
from ptychoflow.provenance.record import circumstances, code_digest, now, write_provenance
from ptychoflow.running.hardware import device_name
from ptychoflow.settings.blind import PRETRAINED, BlindSettings, PretrainingSettings, TuningSettings
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
CIRCUMSTANTIAL = ("workers", "accelerator")
"""Settings that change where a training runs and not what comes out of it, but for rounding."""
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class BlindRun(ABC):
    """A training of a blind network and its folders; each kind says what is trained, and on what.

    Parameters
    ----------
    output_dir : Path
        Where model.ckpt, metrics.csv, config.yaml and provenance.json are published.
    run_dir : Path
        Working state that survives an interruption: last.ckpt and logs.
    settings : PretrainingSettings or TuningSettings
        How it is trained.
    seed : int
        Fixes all that is drawn.
    tracking : TrackingSettings
        Which loggers.
    """

    output_dir: Path
    run_dir: Path
    settings: PretrainingSettings | TuningSettings
    seed: int = 0
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    device: str | None = field(default=None, init=False)

    @property
    @abstractmethod
    def stage(self) -> str:
        """What a tracked run of this kind is tagged with."""

    @property
    @abstractmethod
    def network(self) -> BlindSettings:
        """Shape of the network."""

    @abstractmethod
    def parts(self) -> tuple[LightningModule, LightningDataModule]:
        """Module, with a `network`, and data of the training."""

    @abstractmethod
    def resolved(self) -> dict[str, Any]:
        """Everything that this run was told, as plain containers."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of all that decides what comes out, but for the code."""

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """What its checkpoint says of what it was trained on."""

    def findings(self) -> dict[str, Any]:
        """What its published checkpoint says besides."""
        return {}

    def run(self) -> Path:
        """Train, or go on from the last whole epoch, and publish; gives the published model.ckpt."""
        self.fit()
        return self.publish()

    def fit(self) -> dict[str, float]:
        """Train, or go on from the last whole epoch; gives the metrics of the last one."""
        seed_everything(self.seed, verbose=False)
        module, data = self.parts()
        module.description = self._description()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        start = self._resume_from(module.description["fingerprint"])
        step = load_checkpoint(start)["global_step"] if start else None
        name = f"{self.tracking.tags.get('experiment', self.output_dir.name)}/seed{self.seed}"
        tags = self.tracking.tags | {"stage": self.stage}
        loggers, guards = make_loggers(self.tracking, self.run_dir, step, name, tags)
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
            trainer.fit(module, data, ckpt_path=start)
        except BaseException:
            for logger in loggers:
                logger.finalize("failed")
            raise
        finally:
            close(loggers)
        self.device = device_name(module.device)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}

    def decisive(self) -> dict[str, Any]:
        """Settings that decide what comes out, as plain containers."""
        return {key: value for key, value in plain(self.settings).items() if key not in CIRCUMSTANTIAL}

    def _description(self) -> dict[str, Any]:
        code = code_digest(Path(__file__).with_name(f"{type(self).__module__.rpartition('.')[2]}.py"))
        fingerprint = hashlib.sha256(f"{self.digest()} {code}".encode()).hexdigest()
        return {
            "result": PRETRAINED,
            "model": plain(self.network),
            **self.origin(),
            "code_sha256": code,
            "seed": self.seed,
            "fingerprint": fingerprint,
            "provenance": {
                "result": "model",
                "run_id": None,
                "stage": self.stage,
                "seed": self.seed,
                "config": self.resolved(),
                "device": None,
                **circumstances(),
            },
        }

    def _resume_from(self, fingerprint: str) -> Path | None:
        """Give the checkpoint to go on from, if it is of the same settings, data and code."""
        last = self.run_dir / LAST
        if not last.exists():
            return None
        try:
            if load_checkpoint(last)["ptychoflow"]["fingerprint"] == fingerprint:
                log.info("going on from %s", last)
                return last
        except InputError:
            pass
        log.info("starting afresh: %s is of other settings, data, seed or code", last)
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
        description = state["ptychoflow"] | self.findings()
        description["provenance"] |= {"finished": now(), "device": self.device}
        checkpoint = self.output_dir / "model.ckpt"
        save({"ptychoflow": description, "state_dict": network_weights(state["state_dict"])}, checkpoint)
        record = description["provenance"] | {"checkpoint_sha256": sha256_of(checkpoint)}
        write_provenance(self.output_dir / "provenance.json", record)
        return checkpoint
