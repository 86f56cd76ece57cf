"""Reconstruct a scan while it is being measured."""

from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveFloat, PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.reconstruction import BlindReconstructionSettings


def main(
    data: Path,
    output: Path,
    blind: BlindReconstructionSettings,
    checkpoint: Path | None = None,
    probe: Literal["dataset", "checkpoint"] = "dataset",
    every: PositiveFloat = 1.0,
    timeout: PositiveFloat = 10.0,
    final: Literal["whole", "running"] = "whole",
    accelerator: Literal["cpu", "cuda"] = "cpu",
    threads: PositiveInt | None = None,
) -> None:
    """Follow a file that grows and renew reconstructed_amplitude.png and reconstructed_phase.png as frames come in.

    Without a checkpoint the pretrained network does it, which solves for the probe as well; its settings are those
    that begin with --blind.

    Parameters
    ----------
    data : Path
        CXI file that another process writes (SWMR HDF5, see docs/live.md); it is waited for as long as `timeout` says.
    output : Path
        Folder for the pictures, and at the end reconstruction.h5 and provenance.json.
    blind : BlindReconstructionSettings
        How it is reconstructed by the pretrained network.
    checkpoint : Path, optional
        model.ckpt of a training; the pretrained network if not given, or if it is the word pretrained.
    probe : {"dataset", "checkpoint"}
        For a network of train.py, the scan's own probe, or the one that training refined.
    every : float
        Seconds between two pictures.
    timeout : float
        Seconds without a new frame after which the scan is taken for ended.
    final : {"whole", "running"}
        What is kept in the end: all frames reconstructed once more, together, or the image as it stands.
    accelerator : {"cpu", "cuda"}
        What to run on.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    import gc

    # Looking for garbage while torch is imported would take a sixth of the time to the first picture.
    gc.disable()
    import torch

    from ptychoflow.errors import InputError
    from ptychoflow.live.watching import watch
    from ptychoflow.running.hardware import use_threads

    gc.enable()
    use_threads(threads)
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("accelerator cuda cannot be used here: expected cpu")
    checkpoint = None if checkpoint == Path(PRETRAINED) else checkpoint
    watch(checkpoint, data, output, probe, every, timeout, final, torch.device(accelerator), blind)


if __name__ == "__main__":
    run_program(main)
