"""Three measured scans, from nothing but their geometry: an integrated circuit, a near field, and a Siemens star.

``python tests/benchmarks/measured_scans.py --folder data --output_dir results/benchmarks/measured`` reconstructs those
that are in the folder by the shipped network, each beside an iterative solver, and prints what came out beside its
target. Images and pictures go into the output folder. A scan that is not there is skipped; where they are from:

- ``aps-zone-plate-20-frames.npz``: mdw771/probe_position_correction_w_ptychonn, tests/data, on GitHub.
- ``petra-p25-near-field.cxi``: cdtools-developers/cdtools, examples/example_data, on GitHub.
- ``siemens-star-small.npz.bz2``: AdvancedPhotonSource/tike, tests/data, on GitHub.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.configuration.reading import read_settings
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ORIENTATIONS, turned_dataset
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.iterative.ptychi import import_ptychi
from ptychoflow.iterative.solver import solve
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import photon_scores
from ptychoflow.reconstruction.pictures import keep_reconstruction
from ptychoflow.reconstruction.scoring import score
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.solver import SolverSettings

CIRCUIT, NEAR, STAR = "aps-zone-plate-20-frames.npz", "petra-p25-near-field.cxi", "siemens-star-small.npz.bz2"
GEOMETRY = {
    CIRCUIT: {
        "paths": {"frames": "reciprocal", "positions": "position"},
        "energy": 8800.0,
        "detector_distance": 2.2,
        "detector_pixel_size": 75e-6,
    },
    NEAR: {"propagation": "near", "source_distance": 3.65e-3},
    STAR: {
        "format": "tike",
        "zero_frequency": "corner",
        "energy": 8800.0,
        "detector_distance": 2.0,
        "detector_pixel_size": 75e-6,
    },
}
UNKNOWN = BlindReconstructionSettings(start="photons", orientation=True, halves=False)
"""Three modes, from the photons alone, whichever way the axes of the positions run."""
EPOCHS = {CIRCUIT: 60, STAR: 40}
PIE_ITERATIONS = 200
PLAIN = replace(UNKNOWN, learned=False, smoothing=False, iterations=PIE_ITERATIONS, most_iterations=PIE_ITERATIONS)
NEAR_TARGET = 14.5
"""Deviance of the near field."""
STAR_TARGET = 1.28
"""Held-out deviance from the guess of the star's file, to be reached in a third of the seconds of LSQ-ML's epochs."""


def by_network(
    dataset: Dataset, data: Path, settings: BlindReconstructionSettings
) -> tuple[Reconstruction, list[tuple[float, float]]]:
    """An image, and after each iteration the processor seconds and the deviance of frames that it was not given."""
    began, known = time.process_time(), []

    def look(solving: BlindReconstruction) -> None:
        # With more modes than asked for, as at first, frames are explained better than by the image that comes of it.
        more = solving.state.probes.shape[1] > solving.modes
        known.append((time.process_time() - began, math.inf if more else solving.history[-1].deviance))

    return reconstruct(dataset, data, settings, show=lambda progress: None, look=look), known


def by_solver(dataset: Dataset, data: Path, epochs: int, modes: int) -> tuple[Reconstruction, float]:
    """LSQ-ML's image, and its processor seconds."""
    import_ptychi()
    began, taken = time.process_time(), []
    settings = SolverSettings(epochs=epochs, probe_modes=modes, held_out=0.05)
    image = solve(
        settings, dataset, data, look=lambda epoch, image: taken.append(time.process_time() - began), halves=False
    )
    return image, taken[-1]


def as_found(dataset: Dataset, image: Reconstruction) -> Dataset:
    """The scan with orientation and probe that were found: what a solver needs to know."""
    return replace(turned_dataset(dataset, image.provenance["orientation"]), probe=image.probe, probe_known=True)


def circuit(dataset: Dataset, data: Path, keep: Callable[[str, Reconstruction], None]) -> Iterable[str]:
    """Twenty frames of an integrated circuit; the rows of their positions run against those of the frames."""
    image, known = by_network(dataset, data, UNKNOWN)
    yield from found(image, known)
    solved, seconds = by_solver(as_found(dataset, image), data, EPOCHS[CIRCUIT], len(image.probe))
    yield f"LSQ-ML from the probe found: deviance {deviance(solved, as_found(dataset, image)):.3f}, {seconds:.0f} s"
    yield compared(image, dataset, solved, 0.95)
    keep("network", image)
    keep("lsqml", solved)


def near_field(dataset: Dataset, data: Path, keep: Callable[[str, Reconstruction], None]) -> Iterable[str]:
    """A star in the near field of a cone beam, beside as many plain iterations of PIE as the target names."""
    image, known = by_network(dataset, data, UNKNOWN)
    yield from found(image, known)
    moved, known = by_network(dataset, data, replace(UNKNOWN, solve_positions=True))
    yield f"with positions solved for as well: deviance {deviance(moved, dataset):.3f}, {known[-1][0]:.0f} s"
    for name, one in {"as they are": image, "solved for": moved}.items():
        met = "met" if deviance(one, dataset) <= NEAR_TARGET else "missed"
        yield f"positions {name}, held-out deviance at most {NEAR_TARGET}: {met}"
    plain, known = by_network(dataset, data, PLAIN)
    yield f"{PIE_ITERATIONS} iterations of PIE: deviance {deviance(plain, dataset):.3f}, {known[-1][0]:.0f} s"
    yield compared(image, dataset, plain, 0.9)
    keep("network", image)
    keep("positions", moved)
    keep("pie", plain)


def star(dataset: Dataset, data: Path, keep: Callable[[str, Reconstruction], None]) -> Iterable[str]:
    """A Siemens star, with the file's guess of the probe and without any."""
    solved, seconds = by_solver(dataset, data, EPOCHS[STAR], 3)
    told = f"deviance {deviance(solved, dataset):.3f}, {seconds:.1f} s"
    yield f"LSQ-ML, {EPOCHS[STAR]} epochs from the file's guess: {told}"
    for start in ("dataset", "best"):
        image, known = by_network(dataset, data, replace(UNKNOWN, start=start, orientation=False))
        early = next(((number, *one) for number, one in enumerate(known, 1) if one[1] <= STAR_TARGET), None)
        reached = "missed" if early is None else f"{early[2]:.3f} after {early[0]} iterations and {early[1]:.1f} s"
        if early is not None:
            reached += f", {early[1] / seconds:.2f} of LSQ-ML's: {'met' if early[1] <= seconds / 3 else 'missed'}"
        last = f"{deviance(image, dataset):.3f} after {known[-1][0]:.1f} s"
        yield f"start: {start}; deviance at most {STAR_TARGET}: {reached}; in the end {last}"
        keep(start, image)
    image, known = by_network(dataset, data, UNKNOWN)
    yield "without any guess:"
    yield from found(image, known)
    yield f"held-out deviance at most 1.4: {'met' if deviance(image, dataset) <= 1.4 else 'missed'}"
    yield compared(image, dataset, solved, 0.97)
    keep("network", image)
    keep("lsqml", solved)


PARTS = {CIRCUIT: circuit, NEAR: near_field, STAR: star}


def found(image: Reconstruction, known: list[tuple[float, float]]) -> Iterable[str]:
    """What an image says of itself."""
    record: dict[str, Any] = image.provenance
    start, defocus = record["start"], record["start"]["defocus_metres"]
    metres = "no defocus" if defocus is None else f"a defocus of {1e6 * defocus:+.0f} µm"
    yield f"positions {list(ORIENTATIONS)[record['orientation']]}; started from {start['name']}, {metres}"
    first = ", ".join(f"{name} {error:.3f}" for name, error in list(start["errors"].items())[:3])
    yield f"errors of the first starts: {first}"
    told = f"held-out deviance {record['held_out_deviance']:.3f}, a perfect model's {record['expected_deviance']:.3f}"
    share = record["explained_share"]
    explained = "nothing" if share is None else f"{share:.3f} of what frames differ by"
    yield f"{told}, explains {explained}; {len(known)} iterations, {known[-1][0]:.1f} s"
    yield from (f"it says: {sentence}" for sentence in record["warnings"])


def deviance(image: Reconstruction, dataset: Dataset) -> float:
    """Poisson deviance of the held-out frames."""
    return photon_scores(image, turned_dataset(dataset, image.provenance.get("orientation", 0)))["deviance"]


def compared(image: Reconstruction, dataset: Dataset, other: Reconstruction, target: float) -> str:
    """How alike two images are."""
    if other.object.shape != image.object.shape:
        return "the two were found in other orientations, and cannot be compared"
    scores = score(image, dataset, other)[0]
    phase, amplitude = scores["reference_phase_pearson"], scores["reference_amplitude_pearson"]
    met = "met" if phase >= target else "missed"
    return f"Pearson correlation with it: phase {phase:.3f} (at least {target}: {met}), amplitude {amplitude:.3f}"


def main(folder: Path, output_dir: Path, only: list[str] | None = None) -> None:
    """Reconstruct the measured scans that are there.

    Parameters
    ----------
    folder : Path
        Where they are.
    output_dir : Path
        Folder for the images.
    only : list of str, optional
        Names of files; all if not given.
    """
    torch.set_num_threads(1)
    for name in only or PARTS:
        data = folder / name
        if not data.is_file():
            print(f"{name} is not in {folder}: skipped")
            continue
        print(f"\n{name}", flush=True)
        dataset = read_dataset(data, read_settings(IngestSettings, GEOMETRY[name]))

        def keep(what: str, image: Reconstruction, place: Path = output_dir / data.stem) -> None:
            place.mkdir(parents=True, exist_ok=True)
            parts = [place / f"{what}{ending}" for ending in (".h5", "-amplitude.png", "-phase.png", ".json")]
            keep_reconstruction(image, *parts)

        for line in PARTS[name](dataset, data, keep):
            print(line, flush=True)


if __name__ == "__main__":
    run_program(main)
