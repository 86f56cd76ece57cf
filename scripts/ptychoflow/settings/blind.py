"""The blind network, which solves for the probe as well, and how it is trained."""

from dataclasses import dataclass, field
from typing import ClassVar

from ptychoflow.settings.values import (
    PROGRAM_ONLY,
    Accelerator,
    Count,
    Natural,
    NotNegative,
    Positive,
    Settings,
    ShareBelowOne,
)

PRETRAINED = "pretrained"
"""What the shipped weights are called wherever a network is named, and what a checkpoint of the kind says it is."""


@dataclass
class BlindSettings(Settings):
    """The blind network, which solves for the probe as well.

    Parameters
    ----------
    features : int
        Channels of its U-Net at full resolution; they double with each halving of the resolution.
    depth : int
        How often the resolution is halved.
    """

    section: ClassVar[str] = "blind"
    features: Count = 16
    depth: Count = 2


@dataclass
class PretrainingSettings(Settings):
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

    section: ClassVar[str] = "pretraining"
    max_epochs: Count = 24
    scans_per_epoch: Count = 128
    scans_at_once: Count = 16
    canvas: Count = 192
    iterations: tuple[Count, Count] = (15, 30)
    states_per_scan: Count = 4
    judges: Count = 8
    probe_modes: Count = 3
    batch_size: Count = 16
    passes: Count = 2
    crop: Count = 96
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-4
    gradient_clip: NotNegative = 1.0
    rates_learning_rate: Positive = 0.03
    rates_spread: NotNegative = 0.1
    validation_scans: Count = 32
    workers: Natural = 0
    accelerator: Accelerator = field(default="auto", metadata=PROGRAM_ONLY)

    def settle(self) -> None:
        if not self.iterations[0] <= self.iterations[1]:
            raise self.wrong("iterations", "expected two rising numbers from 1")
        if self.crop > self.canvas:
            raise self.wrong("crop", f"expected at most the canvas, {self.canvas}")


@dataclass
class TuningSettings(Settings):
    """How the blind network is tuned on scans themselves, whose true objects nobody knows.

    In each epoch the scans are reconstructed by the network as it is, from some of their frames; it learns corrections
    of the objects on the way that explain the other frames better.

    Parameters
    ----------
    max_epochs : int
        Epochs.
    scans_per_epoch : int, optional
        Scans that are reconstructed in an epoch, others in the next; all if not given.
    steps_per_epoch : int
        Steps after these reconstructions.
    batch_size : int
        States of reconstructions in a step.
    targets : float
        Share of the frames that a reconstruction is not given and that corrections must explain, drawn anew in each
        epoch.
    frames_per_state : int
        How many of these frames judge a correction in a step.
    window : int
        Edge in pixels of the part of an object that is corrected in a step, about one of these frames.
    held_out : float
        Share of the frames that no tuning sees, drawn by the seed as a reconstruction of the same seed draws its own.
    learning_rate : float
        Peak learning rate.
    weight_decay : float
        Decoupled weight decay of AdamW.
    gradient_clip : float
        Largest gradient norm.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to train on, by Lightning's names.
    """

    section: ClassVar[str] = "tuning"
    max_epochs: Count = 5
    scans_per_epoch: Count | None = None
    steps_per_epoch: Count = 80
    batch_size: Count = 2
    targets: ShareBelowOne = 0.3
    frames_per_state: Count = 32
    window: Count = 256
    held_out: ShareBelowOne = 0.05
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 1e-4
    gradient_clip: NotNegative = 1.0
    accelerator: Accelerator = field(default="auto", metadata=PROGRAM_ONLY)

    def settle(self) -> None:
        if not self.targets > 0:
            raise self.wrong("targets", "expected a share above 0")
