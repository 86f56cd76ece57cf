"""How many frame-iterations a second the blind network makes beside LSQ-ML of pty-chi, in turn, on the same frames.

``python tests/benchmarks/beside_ptychi.py --threads 1`` prints a table for one probe mode and for three. Each runs in a
process of its own: where both share one, the heap that pty-chi leaves makes ours an eighth slower.
"""

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from jsonargparse.typing import PositiveInt

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.iterative.solver import solve
from ptychoflow.models.blind import Blind
from ptychoflow.running.command_line import run_program
from ptychoflow.running.hardware import use_threads
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.simulation.dataset import simulate

MODES = (1, 3)
OURS = {
    "blind network": {},
    "its steps on object and probe alone": {"learned": False, "smoothing": False, "solve_background": False},
}
"""What is measured by its settings; the second solves for what LSQ-ML does, with as many modes."""
Seconds = tuple[float, float]
"""Of the wall clock, and of the processor."""


def main(
    frames: PositiveInt = 529, iterations: PositiveInt = 10, turns: PositiveInt = 3, threads: PositiveInt | None = None
) -> None:
    """Measure both and print their rates.

    Parameters
    ----------
    frames : int
        Of 64×64 pixels.
    iterations : int
        Of each method; pty-chi calls them epochs. Both solve for object and probe from the file's own probe.
    turns : int
        How often each is measured; the least time counts.
    threads : int, optional
        Of both; as many as there are cores if not given.
    """
    use_threads(threads)
    dataset, (network, _) = simulate(SimulationSettings(scan=ScanSettings(frames=frames))), load_blind()
    alone = {"mp_context": get_context("spawn"), "initializer": use_threads, "initargs": (threads,)}
    print(f"{frames} frames of 64×64 pixels, {torch.get_num_threads()} threads\n")
    print("| probe modes | LSQ-ML, frames/s | what of ours | frames/s | times as fast | by processor time |")
    print("| --- | --- | --- | --- | --- | --- |")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, **alone) as theirs,
        ProcessPoolExecutor(1, **alone) as ours,
    ):
        file = Path(folder, "scan.cxi")
        write_cxi(file, dataset)
        for modes in MODES:
            solver = SolverSettings(epochs=iterations + 1, probe_modes=modes)
            told: dict[str, list[Seconds]] = {name: [] for name in ("", *OURS)}
            for _ in range(turns):
                told[""].append(theirs.submit(of_solver, dataset, file, solver).result())
                for name, parts in OURS.items():
                    told[name].append(ours.submit(of_network, network, dataset, modes, iterations, parts).result())
            least = {name: [min(one) for one in zip(*each, strict=True)] for name, each in told.items()}
            solver_least = least.pop("")
            for name, own in least.items():
                rates = f"{frames / solver_least[0]:,.0f} | {name} | {frames / own[0]:,.0f}"
                times = f"{solver_least[0] / own[0]:.1f} | {solver_least[1] / own[1]:.1f}"
                print(f"| {modes} | {rates} | {times} |", flush=True)


def of_solver(dataset: Dataset, file: Path, settings: SolverSettings) -> Seconds:
    """Seconds of an epoch of LSQ-ML, the first left out, which prepares."""
    stamps: list[Seconds] = []
    solve(settings, dataset, file, seed=0, show=lambda epoch: stamps.append(now()))
    return between(stamps[0], stamps[-1], len(stamps) - 1)


def of_network(network: Blind, dataset: Dataset, modes: int, iterations: int, parts: dict[str, bool]) -> Seconds:
    """Seconds of an iteration of the blind network, all that it judges on its way included."""
    settings = BlindReconstructionSettings(probe_modes=modes, start="dataset", held_out=0.0, **parts)
    run = BlindReconstruction(network, dataset, settings)
    if parts:  # as many modes as LSQ-ML has, without those that take part at first
        run.state = run.state.strongest(modes)
    with torch.no_grad():
        begun = now()
        for number in range(iterations):
            run.iterate(number / iterations)
        return between(begun, now(), iterations)


def now() -> Seconds:
    """Seconds of both clocks."""
    return time.perf_counter(), time.process_time()


def between(begun: Seconds, ended: Seconds, count: int) -> Seconds:
    """Seconds of each of so many."""
    return (ended[0] - begun[0]) / count, (ended[1] - begun[1]) / count


if __name__ == "__main__":
    run_program(main)
