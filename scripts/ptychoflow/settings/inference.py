"""How a trained network reconstructs a scan, and how its patches are stitched."""

from dataclasses import dataclass
from typing import Literal

from ptychoflow.settings.values import Count, Settings, ShareBelowOne


@dataclass
class InferenceSettings(Settings):
    """How a trained network reconstructs a scan.

    Parameters
    ----------
    probe : {"dataset", "checkpoint"}
        `dataset`: each test dataset's own probe; `checkpoint`: the probe that training refined.
    batch_size : int
        Frames at a time, where the network takes frames one by one or in groups.
    tile_frames : int
        Frames that are reconstructed together, where the network joins frames (`unrolled`).
    single_shot : bool
        Reconstruct every frame by itself all the same.
    held_out : float, optional
        Share of the frames that are left out of the image and judge it, drawn by the seed; `validation_fraction` of the
        training if not given.
    """

    probe: Literal["dataset", "checkpoint"] = "dataset"
    batch_size: Count = 16
    tile_frames: Count = 512
    single_shot: bool = False
    held_out: ShareBelowOne | None = None


def phase_rounds(together: bool) -> int:
    """How often patches are brought to one phase: those that were reconstructed together agree but for their tiles."""
    return 1 if together else 5
