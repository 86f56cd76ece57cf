"""What is kept of a training."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from ptychoflow.errors import InputError
from ptychoflow.settings.values import PROGRAM_ONLY, Count, Natural, Settings

LOGGERS = ("csv", "tensorboard", "mlflow", "none")


@dataclass
class TrackingSettings(Settings):
    """What is kept of a training: where its metrics go, and which images and predictions.

    Parameters
    ----------
    logger : list
        Any of `csv`, `tensorboard` and `mlflow`, or `none`; or another Lightning logger as
        `{class_path: ..., init_args: {...}}`. The workflow adds `csv` where it is missing.
    log_every_n_steps : int
        Steps between two values of the step metrics.
    mlflow_tracking_uri : str, optional
        MLflow's server or SQLite store; by default `MLFLOW_TRACKING_URI`, else `results/mlflow/mlflow.db`.
    mlflow_experiment : str
        MLflow's experiment, in which all runs stand side by side.
    require : bool
        Refuse to begin a training whose store cannot be reached; without it the store may come later, as it may in the
        midst of any training.
    log_checkpoint : bool
        Put model.ckpt into MLflow as well, as a model that `mlflow.pyfunc.load_model` takes.
    register_as : str, optional
        Name of a model in MLflow's registry, of which that model becomes the next version.
    register_alias : str, optional
        Alias of that version, such as `champion`.
    system_metrics : bool
        Tell MLflow what processor, memory, disk, network and GPU are busy with.
    recon_log_every_n_epochs : int, optional
        Epochs between two sets of reconstruction images; none if not given, 5 when just switched on (`true`).
    recon_log_num_patches : int
        Patches that are drawn.
    recon_log_fixed_indices : list of int, optional
        Which of the validation frames are drawn, counted from 0; evenly spaced ones if not given.
    recon_log_stitch : bool
        Draw the stitched object of the first scan as well.
    recon_log_max_stitch_samples : int, optional
        Frames to stitch, those nearest to the middle of the scan; all if not given.
    write_predictions : list
        List of `hdf5`, `npy`, `png`, `tiff`, `csv`, `parquet`: files of predicted patches and tables of frames that
        validation and test leave in the run folder; or a format of one's own as `{class_path: ..., init_args: {...}}`.
    metrics : dict
        Metrics of one's own by name, each as `{class_path: ..., init_args: {...}}`; see docs/extending.md.
    callbacks : list
        Lightning callbacks of one's own, each as `{class_path: ..., init_args: {...}}`.
    tags : dict
        More tags of the run, such as the experiment it belongs to.
    """

    logger: list[str | dict[str, Any]] | dict[str, Any] | str = "csv"
    log_every_n_steps: Count = 10
    mlflow_tracking_uri: str | None = None
    mlflow_experiment: str = "ptychoflow"
    require: bool = True
    log_checkpoint: bool = True
    register_as: str | None = None
    register_alias: str | None = None
    system_metrics: bool = True
    recon_log_every_n_epochs: Count | bool | None = None
    recon_log_num_patches: Count = 4
    recon_log_fixed_indices: list[Natural] | None = None
    recon_log_stitch: bool = False
    recon_log_max_stitch_samples: Count | None = None
    write_predictions: list[Literal["hdf5", "npy", "png", "tiff", "csv", "parquet"] | dict[str, Any]] = field(
        default_factory=list
    )
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict, metadata=PROGRAM_ONLY)

    def settle(self) -> None:
        for key in ("write_predictions", "callbacks"):
            for choice in getattr(self, key):
                if isinstance(choice, dict) and "class_path" not in choice:
                    raise InputError(f"{key} has {choice}: expected a class_path")
        for name, choice in self.metrics.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or "class_path" not in choice:
                raise InputError(f"metrics has {name}: {choice}: expected a plain name and a class_path")
        if self.register_as is None and self.register_alias is not None:
            raise InputError(f"register_alias is {self.register_alias} without register_as: expected a model's name")
        if self.register_as is not None and not self.log_checkpoint:
            raise InputError(f"register_as is {self.register_as} without log_checkpoint: expected a model to register")
        if not isinstance(self.logger, list):
            self.logger = [self.logger]
        if self.logger and all(isinstance(logger, str) for logger in self.logger):
            self.logger = [name.strip() for name in ",".join(self.logger).split(",")]
        for logger in self.logger:
            known = logger in LOGGERS if isinstance(logger, str) else "class_path" in logger
            if not known:
                raise InputError(f"logger is {logger}: expected any of {', '.join(LOGGERS)}, or a class_path")
        if "none" in self.logger:
            if len(self.logger) > 1:
                raise InputError("logger names none beside others: expected none alone, or the others")
            self.logger = []
        if isinstance(self.recon_log_every_n_epochs, bool):
            self.recon_log_every_n_epochs = 5 if self.recon_log_every_n_epochs else None
