"""One training run: resume if there is something to resume, fit, publish, test."""

import json
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.loading.module import ScanDataModule
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.provenance.record import code_digest, now, write_provenance
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.running.hardware import device_name
from ptychoflow.runs.building import build_module, build_trainer, own_callbacks
from ptychoflow.runs.identity import Identity, parent_of, sources_of
from ptychoflow.runs.working_state import BEST, FINISHED, LAST, Beginning, beginning, clear, write_record
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import plain
from ptychoflow.tracking.guard import Guard, begin
from ptychoflow.tracking.loggers import CSV_FOLDER, close, collect_metrics, make_loggers, own_loggers
from ptychoflow.tracking.run_logger import of_the_house
from ptychoflow.training.checkpoint import describe, publish
from ptychoflow.training.module import Reconstructor
from ptychoflow.training.trainer import settle

log = logging.getLogger(__name__)


@dataclass
class TrainingRun:
    """A training run on disk.

    Parameters
    ----------
    data : list of Path
        Training datasets.
    output_dir : Path
        Where model.ckpt, metrics.csv, config.yaml and provenance.json are published.
    run_dir : Path
        Working state that survives an interruption: last.ckpt, best.ckpt, logs, images.
    model : ModelSettings
        The network.
    training : TrainingSettings
        How to train it, as the user wrote it; `settled` has what this machine makes of it.
    seed : int
        Fixes initial weights, split and order.
    tracking : TrackingSettings
        Which loggers, images and predictions; with csv, metrics are published as metrics.csv.
    quiet : bool
        Hide progress, as a bar or as lines, and nothing else.
    bar : bool, optional
        Whether progress is a bar; if not given, where standard error is a terminal.
    init_from : Path, optional
        Checkpoint whose weights the network starts from.
    test_data : Path, optional
        Dataset to test the published network on.
    callbacks : sequence of Callback
        Who else is told how the training goes, and changes nothing of it.
    """

    data: list[Path]
    output_dir: Path
    run_dir: Path
    model: ModelSettings
    training: TrainingSettings
    seed: int
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    quiet: bool = False
    bar: bool | None = None
    init_from: Path | None = None
    test_data: Path | None = None
    callbacks: Sequence[Callback] = ()
    settled: TrainingSettings = field(init=False)

    def run(self) -> Path:
        """Train, or go on from the last whole epoch of the same run, publish, and test if there is something to test.

        Returns
        -------
        Path
            The published model.ckpt.
        """
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}: expected a number from 0 to {2**32 - 1}")
        if self.training.freeze_encoder and self.init_from is None:
            raise InputError("freeze_encoder is set without init_from: expected a checkpoint to start from")
        most = self.training.frames_in_memory
        scans = [read_dataset(path, frames_in_memory=most // len(self.data)) for path in self.data]
        test = read_dataset(self.test_data, frames_in_memory=most) if self.test_data else None
        self.settled = settle(self.training)
        seed_everything(self.seed, verbose=False)
        module_data = ScanDataModule(scans, self.training, self.seed)
        module, identity = self._module(scans, module_data)
        # What cannot be made shall be refused before anything of a run is touched.
        own = [*own_callbacks(self.tracking, self.run_dir), *self.callbacks]
        others = own_loggers(self.tracking)
        begun = beginning(self.run_dir, identity.fingerprint, module.description)
        start, tested_on = begun.checkpoint, sha256_of(self.test_data) if self.test_data else None
        checkpoint = self.output_dir / "model.ckpt"
        if begun.finished and tested_on in (None, begun.finished["tested_on"]):
            if rank_zero_only.rank == 0:
                self._publish(begun.finished["provenance"])
            return checkpoint
        validate = module_data.has_validation
        trainer = build_trainer(self.settled, self.tracking, self.run_dir, own, validate, self.quiet, self.bar)
        self._prepare(module, begun)
        trainer.loggers, guards = self._loggers(module, start, others)
        loggers = trainer.loggers
        try:
            self._introduce(module, loggers, start)
            begin(guards)
            if begun.finished:
                provenance = begun.finished["provenance"]
            else:
                trainer.fit(module, module_data, ckpt_path=start)
                # The run may be another one by now, in place of one that was deleted or not yet there.
                made = _tracked_as(loggers) | {"finished": now(), "device": device_name(module.device)}
                # As it is read back later, so that what is published again is the same to the last byte.
                provenance = json.loads(json.dumps(module.description["provenance"] | made))
            if trainer.is_global_zero:
                self._publish(provenance, loggers)
            trainer.strategy.barrier()
            if test is not None:
                self._test(trainer, checkpoint, test)
            if trainer.is_global_zero:
                self._finish(provenance, tested_on)
        except BaseException as error:
            for logger in loggers:
                logger.finalize("failed")
            if isinstance(error, SIGTERMException):  # which would end the process as if all were well
                raise SystemExit(128 + signal.SIGTERM) from None
            raise
        finally:
            close(loggers)
        return checkpoint

    def _module(self, scans: list[Dataset], data: ScanDataModule) -> tuple[Reconstructor, Identity]:
        """The module, described by what makes this training, which comes with it."""
        module = build_module(self.model, self.training, self.tracking, scans, data, self.init_from)
        sources = sources_of(self.data, scans, data.training)
        parent = None if self.init_from is None else parent_of(self.init_from)
        code = code_digest(Path(__file__))
        identity = Identity(self.model, self.settled, sources, self.seed, code, parent, self.tracking.callbacks)
        module.description = describe(
            self.model,
            self.training,
            scans[0].fresnel_number,
            sources,
            self.seed,
            identity.fingerprint(self.training.max_epochs),
            identity.provenance(self.resolved(), self.tracking),
        )
        return module, identity

    def _prepare(self, module: Reconstructor, begun: Beginning) -> None:
        """Bring the run folder to where the training begins; another process would clear away what the first has."""
        if begun.earlier:
            module.description["provenance"] |= {"went_on_from": begun.earlier}
        if rank_zero_only.rank == 0:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            if begun.checkpoint is None:
                clear(self.run_dir)
            elif not begun.finished:
                (self.run_dir / FINISHED).unlink(missing_ok=True)

    def _loggers(
        self, module: Reconstructor, start: Path | None, others: list[Logger]
    ) -> tuple[list[Logger], list[Guard]]:
        provenance, tags = module.description["provenance"], self.tracking.tags
        parent = (provenance["parent"] or {}).get("run_id")
        tags = tags | {
            "dataset": ",".join(path.stem for path in self.data),
            "seed": str(self.seed),
            "commit": provenance["commit"],
            "mlflow.source.git.commit": provenance["commit"],
            "stage": provenance["stage"],
            "encoder_frozen": str(self.training.freeze_encoder).lower(),
        }
        if parent:
            tags |= {"parent_run": parent, "mlflow.parentRunId": parent}
        name = f"{tags.get('experiment', self.output_dir.name)}/seed{self.seed}"
        step = load_checkpoint(start)["global_step"] if start else None
        return make_loggers(self.tracking, self.run_dir, step, name, tags, others)

    def _introduce(self, module: Reconstructor, loggers: list[Logger], start: Path | None) -> None:
        """Tell each logger the resolved config, and the checkpoint its run."""
        module.description["provenance"] |= _tracked_as(loggers)
        if rank_zero_only.rank == 0:
            self._write_config(self.run_dir / "config.yaml", self.resolved())
        for logger in loggers:
            if start is None:
                logger.log_hyperparams(self.resolved())
        for logger in of_the_house(loggers):
            logger.log_beginning(
                self.run_dir / "config.yaml", self.data, module.description["provenance"], resumed=start is not None
            )

    def _publish(self, provenance: dict[str, Any], loggers: Sequence[Logger] = ()) -> None:
        best = self.run_dir / BEST
        use_best = self.training.publish == "best" and best.exists()
        self._collect_metrics()
        self._write_config(self.output_dir / "config.yaml", provenance["config"])
        checkpoint = self.output_dir / "model.ckpt"
        publish(best if use_best else self.run_dir / LAST, checkpoint, provenance)
        record = self.output_dir / "provenance.json"
        write_provenance(record, provenance | {"checkpoint_sha256": sha256_of(checkpoint)})
        for logger in of_the_house(loggers):
            logger.log_published(checkpoint, record, provenance, self.tracking)

    def _collect_metrics(self) -> None:
        if "csv" in self.tracking.logger:
            collect_metrics(self.run_dir / CSV_FOLDER, self.output_dir / "metrics.csv")

    def _test(self, trainer: Trainer, checkpoint: Path, test: Dataset) -> None:
        # The loss of a test is of all frames.
        inference = Inference(checkpoint, test, self.test_data, held_out=0.0, kind=Reconstructor)
        loader = inference.loader(self.training.batch_size, trainer.strategy.root_device, with_truth=True)
        (scores,) = trainer.test(inference.module, loader, verbose=False)
        log.info("Poisson deviance per pixel of %s: %.4g", self.test_data, scores["test/metrics/deviance/epoch"])

    def _finish(self, provenance: dict[str, Any], tested_on: str | None) -> None:
        """Publish what the test added to the metrics; from now on there is nothing to go on with."""
        self._collect_metrics()
        write_record(self.run_dir, provenance, tested_on)

    def _write_config(self, path: Path, config: dict[str, Any]) -> None:
        with replacing(path) as temporary:
            temporary.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def resolved(self) -> dict[str, Any]:
        """Everything this run was told, as plain containers: train.py --config takes it as it is."""
        given = {"train_data_file": [str(path) for path in self.data], "seed": self.seed}
        for name in ("init_from", "test_data"):
            if getattr(self, name) is not None:
                given[{"test_data": "test_data_file"}.get(name, name)] = str(getattr(self, name))
        return {**given, "model": plain(self.model), **plain(self.training), **plain(self.tracking)}


def _tracked_as(loggers: list[Logger]) -> dict[str, Any]:
    """Where the run is found later, for the provenance."""
    return {key: value for logger in of_the_house(loggers) for key, value in logger.tracked_as.items()}
