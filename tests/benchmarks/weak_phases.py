"""Weak phases under an imperfect model: does the image show the lattice of its own scan?

``python tests/benchmarks/weak_phases.py`` simulates objects of 0.1 rad on exact rasters, whose frames are half a pixel
off their centre and blurred, under a probe that the file has 10 % out of focus, and the same with nothing wrong. It
prints how much of the phase's variance is in the eight lowest harmonics of the scan's lattice, beside the truth's own.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.metrics.alignment import scored_area
from ptychoflow.metrics.lattice import lattice_shares
from ptychoflow.reconstruction.scoring import score
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate

OBJECTS = {"natural": "image", "smooth": "smooth"}
PIXELS_OFF, BLUR = 0.5, 0.5
"""By how many pixels frames are off their centre along each axis, and the standard deviation of their blur."""
DEFOCUS = 0.9
SETTINGS = BlindReconstructionSettings(probe_modes=1)
MOST = 0.01
"""Share of the variance by which an image may show the lattice more than the truth does."""


def scan(kind: str, seed: int, frames: int = 400, wrong: bool = True) -> Dataset:
    """Simulate a weak object on an exact raster, with all that is wrong or nothing."""
    settings = SimulationSettings.of(
        {
            "object": {"kind": OBJECTS[kind], "absorption": 0.0, "phase_shift": 0.1},
            "scan": {"frames": frames, "step": 6.0, "jitter": 0.0},
            "guess": {"defocus_factor": DEFOCUS if wrong else 1.0},
            "seed": seed,
        }
    )
    dataset = simulate(settings).validate(kind)
    if not wrong:
        return dataset
    size = dataset.size
    place = 2 * np.pi * (np.arange(size) - size // 2) / size
    # Light that is tilted so falls beside the centre of the frames, by a part of a pixel that no pixel can make good.
    tilted = dataset.reference_probe * np.exp(1j * PIXELS_OFF * (place[:, None] + place))
    photons = expected_photons(dataset.truth, dataset.positions, tilted)
    photons = ndimage.gaussian_filter(photons, BLUR, axes=(-2, -1))
    counts = np.random.default_rng([seed, frames]).poisson(photons).astype(np.float32)
    return replace(dataset, frames=counts, true_probe=tilted.astype(np.complex64))


def measured(dataset: Dataset, settings: BlindReconstructionSettings = SETTINGS) -> dict[str, float | None]:
    """Scores of the image, and the truth's own share in the lattice."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "scan.cxi")
        write_cxi(data, dataset)
        image = reconstruct(dataset, data, settings, show=lambda progress: None)
    area = scored_area(image.coverage, image.probe, image.positions)
    truth = lattice_shares(dataset.truth, area, dataset.positions)
    return score(image, dataset)[0] | {"true_lattice_share": truth["lattice_share"]}


def main(seeds: list[int] | None = None) -> None:
    """Print the table.

    Parameters
    ----------
    seeds : list of int, optional
        Of the samples; 2 to 6 if not given.
    """
    torch.set_num_threads(1)
    print("| object | what is wrong | lattice's share | above the truth's, at most | phase SSIM | met |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in OBJECTS:
        for wrong in (True, False):
            rows = [measured(scan(kind, seed, wrong=wrong)) for seed in seeds or range(2, 7)]
            shares = np.array([[row[name] for name in ("lattice_share", "true_lattice_share")] for row in rows], float)
            above = (shares[:, 0] - shares[:, 1]).max()
            similar = np.array([row["phase_ssim"] for row in rows], float)
            print(
                f"| {kind} | {'centre, blur and defocus' if wrong else 'nothing'} | {shares[:, 0].mean():.4f} | "
                f"{above:+.4f} | {similar.mean():.3f} ({similar.min():.3f}) | {'yes' if above <= MOST else 'no'} |",
                flush=True,
            )


if __name__ == "__main__":
    run_program(main)
