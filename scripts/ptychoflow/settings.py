"""Settings of models, training and inference as plain dataclasses: what a config file or a command line may say.

No torch here, so that a program can answer ``--help`` and refuse a bad setting at once.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from ptychoflow.errors import InputError

FRAMES_IN_MEMORY = 16384
"""Frames that programs hold in memory at a time unless they are told another number."""
LOGGERS = ("csv", "tensorboard", "mlflow", "none")


@dataclass
class ModelSettings:
    """The network.

    Parameters
    ----------
    name : {"unrolled", "unet", "autoencoder"}
        Architecture: learned PIE iterations, a U-Net on amplitudes, or the plain encoder-decoder of PtychoPINN.
    features : int
        Channels at full resolution; they double with each halving of the resolution.
    depth : int, optional
        How often the resolution is halved; if not given, once in `unrolled` and twice in the others.
    iterations : int
        Learned iterations of `unrolled`; the other models ignore it.
    share_weights : bool
        Whether all iterations of `unrolled` use one set of weights.
    """

    name: Literal["unrolled", "unet", "autoencoder"] = "unrolled"
    features: int = 12
    depth: int | None = None
    iterations: int = 10
    share_weights: bool = False

    def __post_init__(self) -> None:
        if self.depth is None:
            self.depth = 1 if self.name == "unrolled" else 2
        for key in ("features", "depth", "iterations"):
            at_least(f"model.{key}", getattr(self, key), 1)

    @property
    def joins_frames(self) -> bool:
        """Whether the network reconstructs any number of frames together, as patches of one object."""
        return self.name == "unrolled"


@dataclass
class GroupSettings:
    """Groups of overlapping frames that share one object region.

    Parameters
    ----------
    size : int
        Frames C of a group; 1 is single-shot, without overlap constraint, which a strong probe curvature must make up.
    neighbours : int
        Nearest positions K, the anchor included, among which the frames of a group are drawn.
    per_anchor : int
        Groups drawn round each frame in every epoch.
    """

    size: int = 16
    neighbours: int = 30
    per_anchor: int = 1

    def __post_init__(self) -> None:
        at_least("groups.size", self.size, 1)
        at_least("groups.per_anchor", self.per_anchor, 1)
        if self.size > 1 and self.neighbours < self.size:
            raise InputError(f"groups.neighbours is {self.neighbours}: expected at least groups.size, {self.size}")


@dataclass
class RegionSettings:
    """The part of the scanned field whose frames are used, as fractions of the scan's extent.

    Parameters
    ----------
    rows : tuple of float
        Lower and upper end along the rows, 0 to 1.
    columns : tuple of float
        Lower and upper end along the columns, 0 to 1.
    """

    rows: tuple[float, float] = (0.0, 1.0)
    columns: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for key in ("rows", "columns"):
            setattr(self, key, tuple(getattr(self, key)))
            low, high = getattr(self, key)
            if not 0 <= low < high <= 1:
                raise InputError(f"region.{key} is [{low}, {high}]: expected two rising fractions between 0 and 1")


@dataclass
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    max_epochs : int
        Passes over the training frames.
    batch_size : int
        Groups in a step.
    learning_rate : float
        Peak learning rate of the network.
    weight_decay : float
        Decoupled weight decay of AdamW.
    schedule : {"cosine", "constant"}
        Learning rate after a short warm-up: falling to zero as a half cosine, or constant.
    warmup : float
        Share of all steps over which the learning rate rises linearly.
    gradient_clip : float
        Largest gradient norm; 0 clips nothing.
    loss : {"poisson", "amplitude_mse", "amplitude_mae"}
        How the modelled intensity is compared with the measured photons.
    supervised : bool
        Train against the dataset's true object patches instead of its photons: the twin baseline of the papers.
    total_variation : float
        Weight of the object's total variation in the loss, which smooths; 0 leaves it out.
    groups : GroupSettings
        Groups of overlapping frames.
    region : RegionSettings
        The part of each scan that is trained on.
    n_groups : int, optional
        Training frames round which groups are formed, drawn from each scan by the seed; all if not given.
    frames_in_memory : int
        Frames held in memory at a time; where the scans have more, they are read from their files piece by piece, each
        piece once in an epoch.
    validation_fraction : float
        Share of the frames that is held out to choose the best checkpoint.
    early_stopping : int, optional
        Epochs without a better validation loss after which training ends; never if not given.
    publish : {"best", "last"}
        Which checkpoint becomes model.ckpt: the least validation loss, or the end of training.
    train_probe : bool
        Refine the probe together with the network; its power stays, which it might trade with the object.
    probe_learning_rate : float
        Learning rate of the probe, in units of max|P|.
    probe_delay : float
        Share of all steps during which the probe stays as it was given.
    learn_flux : bool
        For counts that are not absolute: take the flux from the brightest frames, whatever the file says, and learn one
        factor between modelled and measured intensities from there, but in `unrolled`, whose object has any factor.
    freeze_encoder : bool
        Keep the encoding half of the network as it is, to fine-tune the decoding half alone.
    precision : {"auto", "32-true", "bf16-mixed"}
        Arithmetic of the network, `auto` being `bf16-mixed` on one node whose processor has instructions for bfloat16,
        else `32-true`; the diffraction model is always computed in float32.
    compile : bool
        Compile the network with torch.compile; pays off on GPUs only, and is left out elsewhere.
    deterministic : bool
        Insist on deterministic kernels, on GPUs too.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to train on, by Lightning's names.
    devices : int
        Devices on each node.
    num_nodes : int
        Nodes.
    strategy : str
        Lightning's strategy, such as auto or ddp.
    """

    max_epochs: int = 50
    batch_size: int = 2
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.05
    gradient_clip: float = 1.0
    loss: Literal["poisson", "amplitude_mse", "amplitude_mae"] = "poisson"
    supervised: bool = False
    total_variation: float = 0.0
    groups: GroupSettings = field(default_factory=GroupSettings)
    region: RegionSettings = field(default_factory=RegionSettings)
    n_groups: int | None = None
    frames_in_memory: int = FRAMES_IN_MEMORY
    validation_fraction: float = 0.05
    early_stopping: int | None = None
    publish: Literal["best", "last"] = "last"
    train_probe: bool = False
    probe_learning_rate: float = 1e-3
    probe_delay: float = 0.2
    learn_flux: bool = False
    freeze_encoder: bool = False
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: bool = False
    deterministic: bool = True
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        for key in ("max_epochs", "batch_size", "frames_in_memory", "devices", "num_nodes"):
            at_least(key, getattr(self, key), 1)
        for key in ("n_groups", "early_stopping"):
            if getattr(self, key) is not None:
                at_least(key, getattr(self, key), 1)
        for key in ("weight_decay", "gradient_clip", "total_variation"):
            at_least(key, getattr(self, key), 0)
        for key in ("warmup", "validation_fraction", "probe_delay"):
            if not 0 <= getattr(self, key) < 1:
                raise InputError(f"{key} is {getattr(self, key)}: expected a fraction of at least 0 and below 1")
        for key in ("learning_rate", "probe_learning_rate"):
            if not getattr(self, key) > 0:
                raise InputError(f"{key} is {getattr(self, key)}: expected a positive number")

    @classmethod
    def of(cls, values: dict[str, Any]) -> "TrainingSettings":
        """Settings from plain containers, such as `plain` gives or a config file holds."""
        nested = {"groups": GroupSettings, "region": RegionSettings}
        return cls(**{key: nested[key](**value) if key in nested else value for key, value in values.items()})


@dataclass
class InferenceSettings:
    """How a trained network reconstructs a scan.

    Parameters
    ----------
    probe : {"dataset", "checkpoint"}
        The dataset's own probe, or the one that training refined.
    batch_size : int
        Frames at a time, where the network takes frames one by one or in groups.
    tile_frames : int
        Frames that are reconstructed together, where the network joins frames.
    single_shot : bool
        Reconstruct every frame by itself all the same.
    held_out : float, optional
        Share of the frames that are left out of the image and judge it, drawn by the seed; `validation_fraction` of the
        training if not given.
    """

    probe: Literal["dataset", "checkpoint"] = "dataset"
    batch_size: int = 16
    tile_frames: int = 512
    single_shot: bool = False
    held_out: float | None = None

    def __post_init__(self) -> None:
        for key in ("batch_size", "tile_frames"):
            at_least(key, getattr(self, key), 1)
        if self.held_out is not None and not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}: expected a fraction of at least 0 and below 1")


@dataclass
class BlindSettings:
    """The blind network, which solves for the probe as well.

    Parameters
    ----------
    features : int
        Channels of its U-Net at full resolution; they double with each halving of the resolution.
    depth : int
        How often the resolution is halved.
    """

    features: int = 16
    depth: int = 2

    def __post_init__(self) -> None:
        for key in ("features", "depth"):
            at_least(f"blind.{key}", getattr(self, key), 1)


@dataclass
class PretrainingSettings:
    """How the blind network is trained, on scans that a recipe draws one after another.

    In each epoch new scans are reconstructed by the network as it is; from the states on the way it learns corrections,
    and from how the reconstructions end it learns the rates.

    Parameters
    ----------
    max_epochs : int
        Epochs.
    scans_per_epoch : int
        Scans that are reconstructed in an epoch, each twice, by rates a little off to either side.
    scans_at_once : int
        Scans that are reconstructed side by side.
    canvas : int
        Edge in pixels of the objects; scans that reach farther are drawn anew.
    iterations : tuple of int
        Fewest and most iterations of a reconstruction.
    states_per_scan : int
        States of each reconstruction that are kept, drawn over its iterations.
    judges : int
        Frames of a scan that are left out of its iterations and judge them.
    probe_modes : int
        Most modes that are solved for; it is drawn how many.
    batch_size : int
        States in a step of the corrections.
    passes : int
        Passes over the states of an epoch.
    crop : int
        Edge in pixels of the part of an object that is looked at, a multiple of 2**depth.
    learning_rate : float
        Peak learning rate of the corrections.
    weight_decay : float
        Decoupled weight decay of AdamW.
    gradient_clip : float
        Largest gradient norm.
    rates_learning_rate : float
        Peak learning rate of the rates, which are logarithms of factors.
    rates_spread : float
        Root mean square by which rates are off in a trial.
    validation_scans : int
        Scans, never trained on, that are reconstructed with and without corrections.
    workers : int
        Processes that simulate; 0 simulates in the training's own.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to train on, by Lightning's names.
    """

    max_epochs: int = 24
    scans_per_epoch: int = 128
    scans_at_once: int = 16
    canvas: int = 192
    iterations: tuple[int, int] = (15, 30)
    states_per_scan: int = 4
    judges: int = 8
    probe_modes: int = 3
    batch_size: int = 16
    passes: int = 2
    crop: int = 96
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    rates_learning_rate: float = 0.03
    rates_spread: float = 0.1
    validation_scans: int = 32
    workers: int = 0
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        self.iterations = tuple(self.iterations)
        for key in (
            *("max_epochs", "scans_per_epoch", "scans_at_once", "canvas", "states_per_scan", "judges", "probe_modes"),
            *("batch_size", "passes", "crop"),
        ):
            at_least(f"pretraining.{key}", getattr(self, key), 1)
        if not 1 <= self.iterations[0] <= self.iterations[1]:
            raise InputError(f"pretraining.iterations is {list(self.iterations)}: expected two rising numbers from 1")
        if self.crop > self.canvas:
            raise InputError(f"pretraining.crop is {self.crop}: expected at most the canvas, {self.canvas}")


@dataclass
class TrackingSettings:
    """What is kept of a training: where its metrics go, and which images and predictions.

    Parameters
    ----------
    logger : list
        Any of csv, tensorboard, mlflow, or none; or another Lightning logger as {class_path: ..., init_args: {...}}.
    log_every_n_steps : int
        Steps between two values of the step metrics.
    mlflow_tracking_uri : str, optional
        MLflow's server or SQLite store; by default MLFLOW_TRACKING_URI, else results/mlflow/mlflow.db.
    mlflow_experiment : str
        MLflow's experiment, in which all runs stand side by side.
    log_checkpoint : bool
        Put model.ckpt into the MLflow run as well.
    recon_log_every_n_epochs : int, optional
        Epochs between two sets of reconstruction images; none if not given, 5 when just switched on.
    recon_log_num_patches : int
        Patches that are drawn.
    recon_log_fixed_indices : list of int, optional
        Which of the validation frames are drawn, counted from 0; evenly spaced ones if not given.
    recon_log_stitch : bool
        Draw the stitched object of the first scan as well.
    recon_log_max_stitch_samples : int, optional
        Frames to stitch, those nearest to the middle of the scan; all if not given.
    write_predictions : list of {"hdf5", "npy", "png", "tiff", "csv", "parquet"}
        Files of predicted patches and tables of frames that validation and test leave in the run folder.
    tags : dict
        More tags of the run, such as the experiment it belongs to.
    """

    logger: list[str | dict[str, Any]] | dict[str, Any] | str = "csv"
    log_every_n_steps: int = 10
    mlflow_tracking_uri: str | None = None
    mlflow_experiment: str = "ptychoflow"
    log_checkpoint: bool = False
    recon_log_every_n_epochs: int | bool | None = None
    recon_log_num_patches: int = 4
    recon_log_fixed_indices: list[int] | None = None
    recon_log_stitch: bool = False
    recon_log_max_stitch_samples: int | None = None
    write_predictions: list[Literal["hdf5", "npy", "png", "tiff", "csv", "parquet"]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
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
        for key in ("recon_log_every_n_epochs", "recon_log_max_stitch_samples"):
            if getattr(self, key) is not None:
                at_least(key, getattr(self, key), 1)
        for key in ("log_every_n_steps", "recon_log_num_patches"):
            at_least(key, getattr(self, key), 1)
        for index in self.recon_log_fixed_indices or ():
            at_least("recon_log_fixed_indices", index, 0)


def phase_rounds(together: bool) -> int:
    """How often patches are brought to one phase: those that were reconstructed together agree but for their tiles."""
    return 1 if together else 5


def plain(settings: Any) -> dict[str, Any]:
    """Settings as plain containers that YAML, JSON and a checkpoint can hold, tuples as lists."""
    return json.loads(json.dumps(asdict(settings)))


def names_of(settings: type) -> list[str]:
    """Names of the fields of a settings class."""
    return [field.name for field in fields(settings)]


def at_least(key: str, value: float, least: int) -> None:
    """Refuse a value that is too small."""
    if value < least:
        raise InputError(f"{key} is {value}: expected at least {least}")
