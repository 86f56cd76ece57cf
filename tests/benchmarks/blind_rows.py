"""The situations of the study `blind`, image by image: how good, and after how many seconds, by each of its methods.

``python tests/benchmarks/blind_rows.py --output results/benchmarks/rows.csv`` simulates every situation of
config/studies/blind.yaml, reconstructs each by the shipped network, right after it by the same iterations without what
was learned, by LSQ-ML and by rPIE, each with the settings of the study, and scores them as evaluate.py does, every five
passes over the frames. What stands in the output already is not done again. With ``--table_only`` it prints the tables
of docs/pretrained.md and docs/studies.md.

Seconds are those of the processor, one thread, without the scoring; the network's are whole, from the frames in memory
to the image with its record, and pty-chi's those of its iterations. Beside each stand the seconds that a fixed loop of
Fourier transforms took right before and after, so that seconds of different moments can be compared.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rows_table import METHOD_NAMES, method_table, table

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import as_reconstruction, reconstruct
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.configuration.resolution import Plan, resolve
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.iterative.ptychi import import_ptychi
from ptychoflow.iterative.solver import solve
from ptychoflow.provenance.record import repository_commit
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.scoring import score
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.simulation.dataset import simulate

STUDY = Path(__file__).parents[2] / "config/studies/blind.yaml"
EACH = 5
"""Passes over the frames from one score to the next."""
SEED = 0
"""Of reconstructions, as in the study."""
SCORED = ("amplitude_ssim", "phase_ssim")
COLUMNS = (
    *("situation", "seed", "method", "passes", "seconds", "pace", *SCORED, "misfit", "position_error"),
    *("undeformed_error", "mode_shares", "iterations", "commit"),
)


@dataclass
class Clock:
    """Processor seconds of what is measured, without those of what looks at it."""

    began: float = field(default_factory=time.process_time)

    def seconds(self) -> float:
        return time.process_time() - self.began

    def without(self, look: Callable[[], None]) -> None:
        stopped = time.process_time()
        look()
        self.began += time.process_time() - stopped


def pace(repeats: int = 300) -> float:
    """Processor seconds of a fixed loop of Fourier transforms and products: how fast the machine is just now."""
    waves = torch.randn(64, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    phases = torch.polar(torch.ones(64, 64), torch.linspace(0, 6, 64 * 64).reshape(64, 64))
    began = time.process_time()
    for _ in range(repeats):
        waves = torch.fft.ifft2(torch.fft.fft2(waves) * phases)
    return time.process_time() - began


def by_network(dataset: Dataset, data: Path, settings: BlindReconstructionSettings) -> Iterator[dict[str, Any]]:
    """Scores of the image of blind iterations on its way, and of the one that they keep."""
    clock, rows = Clock(), []

    def look(solving: BlindReconstruction) -> None:
        passes, seconds = len(solving.history), clock.seconds()
        if passes % EACH == 0:
            clock.without(
                lambda: rows.append({"passes": passes, "seconds": seconds} | scores(_image(solving), dataset))
            )

    kept = reconstruct(dataset, data, settings, seed=SEED, show=lambda progress: None, look=look)
    seconds, record = clock.seconds(), kept.provenance
    yield from rows
    shares = " ".join(f"{share:.4f}" for share in record["probe_mode_shares"])
    last = {"seconds": seconds, "iterations": record["iterations"], "mode_shares": shares}
    yield {"passes": "kept"} | last | scores(kept, dataset)


def by_solver(dataset: Dataset, data: Path, settings: SolverSettings) -> Iterator[dict[str, Any]]:
    """Scores of pty-chi's image on its way."""
    rows = []

    def look(epoch: int, image: Callable[[], Reconstruction]) -> None:
        seconds = clock.seconds()
        if epoch % EACH == 0 or epoch == settings.epochs:
            clock.without(lambda: rows.append({"passes": epoch, "seconds": seconds} | scores(image(), dataset)))

    import_ptychi()
    clock = Clock()
    solve(settings, dataset, data, SEED, show=lambda epoch: None, look=look)
    yield from rows


def scores(image: Reconstruction, dataset: Dataset) -> dict[str, float | None]:
    """Scores as evaluate.py has them, and by how many pixels, rms along each axis, positions are still wrong.

    That is but for a shift of the whole scan, and for a linear deformation in the second such number.
    """
    found = {name: value for name, value in score(image, dataset)[0].items() if name in (*SCORED, "misfit")}
    if dataset.true_positions is not None:
        wrong = image.positions - dataset.true_positions
        shift = np.ones((len(wrong), 1))
        for name, shared in (("position_error", shift), ("undeformed_error", np.hstack([shift, image.positions]))):
            left = wrong - shared @ np.linalg.lstsq(shared, wrong, rcond=None)[0]
            found[name] = float(np.sqrt(np.square(left).mean()))
    return found


def _image(solving: BlindReconstruction) -> Reconstruction:
    image = as_reconstruction(solving.result(), solving.dataset.pixel_size)
    image.provenance = {"orientation": solving.start.candidate.orientation}
    return image


METHODS = dict(zip(METHOD_NAMES, (by_network, by_network, by_solver, by_solver), strict=True))


def study_plan(scale: str) -> Plan:
    """Datasets and experiments of the study, as the workflow plans them."""
    return resolve(yaml.safe_load(STUDY.read_text(encoding="utf-8")) | {"scale": scale})


def situations(plan: Plan) -> dict[str, dict[str, dict[str, Any]]]:
    """Experiments of the study by situation and method."""
    study, found = plan.studies["blind"], {}
    for name, labels in study.combinations.items():
        if labels["method"] in METHODS:
            found.setdefault(labels["situation"], {})[labels["method"]] = plan.experiments[name]
    return found


def settings_of(experiment: dict[str, Any]) -> BlindReconstructionSettings | SolverSettings:
    """What an experiment of the study says of its method."""
    if "solver" in experiment:
        return SolverSettings.of(experiment["solver"])
    return BlindReconstructionSettings.of(experiment["reconstruction"])


def measured(output: Path) -> list[dict[str, str]]:
    """Rows that were written before."""
    if not output.exists():
        return []
    with output.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def append(output: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to a file at once, and a head where there is none."""
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = not output.exists()
    with output.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def _warmed(methods: list[str]) -> None:
    """Let every method run once, on little: what the first call of a process loads is no part of any other."""
    disk = {"size": 32, "probe": {"kind": "disk", "flux": 1e7}, "scan": {"frames": 16, "step": 3.0}}
    small = simulate(SimulationSettings.of(disk)).validate("warm-up")
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "scan.cxi")
        write_cxi(data, small)
        short = {
            by_network: BlindReconstructionSettings(iterations=5, most_iterations=5),
            by_solver: SolverSettings(epochs=1, batch_size=16),
        }
        for method in {METHODS[name] for name in methods}:
            list(method(small, data, short[method]))


def main(
    output: Path,
    only: list[str] | None = None,
    seeds: list[int] | None = None,
    methods: list[str] | None = None,
    scale: str = "paper",
    table_only: bool = False,
) -> None:
    """Reconstruct the situations of the study, or print the tables of what was measured.

    Parameters
    ----------
    output : Path
        CSV, a line for each score.
    only : list of str, optional
        Situations; all if not given.
    seeds : list of int, optional
        Of the samples; all of the study's if not given.
    methods : list of str, optional
        Among those of the study; all if not given, one after the other on each scan.
    scale : {"paper", "smoke"}
        That of the study.
    table_only : bool
        Print the tables.
    """
    if table_only:
        print(table(measured(output)), method_table(measured(output)), sep="\n\n")
        return
    torch.set_num_threads(1)
    plan, methods, commit = study_plan(scale), methods or list(METHODS), repository_commit()
    known = situations(plan)
    unknown = [*set(only or []) - set(known), *set(methods) - set(METHODS)]
    if unknown:
        raise InputError(
            f"{unknown[0]} is none: expected situations among {', '.join(known)}; methods {', '.join(METHODS)}"
        )
    done = {(row["situation"], row["seed"], row["method"]) for row in measured(output)}
    _warmed(methods)
    for number in range(max(len(entry["network"]["test"]) for entry in known.values())):
        for situation, of_methods in known.items():
            simulation = SimulationSettings.of(plan.datasets[of_methods["network"]["test"][number]]["simulate"])
            wanted = [one for one in methods if (situation, str(simulation.seed), one) not in done]
            if not wanted or (only and situation not in only) or (seeds and simulation.seed not in seeds):
                continue
            dataset = simulate(simulation).validate(situation)
            with tempfile.TemporaryDirectory() as place:
                data = Path(place, "scan.cxi")
                write_cxi(data, dataset)
                for method in wanted:
                    before = pace()
                    rows = list(METHODS[method](dataset, data, settings_of(of_methods[method])))
                    common = {"situation": situation, "seed": simulation.seed, "method": method, "commit": commit}
                    common["pace"] = (before + pace()) / 2
                    append(output, [common | row for row in rows])
                    last = rows[-1]
                    told = ", ".join(f"{last[name]:.3f}" for name in SCORED if last[name] is not None)
                    print(f"{situation}, {simulation.seed}, {method}: {told}; {last['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    run_program(main)
