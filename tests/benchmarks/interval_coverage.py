"""How many pixels the intervals of `uncertainty` cover that should cover 90 % of them, on simulated scans.

``python tests/benchmarks/interval_coverage.py`` reconstructs eight kinds of objects at three numbers of photons by the
shipped network, under a probe that the file has at 75 % of its defocus, and prints the shares of pixels whose true
amplitude and phase lie within 1.645 deviations of the image's.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.ensemble import own_uncertainty
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ObjectKind, SimulationSettings
from ptychoflow.simulation.dataset import simulate

SETTINGS = BlindReconstructionSettings(probe_modes=1, uncertainty=True)
PHOTONS = (1e4, 1e6, 1e8)
FIRST_SEED = 61
"""Of the first kind of object; each has its own, and no constant of the library was set on any."""
DEVIATIONS = 1.645
"""To either side, within which 90 % of what is normally distributed lies."""
WANTED = (0.85, 0.95)


def scan(kind: str, photons: float, seed: int, frames: int = 100) -> Dataset:
    """Simulate a scan with steps of 6 pixels."""
    settings = {
        "object": {"kind": kind},
        "probe": {"flux": photons},
        "scan": {"frames": frames, "step": 6.0},
        "guess": {"defocus_factor": 0.75},
        "seed": seed,
    }
    return simulate(SimulationSettings.of(settings)).validate(kind)


def covered(dataset: Dataset, settings: BlindReconstructionSettings = SETTINGS) -> np.ndarray:
    """Share of the pixels of amplitude and of phase that their intervals cover, (2,) float64."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "scan.cxi")
        write_cxi(data, dataset)
        image = reconstruct(dataset, data, settings, show=lambda progress: None)
    known, truth = own_uncertainty(image, dataset), dataset.truth
    errors = np.abs(known.object) - np.abs(truth), np.angle(known.object * truth.conj())
    pairs = zip(errors, (known.amplitude_deviation, known.phase_deviation), strict=True)
    return np.array([(np.abs(error) <= DEVIATIONS * deviation)[known.area].mean() for error, deviation in pairs])


def table(shares: dict[str, np.ndarray]) -> Iterable[str]:
    """Lines of Markdown of the shares (photons, 2) of each kind, and how many of them are as wanted."""
    yield "| object | amplitude at 10⁴ / 10⁶ / 10⁸ photons | mean | phase at 10⁴ / 10⁶ / 10⁸ photons | mean |"
    yield "| --- | --- | --- | --- | --- |"
    everything = np.stack(list(shares.values()))
    for name, of_photons in {**shares, "all": everything.mean(axis=0)}.items():
        parts = [f"{' / '.join(f'{share:.2f}' for share in part)} | {part.mean():.2f}" for part in of_photons.T]
        yield f"| {name} | {' | '.join(parts)} |"
    low, high = WANTED
    inside = ((everything >= low) & (everything <= high)).sum()
    told = f"{inside} from {low} to {high}, {(everything > high).sum()} above, {(everything < low).sum()} below"
    yield f"\nOf {everything.size} shares {told}."


def main(only: list[str] | None = None) -> None:
    """Print the table.

    Parameters
    ----------
    only : list of str, optional
        Kinds of objects; all if not given.
    """
    torch.set_num_threads(1)
    shares = {}
    for number, kind in enumerate(get_args(ObjectKind)):
        if only is None or kind in only:
            shares[kind] = np.stack([covered(scan(kind, photons, FIRST_SEED + number)) for photons in PHOTONS])
            print(kind, shares[kind].round(3).tolist(), flush=True)
    print("\n".join(table(shares)))


if __name__ == "__main__":
    run_program(main)
