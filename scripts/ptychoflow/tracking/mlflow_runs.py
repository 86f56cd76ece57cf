"""Lightning's logger for one run in MLflow for all attempts of a training, whatever happens to the store meanwhile."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.errors import InputError
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.values import flattened
from ptychoflow.tracking.delivery import Delivery, Outbox
from ptychoflow.tracking.journal import Journal
from ptychoflow.tracking.machine import Machine
from ptychoflow.tracking.mlflow_store import process_tags, without_password
from ptychoflow.tracking.mlflow_training import inputs_of, model_of, note
from ptychoflow.tracking.run_logger import RunLogger

log = logging.getLogger(__name__)

LONGEST_PARAM = 6000
STATUS = {"success": "FINISHED", "finished": "FINISHED", "failed": "FAILED"}
PATIENCE, PATIENCE_OF_A_FAILURE = 60.0, 10.0
"""Seconds that a training waits at its end for a store that does not answer; one that failed may be ended soon."""


class MLflowRunLogger(RunLogger, Logger):
    """Writes all that is logged into a journal in the run folder, which is sent to the store beside the training.

    Parameters
    ----------
    uri : str
        MLflow's store.
    experiment : str
        MLflow's experiment, which is created if it does not exist.
    run_dir : Path
        Working folder of the training, in which the journal and the run's id are kept.
    run_name : str
        What the run is called.
    tags : dict
        Tags of the run.
    resumed : bool
        Whether the training goes on: then no store that is away can keep it from that.
    require : bool
        Whether a training that begins needs the store.
    parents : sequence of dict
        Runs that this one stands under, the outermost first, by ``key`` and ``name``; created if there are none.
    system_metrics : bool
        Whether to log what the machine is busy with.

    Raises
    ------
    InputError
        Where the store is needed and cannot be used, or the experiment was deleted.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        run_dir: Path,
        run_name: str,
        tags: dict[str, str],
        resumed: bool,
        require: bool = True,
        parents: Sequence[dict[str, str]] = (),
        system_metrics: bool = False,
    ) -> None:
        super().__init__()
        self.uri = uri
        if rank_zero_only.rank != 0:
            return
        self.journal = Journal(run_dir)
        begin = {"uri": without_password(uri), "experiment": experiment, "name": run_name, "parents": list(parents)}
        self.journal.open(begin)
        self.delivery = Delivery(self.journal, uri)
        machine = Machine(self.journal) if system_metrics else None
        self.outbox = Outbox(self.delivery, machine and machine.look)
        try:
            self.delivery.connect()
        except InputError as error:
            if require and not resumed:
                self.journal.close()
                self.journal.path.unlink()
                raise
            self.outbox.failures = dict.fromkeys(("values", "files"), str(error))
            self.outbox.warn()
        self.last_steps = self.journal.last_steps()
        self.journal.append({"kind": "tags", "tags": {**_origin(), **tags, **process_tags()}})
        if resumed:
            self.journal.stamped({"kind": "status", "status": "RUNNING"})
        self.status = "RUNNING"
        self.outbox.start()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """MLflow's client, for callbacks that log what this logger does not."""
        from mlflow import MlflowClient

        return self.delivery.client or MlflowClient(self.uri)

    @property
    def run_id(self) -> str | None:
        """Id of the run; None in other processes than the first, and as long as the store was not there."""
        return self.delivery.sent.run_id if rank_zero_only.rank == 0 else None

    @property
    def name(self) -> str | None:
        return self.journal.begin()["experiment"] if rank_zero_only.rank == 0 else None

    @property
    def version(self) -> str | None:
        return self.run_id

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log the settings, nested ones with their groups before them."""
        settings = vars(params) if isinstance(params, Namespace) else params
        texts = {key: str(value)[:LONGEST_PARAM] for key, value in flattened(settings, "/").items()}
        self.journal.append({"kind": "params", "params": texts})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the metrics that are new at this step."""
        new = {key: float(value) for key, value in self.new_ones(metrics, step).items()}
        if new:
            self.journal.stamped({"kind": "metrics", "step": step or 0, "values": new})
        if any(key.endswith("/epoch") for key in new):
            self.outbox.try_again()

    @rank_zero_only
    def log_file(self, path: Path, to: str | None = None) -> None:
        """Put a file into the run, or a folder with all that it holds."""
        self.journal.append({"kind": "file", "path": self.journal.relative(path), "to": to})

    @rank_zero_only
    def log_inputs(self, datasets: Sequence[dict[str, Any]]) -> None:
        """Name the datasets of the run: ``name``, ``sha256``, ``source``, ``frames`` and ``context`` of each."""
        self.journal.append({"kind": "inputs", "datasets": list(datasets)})

    @rank_zero_only
    def log_model(self, model: dict[str, Any]) -> None:
        """Put a checkpoint into the run as a model of MLflow's; see `ptychoflow.tracking.mlflow_models`."""
        self.journal.stamped({"kind": "model", **model, "path": self.journal.relative(model["path"])})

    @rank_zero_only
    def log_note(self, text: str) -> None:
        """Give the run its note, in Markdown; ``{run_id}`` stands for the run's id."""
        self.journal.append({"kind": "note", "text": text})

    @property
    def tracked_as(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "mlflow": without_password(self.uri)}

    @rank_zero_only
    def log_beginning(self, config: Path, datasets: Sequence[Path], provenance: dict[str, Any], resumed: bool) -> None:
        """Log the config; and where the training begins its datasets, and a note that tells of them."""
        self.log_file(config)
        if not resumed:
            self.log_inputs(inputs_of(datasets, provenance))
            self.log_note(note(provenance))

    @rank_zero_only
    def log_pictures(self, folder: Path, pictures: dict[str, np.ndarray], step: int) -> None:
        """Put the folder into the run, and reconstructions on the slider over steps, but what is there already."""
        self.log_file(folder, folder.name)
        shown = {name: picture for name, picture in pictures.items() if name.endswith("_pred")}
        for name in self.new_ones(shown, step):
            path = self.journal.relative(folder / f"{name}.png")
            self.journal.stamped({"kind": "image", "path": path, "key": name, "step": step})

    @rank_zero_only
    def log_published(
        self, checkpoint: Path, record: Path, provenance: dict[str, Any], tracking: TrackingSettings
    ) -> None:
        """Put the record into the run, and the checkpoint as a model where the settings ask for it."""
        self.log_file(record)
        if tracking.log_checkpoint:
            name = tracking.tags.get("experiment", checkpoint.parent.name)
            self.log_model(model_of(checkpoint, provenance, name, tracking, self.journal.last_values()))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Mark the run; Lightning does so after training and after each test."""
        status = STATUS.get(status, "FAILED")
        if status != self.status:
            self.status = status
            self.journal.stamped({"kind": "status", "status": status})
        if not self.outbox.failures:
            self.outbox.flush(PATIENCE if status == "FINISHED" else PATIENCE_OF_A_FAILURE)

    @rank_zero_only
    def close(self) -> None:
        """Send what is left of the journal, if the store takes it, and say if it does not."""
        self.outbox.close(PATIENCE if self.status == "FINISHED" else PATIENCE_OF_A_FAILURE)
        self.journal.close()


def _origin() -> dict[str, str]:
    """Who runs what, as MLflow's own tags say it."""
    from mlflow.tracking.context.registry import resolve_tags

    return dict(resolve_tags())
