"""How a network is trained for one experiment."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ptychoflow.settings.values import (
    PROGRAM_ONLY,
    Accelerator,
    Count,
    NotNegative,
    Positive,
    Settings,
    Share,
    ShareBelowOne,
)

FRAMES_IN_MEMORY = 16384
"""Frames that programs hold in memory at a time unless they are told another number."""


@dataclass
class GroupSettings(Settings):
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

    section: ClassVar[str] = "groups"
    size: Count = 16
    neighbours: Count = 30
    per_anchor: Count = 1

    def settle(self) -> None:
        if self.size > 1 and self.neighbours < self.size:
            raise self.wrong("neighbours", f"expected at least groups.size, {self.size}")


@dataclass
class RegionSettings(Settings):
    """The part of the scanned field whose frames are used, as fractions of the scan's extent.

    Parameters
    ----------
    rows : tuple of float
        Lower and upper end along the rows, 0 to 1.
    columns : tuple of float
        Lower and upper end along the columns, 0 to 1.
    """

    section: ClassVar[str] = "region"
    rows: tuple[Share, Share] = (0.0, 1.0)
    columns: tuple[Share, Share] = (0.0, 1.0)

    def settle(self) -> None:
        for key in ("rows", "columns"):
            low, high = getattr(self, key)
            if not low < high:
                raise self.wrong(key, "expected two rising fractions between 0 and 1")


@dataclass
class TrainingSettings(Settings):
    """How a network is trained.

    Parameters
    ----------
    max_epochs : int
        Passes over the training frames.
    batch_size : int
        Groups in a step, of each process.
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
        Learning rate of the probe, in units of the largest amplitude of the probe given.
    probe_delay : float
        Share of all steps during which the probe stays as it was given.
    learn_flux : bool
        For counts that are not absolute: take the flux from the brightest frames, whatever the file says, and learn one
        factor between modelled and measured intensities from there; not in `unrolled`, whose object takes up any
        factor. A scan that is reconstructed later has its flux from its own frames, too.
    freeze_encoder : bool
        Keep the encoding half of the network as it is, to fine-tune the decoding half alone.
    precision : {"auto", "32-true", "bf16-mixed"}
        Arithmetic of the network: `32-true`, or `bf16-mixed`, or `auto`, which is `bf16-mixed` on one node whose
        CPU has instructions for bfloat16 and trains, and else `32-true`; see docs/speed.md. The diffraction model is
        always computed in float32.
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

    retired: ClassVar[dict[str, str]] = {"compile": "compiled networks train no faster"}
    max_epochs: Count = 50
    batch_size: Count = 2
    learning_rate: Positive = 3e-3
    weight_decay: NotNegative = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: ShareBelowOne = 0.05
    gradient_clip: NotNegative = 1.0
    loss: Literal["poisson", "amplitude_mse", "amplitude_mae"] = "poisson"
    supervised: bool = False
    total_variation: NotNegative = 0.0
    groups: GroupSettings = field(default_factory=GroupSettings)
    region: RegionSettings = field(default_factory=RegionSettings)
    n_groups: Count | None = None
    frames_in_memory: Count = FRAMES_IN_MEMORY
    validation_fraction: ShareBelowOne = 0.05
    early_stopping: Count | None = None
    publish: Literal["best", "last"] = "last"
    train_probe: bool = False
    probe_learning_rate: Positive = 1e-3
    probe_delay: ShareBelowOne = 0.2
    learn_flux: bool = False
    freeze_encoder: bool = False
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    deterministic: bool = True
    accelerator: Accelerator = field(default="auto", metadata=PROGRAM_ONLY)
    devices: Count = 1
    num_nodes: Count = 1
    strategy: str = "auto"
