"""Follow a growing file, and keep the pictures of a live reconstruction up to date.

Nothing here imports Lightning, scipy or matplotlib before the frames have ended: that alone would take longer than the
first picture may.
"""

import logging
import time
from pathlib import Path
from typing import Literal

import torch

from ptychoflow.blind.pretrained import is_blind
from ptychoflow.dataset.growing import GrowingScan
from ptychoflow.errors import InputError
from ptychoflow.live.following import AMPLITUDE, PHASE, Watch
from ptychoflow.live.trained_watching import TrainedWatch
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

log = logging.getLogger(__name__)


def watch(
    checkpoint: Path | None,
    data: Path,
    output: Path,
    probe: Literal["dataset", "checkpoint"] = "dataset",
    every: float = 1.0,
    timeout: float = 10.0,
    final: Literal["whole", "running"] = "whole",
    device: torch.device | None = None,
    blind: BlindReconstructionSettings | None = None,
) -> None:
    """Follow a growing file; parameters are those of scripts/watch.py, and no checkpoint is the pretrained one."""
    device, usual = device or torch.device("cpu"), BlindReconstructionSettings()
    by_blind_network = checkpoint is None or is_blind(load_checkpoint(checkpoint)["ptychoflow"])
    if by_blind_network and probe == "checkpoint":
        raise InputError("probe is checkpoint: expected dataset, since a blind network solves for it and holds none")
    if not by_blind_network and blind not in (None, usual):
        raise InputError(f"{checkpoint} was trained for its own probe: expected no settings of blind beside it")
    with GrowingScan(data, timeout) as scan:
        if by_blind_network:
            from ptychoflow.live.blind_watching import BlindWatch

            watching: Watch = BlindWatch(checkpoint, scan, output, blind or usual, final, device)
        else:
            watching = TrainedWatch(checkpoint, scan, output, probe, device)
        reason = watching.follow(every, timeout)
        log.info("%s: %d frames, %.2f s", reason, watching.frames_used, time.monotonic() - watching.started)
        reconstruction = watching.whole() if final == "whole" else watching.running()
    from ptychoflow.reconstruction.pictures import keep_reconstruction

    reconstruction.provenance |= {"live": {"ended": reason, "final": final}}
    pictures = output / AMPLITUDE, output / PHASE
    keep_reconstruction(reconstruction, output / "reconstruction.h5", *pictures, output / "provenance.json")
