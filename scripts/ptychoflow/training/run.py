"""One training run: resume if there is something to resume, fit, publish."""

import csv
import hashlib
import json
import logging
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.module import ScanDataModule
from ptychoflow.data.readers import read_dataset
from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.inference import Inference
from ptychoflow.provenance import code_digest, repository_commit
from ptychoflow.settings import ModelSettings, TrainingSettings, plain
from ptychoflow.trainer import make_trainer
from ptychoflow.training.checkpoint import describe, load_checkpoint, publish
from ptychoflow.training.module import Reconstructor

LAST = "last.ckpt"
PUBLISHED_MARK = "published"
log = logging.getLogger(__name__)


@dataclass
class TrainingRun:
    """A training run on disk.

    Parameters
    ----------
    data : list of Path
        Training datasets.
    output_dir : Path
        Where model.ckpt, metrics.csv and config.yaml are published.
    run_dir : Path
        Working state that survives an interruption: last.ckpt, best.ckpt, logs.
    model : ModelSettings
        The network.
    training : TrainingSettings
        How to train it.
    seed : int
        Fixes initial weights, split and order.
    logger : {"csv", "none"}
        Where metrics go; with csv they are published as metrics.csv.
    quiet : bool
        Hide the progress bar, and nothing else.
    """

    data: list[Path]
    output_dir: Path
    run_dir: Path
    model: ModelSettings
    training: TrainingSettings
    seed: int
    logger: Literal["csv", "none"] = "csv"
    quiet: bool = False

    def run(self) -> Path:
        """Train, or go on from the last whole epoch of the same run, and publish.

        Returns
        -------
        Path
            The published model.ckpt.
        """
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}: expected a number from 0 to {2**32 - 1}")
        scans = [read_dataset(path) for path in self.data]
        settings = self.training
        seed_everything(self.seed, verbose=False)
        module_data = ScanDataModule(scans, settings, self.seed)
        module = self._module(scans, module_data)
        start = self._resume_from(module.description["fingerprint"])
        trainer = self._trainer(start, validate=module_data.has_validation)
        self.run_dir.mkdir(parents=True, exist_ok=True)
        trainer.fit(module, module_data, ckpt_path=start)
        if trainer.interrupted:
            raise KeyboardInterrupt
        if trainer.is_global_zero:
            self._publish(trainer)
        return self.output_dir / "model.ckpt"

    def _module(self, scans: list[Dataset], data: ScanDataModule) -> Reconstructor:
        modes = {len(scan.probe) for scan in scans}
        if len(modes) > 1:
            raise InputError(f"datasets have probes of {sorted(modes)} modes: expected one number to train together")
        probes = torch.stack([torch.from_numpy(scan.probe) for scan in scans])
        masks = torch.stack([torch.fft.ifftshift(torch.from_numpy(scan.mask)) for scan in scans])
        module = Reconstructor(self.model, self.training, probes, masks)
        sources = [
            {"file": path.name, "sha256": sha256_of(path), "frames": frames.tolist()}
            for path, frames in zip(self.data, data.training, strict=True)
        ]
        code = code_digest(Path(__file__))
        parts = [plain(self.model), plain(self.training), sources, self.seed, code]
        fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        module.description = describe(self.model, self.training, sources, self.seed, repository_commit(), fingerprint)
        if self.training.compile:
            module.network.compile()
        return module

    def _resume_from(self, fingerprint: str) -> Path | None:
        """Give the checkpoint to go on from; clear away the state of another run, or of one that was published."""
        last = self.run_dir / LAST
        if not last.exists():
            return None
        try:
            same = load_checkpoint(last)["ptychoflow"]["fingerprint"] == fingerprint
        except InputError:
            same = False
        if same and not (self.run_dir / PUBLISHED_MARK).exists():
            log.info("going on from %s", last)
            return last
        log.info("starting afresh: %s is of %s", last, "a finished run" if same else "other settings, data or code")
        for stale in (last, self.run_dir / "best.ckpt", self.run_dir / PUBLISHED_MARK):
            stale.unlink(missing_ok=True)
        shutil.rmtree(self.run_dir / "logs", ignore_errors=True)
        return None

    def _trainer(self, start: Path | None, validate: bool) -> Trainer:
        settings = self.training
        # An attempt that goes on writes beside the log of the one before, which the logger would else overwrite.
        version = f"from_step_{load_checkpoint(start)['global_step'] if start else 0:08d}"
        # Two of them: with save_last a single one would renew last.ckpt only in epochs that are the best so far.
        kept = {"best": "val/loss/epoch", "last": None} if validate else {"last": None}
        callbacks: list[Callback] = [
            ModelCheckpoint(dirpath=self.run_dir, filename=name, monitor=monitor, enable_version_counter=False)
            for name, monitor in kept.items()
        ]
        callbacks.append(EpochReport())
        if settings.early_stopping is not None:
            if not validate:
                raise InputError(
                    "early_stopping is set but validation_fraction is 0: expected held-out frames to watch"
                )
            callbacks.append(LastingStop("val/loss/epoch", patience=settings.early_stopping))
        bar = not self.quiet and sys.stderr.isatty()
        if bar:
            callbacks.append(TQDMProgressBar(refresh_rate=50))
        return make_trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=settings.strategy,
            precision=settings.precision,
            max_epochs=settings.max_epochs,
            gradient_clip_val=settings.gradient_clip or None,
            deterministic=settings.deterministic,
            logger=CSVLogger(self.run_dir, name="logs", version=version) if self.logger == "csv" else False,
            callbacks=callbacks,
            log_every_n_steps=10,
            enable_progress_bar=bar,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )

    def _publish(self, trainer: Trainer) -> None:
        best = self.run_dir / "best.ckpt"
        use_best = self.training.publish == "best" and best.exists()
        if self.logger == "csv":
            collect_metrics(self.run_dir / "logs", self.output_dir / "metrics.csv")
        with replacing(self.output_dir / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(self.resolved(), sort_keys=False), encoding="utf-8")
        publish(best if use_best else self.run_dir / LAST, self.output_dir / "model.ckpt")
        (self.run_dir / PUBLISHED_MARK).touch()

    def resolved(self) -> dict[str, Any]:
        """Everything this run was told, as plain containers."""
        data = [str(path) for path in self.data]
        return {"train_data_file": data, "seed": self.seed, "model": plain(self.model), **plain(self.training)}


def test_deviance(checkpoint: Path, data: Path, batch_size: int) -> float:
    """Mean Poisson deviance per pixel of a dataset's frames, each explained by its own patch."""
    inference = Inference(checkpoint, read_dataset(data), data)
    device = torch.device("cpu")
    total = 0.0
    with torch.inference_mode():
        for batch in inference.loader(batch_size, device):
            total += len(batch.frames) * float(inference.module.losses(batch)["deviance"])
    return total / inference.frames


class LastingStop(EarlyStopping):
    """Early stopping that holds for a run which was interrupted between its last epoch and its publication."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


class EpochReport(Callback):
    """One line in the log for each epoch: readable in a file, where a progress bar is not."""

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        seconds = time.perf_counter() - self.started
        groups = module.training_settings.groups
        frames = len(trainer.train_dataloader.neighbours) * groups.size
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        parts = [f"{name} {values[key]:.4g}" for name, key in REPORTED.items() if key in values]
        log.info(
            "epoch %d/%d: %s, %.0f frames/s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            ", ".join(parts),
            frames / seconds,
        )


REPORTED = {
    "loss": "train/loss/epoch",
    "validation loss": "val/loss/epoch",
    "validation deviance": "val/metrics/deviance/epoch",
}


def collect_metrics(logs: Path, target: Path) -> None:
    """Join the CSV logs of all attempts of a run; of steps done twice, the later attempt's stay.

    Parameters
    ----------
    logs : Path
        Folder with from_step_*/metrics.csv, one for each attempt.
    target : Path
        The joined metrics.csv.
    """
    attempts = sorted(logs.glob("from_step_*/metrics.csv"))
    starts = [int(path.parent.name.removeprefix("from_step_")) for path in attempts]
    rows: list[dict[str, str]] = []
    for path, end in zip(attempts, [*starts[1:], None], strict=True):
        with open(path, newline="", encoding="utf-8") as stream:
            rows += [row for row in csv.DictReader(stream) if end is None or int(row["step"]) < end]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns = ["epoch", "step", *sorted(set(columns) - {"epoch", "step"})]
    with replacing(target) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
