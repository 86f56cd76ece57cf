"""Lightning's loggers by name, made so that a run which goes on after an interruption logs no step twice."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.files import replacing
from ptychoflow.running.extensions import made_by
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.tracking.events import EventLogger
from ptychoflow.tracking.guard import Guard
from ptychoflow.tracking.mlflow_runs import MLflowRunLogger
from ptychoflow.tracking.mlflow_store import store_uri
from ptychoflow.tracking.mlflow_training import parents_of
from ptychoflow.tracking.run_logger import RunLogger, of_the_house

CSV_FOLDER = "logs"


class TableLogger(RunLogger, CSVLogger):
    """Rows in run_dir/logs, in a file for each attempt: Lightning's own logger would overwrite the one before."""

    def __init__(self, run_dir: Path, start: int) -> None:
        super().__init__(run_dir, name=CSV_FOLDER, version=f"from_step_{start:08d}")

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml beside the checkpoint is the table's."""


def make_loggers(
    settings: TrackingSettings,
    run_dir: Path,
    start: int | None,
    run_name: str,
    tags: dict[str, str],
    own: Iterable[Logger] | None = None,
) -> tuple[list[Logger], list[Guard]]:
    """Make the loggers that the settings name; csv comes first, so that Lightning's own folder is the run's.

    Parameters
    ----------
    settings : TrackingSettings
        Which loggers, and where MLflow's store is.
    run_dir : Path
        Working folder of the run.
    start : int, optional
        Step from which the run goes on; None where it begins.
    run_name : str
        What MLflow calls the run.
    tags : dict
        Tags of the MLflow run.
    own : iterable of Logger, optional
        Those named by class path, where `own_loggers` has made them already.

    Returns
    -------
    loggers : list of Logger
        In the order of their names in the settings, csv first.
    guards : list of Guard
        What keeps each from ending the training, once it has begun.

    Raises
    ------
    InputError
        Where a class path names no logger that is installed, or MLflow's store cannot be reached.
    """
    made: list[Logger] = []
    begun, others = start is not None or not settings.require, iter(own_loggers(settings) if own is None else own)
    chosen = sorted(settings.logger, key=lambda choice: choice != "csv")
    for choice in chosen:
        if choice == "csv":
            made.append(TableLogger(run_dir, start or 0))
        elif choice == "tensorboard":
            made.append(EventLogger(run_dir))
        elif choice == "mlflow":
            uri, resumed = store_uri(settings.mlflow_tracking_uri), start is not None
            made.append(
                MLflowRunLogger(
                    uri,
                    settings.mlflow_experiment,
                    run_dir,
                    run_name,
                    tags,
                    resumed,
                    settings.require,
                    parents_of(tags),
                    settings.system_metrics,
                )
            )
        else:
            made.append(next(others))
    names = [choice if isinstance(choice, str) else choice["class_path"] for choice in chosen]
    return made, [Guard(logger, name, begun) for logger, name in zip(made, names, strict=True)]


def own_loggers(settings: TrackingSettings) -> list[Logger]:
    """Make the loggers that are named by class path.

    Raises
    ------
    InputError
        Where one names no logger that is installed.
    """
    return [made_by(choice, Logger, "logger") for choice in settings.logger if isinstance(choice, dict)]


def close(loggers: list[Logger]) -> None:
    """End what runs beside the training; MLflow gets what waits for it, if it takes it now."""
    for logger in of_the_house(loggers):
        logger.close()


def read_rows(logs: Path) -> list[dict[str, str]]:
    """Rows of all attempts of a run, those of one step joined; of steps done twice, the later attempt's stay.

    Parameters
    ----------
    logs : Path
        Folder with from_step_*/metrics.csv, one for each attempt.
    """
    attempts = sorted(logs.glob("from_step_*/metrics.csv"))
    starts = [int(path.parent.name.removeprefix("from_step_")) for path in attempts]
    rows: dict[int, dict[str, str]] = {}
    for path, end in zip(attempts, [*starts[1:], sys.maxsize], strict=True):
        with open(path, newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if (step := int(row["step"])) < end:
                    rows.setdefault(step, {}).update({key: value for key, value in row.items() if value})
    return [rows[step] for step in sorted(rows)]


def collect_metrics(logs: Path, target: Path) -> None:
    """Join the CSV logs of all attempts of a run into one metrics.csv with a row for each step."""
    rows = read_rows(logs)
    columns = ["epoch", "step", *sorted({key for row in rows for key in row} - {"epoch", "step"})]
    with replacing(target) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
