"""The parts of a training run, made from its settings: module, callbacks and trainer."""

import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.flux import probe_by_photons
from ptychoflow.errors import InputError
from ptychoflow.loading.module import ScanDataModule
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.reconstruction.prediction_files import PredictionWriter
from ptychoflow.running.extensions import made_by
from ptychoflow.runs.images import ReconstructionImages
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.training.checkpoint import load_network
from ptychoflow.training.module import BatchMetric, Reconstructor
from ptychoflow.training.progress import ProgressLines
from ptychoflow.training.statistics import EpochMetricsInCheckpoint, EpochReport, TrainingStatistics
from ptychoflow.training.trainer import WholeCheckpoints, make_trainer, process_environment


def build_module(
    model: ModelSettings,
    training: TrainingSettings,
    tracking: TrackingSettings,
    scans: list[Dataset],
    data: ScanDataModule,
    init_from: Path | None,
) -> Reconstructor:
    """The module that trains on these scans, with the weights of a checkpoint where it starts from one.

    Raises
    ------
    InputError
        Where the scans cannot train one network together.
    """
    modes = {len(scan.probe) for scan in scans}
    if len(modes) > 1:
        raise InputError(f"datasets have probes of {sorted(modes)} modes: expected one number to train together")
    numbers = {scan.fresnel_number for scan in scans}
    if len(numbers) > 1:
        raise InputError(
            f"datasets have Fresnel numbers of {', '.join(map(str, numbers))}, None for the far field: "
            "expected one number to train together"
        )
    # Where a file's flux is not to be trusted, the photons tell it: nothing learned then depends on the file's.
    told = [
        probe_by_photons(scan, frames) if training.learn_flux else scan.probe
        for scan, frames in zip(scans, data.training, strict=True)
    ]
    probes = torch.stack([torch.from_numpy(probe) for probe in told])
    masks = torch.stack([torch.fft.ifftshift(torch.from_numpy(scan.mask)) for scan in scans])
    module = Reconstructor(model, training, probes, masks, scans[0].fresnel_number)
    module.own_metrics = {name: made_by(choice, BatchMetric, "metric") for name, choice in tracking.metrics.items()}
    if init_from is not None:
        load_network(module, load_checkpoint(init_from), init_from)
    return module


def own_callbacks(tracking: TrackingSettings, run_dir: Path) -> list[Callback]:
    """Callbacks that hold what may be named by class path: the writer of predictions, and those of one's own."""
    named = [made_by(choice, Callback, "callback") for choice in tracking.callbacks]
    if tracking.write_predictions:
        folder = run_dir / "predictions"
        named.insert(0, PredictionWriter(lambda mode: folder / mode, tracking.write_predictions))
    return named


def build_trainer(
    settings: TrainingSettings,
    tracking: TrackingSettings,
    run_dir: Path,
    own: list[Callback],
    validate: bool,
    quiet: bool,
    bar: bool | None = None,
) -> Trainer:
    """The trainer, as yet without loggers: those write into the run folder, which what is refused leaves alone.

    Parameters
    ----------
    settings : TrainingSettings
        As this machine settled them.
    tracking : TrackingSettings
        Which images are drawn, and how often metrics are written.
    run_dir : Path
        Working state of the run.
    own : list of Callback
        See `own_callbacks`.
    validate : bool
        Whether there are frames to validate with.
    quiet : bool
        Hide progress, as a bar or as lines.
    bar : bool, optional
        Whether progress is a bar; if not given, where standard error is a terminal.
    """
    callbacks: list[Callback] = [TrainingStatistics()]
    if tracking.recon_log_every_n_epochs is not None:
        callbacks.append(ReconstructionImages(tracking, run_dir))
    callbacks += own
    # Two of them: with save_last a single one would renew last.ckpt only in epochs that are the best so far.
    kept = {"best": "val/loss/epoch", "last": None} if validate else {"last": None}
    callbacks += [
        ModelCheckpoint(
            dirpath=run_dir,
            filename=name,
            monitor=monitor,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        for name, monitor in kept.items()
    ]
    callbacks += [EpochReport(), EpochMetricsInCheckpoint()]
    if settings.early_stopping is not None:
        if not validate:
            raise InputError("early_stopping is set but validation_fraction is 0: expected held-out frames to watch")
        callbacks.append(LastingStop("val/loss/epoch", patience=settings.early_stopping))
    bar = not quiet and (sys.stderr.isatty() if bar is None else bar)
    if not quiet:
        callbacks.append(TQDMProgressBar(refresh_rate=50) if bar else ProgressLines())
    return make_trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=settings.precision,
        max_epochs=settings.max_epochs,
        gradient_clip_val=settings.gradient_clip or None,
        deterministic=settings.deterministic,
        logger=False,
        callbacks=callbacks,
        log_every_n_steps=tracking.log_every_n_steps,
        enable_progress_bar=bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=[process_environment(settings.num_nodes), WholeCheckpoints()],
        num_sanity_val_steps=0,
    )


class LastingStop(EarlyStopping):
    """Early stopping that holds for a run which was interrupted between its last epoch and its publication."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience
