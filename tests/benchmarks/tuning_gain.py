"""What tuning the shipped network on a scan itself gains, on simulated scans.

``python tests/benchmarks/tuning_gain.py`` simulates objects of several kinds at several numbers of photons, makes
an image of each by the shipped network, and then by that network tuned on the same frames with the defaults of tune.py,
and prints a line of Markdown for each. No constant of either was set on these scans.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.pretraining.tuning import TuningRun
from ptychoflow.reconstruction.scoring import score
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.blind import TuningSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.simulation.dataset import simulate

SETTINGS = BlindReconstructionSettings(probe_modes=1)
KINDS = ("lines", "image", "cells", "texture")
PHOTONS = (1e3, 1e4, 1e5, 1e6)
FRAMES, STEP = 400, 6.0


def scan(kind: str, photons: float, seed: int) -> Dataset:
    """Simulate a scan."""
    settings = {
        "object": {"kind": kind},
        "probe": {"flux": photons},
        "scan": {"frames": FRAMES, "step": STEP},
        "guess": {"modes": 1},
        "seed": seed,
    }
    return simulate(SimulationSettings.of(settings)).validate(kind)


def told(dataset: Dataset, data: Path, weights: Path | None) -> dict[str, Any]:
    """Scores of the image that a network makes, with its processor seconds."""
    began = time.process_time()
    image = reconstruct(dataset, data, SETTINGS, weights, show=lambda progress: None)
    seconds = time.process_time() - began
    scores, *_ = score(image, dataset)
    names = ("amplitude_ssim", "phase_ssim", "deviance")
    return {name: scores[name] for name in names} | {"seconds": seconds}


def main(kinds: list[str] | None = None, photons: list[float] | None = None, seeds: list[int] | None = None) -> None:
    """Print the table.

    Parameters
    ----------
    kinds : list of str, optional
        Kinds of objects; four if not given.
    photons : list of float, optional
        In a frame; from 1e3 to 1e6 if not given.
    seeds : list of int, optional
        Of the samples; 71 if not given.
    """
    torch.set_num_threads(1)
    print("| object | photons | seed | shipped | tuned | deviance, shipped | tuned | seconds | tuning |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for kind in kinds or KINDS:
        for flux in photons or PHOTONS:
            for seed in seeds or (71,):
                with tempfile.TemporaryDirectory() as place:
                    folder = Path(place)
                    data, dataset = folder / "scan.cxi", scan(kind, flux, seed)
                    write_cxi(data, dataset)
                    before = told(dataset, data, None)
                    began = time.process_time()
                    weights = TuningRun(
                        output_dir=folder / "tuned",
                        run_dir=folder / "run",
                        data=[data],
                        settings=TuningSettings(accelerator="cpu"),
                        reconstruction=SETTINGS,
                        tracking=TrackingSettings(logger=[]),
                    ).run()
                    tuning = time.process_time() - began
                    after = told(dataset, data, weights)
                images = " | ".join(f"{one['amplitude_ssim']:.3f} / {one['phase_ssim']:.3f}" for one in (before, after))
                deviances = " | ".join(f"{one['deviance']:.4f}" for one in (before, after))
                print(
                    f"| {kind} | {flux:g} | {seed} | {images} | {deviances} | {before['seconds']:.1f} | {tuning:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    run_program(main)
