"""Lightning's loggers by name, made so that a run which goes on after an interruption logs no step twice."""

import csv
import sys
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.tracking.mlflow_runs import MLflowRunLogger, store_uri
from ptychoflow.tracking.new_steps import OnlyNewSteps

CSV_FOLDER, EVENTS_FOLDER = "logs", "tensorboard"


class TableLogger(OnlyNewSteps, CSVLogger):
    """Rows in run_dir/logs, in a file for each attempt: Lightning's own logger would overwrite the one before."""

    def __init__(self, run_dir: Path, start: int) -> None:
        super().__init__(run_dir, name=CSV_FOLDER, version=f"from_step_{start:08d}")

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: config.yaml beside the checkpoint is the table's."""


class EventLogger(OnlyNewSteps, TensorBoardLogger):
    """TensorBoard events in run_dir/tensorboard."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, name=None, version=EVENTS_FOLDER, default_hp_metric=False)
        self.last_steps = last_event_steps(run_dir / EVENTS_FOLDER)

    @rank_zero_only
    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Log an image (H, W, 3) uint8, unless it has one of this step or a later one."""
        if step > self.last_steps.get(name, -1):
            self.last_steps[name] = step
            self.experiment.add_image(name, picture, step, dataformats="HWC")


def make_loggers(settings: TrackingSettings, run_dir: Path, start: int, run_name: str, tags: dict[str, str]) -> list:
    """Make the loggers that the settings name; csv comes first, so that Lightning's own folder is the run's.

    Parameters
    ----------
    settings : TrackingSettings
        Which loggers, and where MLflow's store is.
    run_dir : Path
        Working folder of the run.
    start : int
        Step from which the run goes on, 0 at its beginning.
    run_name : str
        What MLflow calls the run.
    tags : dict
        Tags of the MLflow run.

    Raises
    ------
    InputError
        Where a class path names no logger that is installed, or MLflow's store cannot be reached.
    """
    made: list[Logger] = []
    for choice in sorted(settings.logger, key=lambda choice: choice != "csv"):
        if choice == "csv":
            made.append(TableLogger(run_dir, start))
        elif choice == "tensorboard":
            made.append(EventLogger(run_dir))
        elif choice == "mlflow":
            uri = store_uri(settings.mlflow_tracking_uri)
            made.append(MLflowRunLogger(uri, settings.mlflow_experiment, run_dir, run_name, tags, resumed=start > 0))
        else:
            made.append(_by_class_path(choice))
    return made


def _by_class_path(choice: dict[str, Any]) -> Logger:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--logger", type=Logger)
    try:
        return parser.instantiate(parser.parse_object({"logger": choice})).logger
    except (jsonargparse.ArgumentError, ImportError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"logger {choice['class_path']} cannot be made ({reason:.300}): expected an installed Lightning logger"
        ) from None


def last_event_steps(folder: Path) -> dict[str, int]:
    """Last step of each scalar and image in a folder of TensorBoard events; empty where there are none."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 1, "images": 1})
    events.Reload()
    steps = {key: events.Scalars(key)[-1].step for key in events.Tags()["scalars"]}
    return steps | {key: events.Images(key)[-1].step for key in events.Tags()["images"]}


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
