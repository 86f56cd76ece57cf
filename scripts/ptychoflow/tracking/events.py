"""TensorBoard events of a run: curves, pictures, and what its tabs HPARAMS and CUSTOM SCALARS compare runs by."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import flattened, names_of, plain
from ptychoflow.tracking.run_logger import RunLogger

EVENTS_FOLDER = "tensorboard"
PLACES = ("train_data_file", "test_data_file", "init_from", *names_of(TrackingSettings))
"""What of a config does not tell why one run is better than another."""
USUAL = flattened({"model": plain(ModelSettings()), **plain(TrainingSettings())})
"""Settings as they are by default."""
MACHINE = ("accelerator", "devices", "num_nodes", "strategy", "precision", "compile", "frames_in_memory")
"""Settings that follow the machine."""
SCORES = ("amplitude_ssim", "phase_ssim", "amplitude_psnr", "phase_psnr", "frc_half", "deviance")
COMPARED = (
    *(f"{mode}/loss/epoch" for mode in ("train", "val", "test")),
    *(f"{mode}/metrics/{score}/epoch" for mode in ("val", "test") for score in SCORES),
)
"""Metrics whose last values stand beside the hyperparameters."""
LAYOUT = {
    "losses": {
        name: ["Multiline", [f"^(train|val)/loss/{path}epoch$"]]
        for name, path in (("loss", ""), ("poisson", "poisson/"), ("amplitude", "amplitude/"))
    },
    "metrics": {score: ["Multiline", [f"^(train|val)/metrics/{score}/epoch$"]] for score in SCORES},
}
"""Charts of CUSTOM SCALARS: training and validation in one."""


class EventLogger(RunLogger, TensorBoardLogger):
    """TensorBoard events in run_dir/tensorboard."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, name=None, version=EVENTS_FOLDER, default_hp_metric=False)
        self.last_steps = last_event_steps(run_dir / EVENTS_FOLDER)
        self.end: Any = None

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log the settings for HPARAMS; the metrics beside them are the last values of the curves."""
        from torch.utils.tensorboard.summary import hparams

        settings = vars(params) if isinstance(params, Namespace) else params
        told = flattened({key: value for key, value in settings.items() if key not in PLACES})
        written = {key: value if isinstance(value, int | float | str) else str(value) for key, value in told.items()}
        experiment, start, self.end = hparams(written, dict.fromkeys(COMPARED, 0.0))
        changed = {key for key, value in told.items() if USUAL.get(key, value) != value} - set(MACHINE)
        _put_first(experiment, changed | {key for key in told if key.startswith("model.")})
        for summary in (experiment, start):
            self.experiment.file_writer.add_summary(summary)
        self.experiment.add_custom_scalars(LAYOUT)

    @rank_zero_only
    def log_pictures(self, folder: Path, pictures: dict[str, np.ndarray], step: int) -> None:
        """Log all pictures, but those of which there is one of this step or a later one."""
        for name in self.new_ones(pictures, step):
            self.experiment.add_image(name, pictures[name], step, dataformats="HWC")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Say that the session ended well; of one that did not, its status stays unknown."""
        if status == "success" and self.end is not None:
            self.experiment.file_writer.add_summary(self.end)
            self.end = None
        super().finalize(status)


def _put_first(experiment: Any, names: set[str]) -> None:
    """Let HPARAMS begin with some of the settings of an experiment's summary: it shows five, and sorts by name."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = experiment.value[0].metadata.plugin_data
    data = HParamsPluginData.FromString(content.content)
    for info in data.experiment.hparam_infos:
        info.differs = info.name in names
    content.content = data.SerializeToString()


def last_event_steps(folder: Path) -> dict[str, int]:
    """Last step of each scalar and image in a folder of TensorBoard events; empty where there are none."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 1, "images": 1})
    events.Reload()
    steps = {key: events.Scalars(key)[-1].step for key in events.Tags()["scalars"]}
    return steps | {key: events.Images(key)[-1].step for key in events.Tags()["images"]}
