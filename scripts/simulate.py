"""Simulate a dataset with a known object."""

from pathlib import Path

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.simulation import SimulationSettings


def main(output: Path, settings: SimulationSettings, provenance: Path | None = None) -> None:
    """Simulate a scan: object, probe, positions and photon counts, all drawn from one seed.

    Parameters
    ----------
    output : Path
        CXI file to write.
    settings : SimulationSettings
        What to simulate.
    provenance : Path, optional
        JSON file to write about what made the dataset.
    """
    from dataclasses import asdict

    from ptychoflow.dataset.cxi import keep_dataset
    from ptychoflow.simulation.dataset import simulate

    dataset = simulate(settings).validate(str(output))
    dataset.provenance = {"result": "dataset", "program": "simulate.py", "settings": asdict(settings)}
    keep_dataset(output, dataset, provenance)


if __name__ == "__main__":
    run_program(main, flat={"settings": SimulationSettings})
