"""Simulate a dataset with a known object."""

from pathlib import Path

from ptychoflow.command_line import run_program
from ptychoflow.simulation.settings import SimulationSettings


def main(output: Path, settings: SimulationSettings) -> None:
    """Simulate a scan: object, probe, positions and photon counts, all drawn from one seed.

    Parameters
    ----------
    output : Path
        CXI file to write.
    settings : SimulationSettings
        What to simulate.
    """
    from ptychoflow.data.cxi import write_cxi
    from ptychoflow.simulation.dataset import simulate

    write_cxi(output, simulate(settings).validate(str(output)))


if __name__ == "__main__":
    run_program(main, flat={"settings": SimulationSettings})
