"""What the machine is busy with during a training, by MLflow's own monitors: processor, memory, disk, network, GPU."""

import time
from contextlib import suppress

from ptychoflow.tracking.journal import Journal

SECONDS = 10.0
"""Between two looks, as MLflow has it."""
PREFIX = "system/"


class Machine:
    """Writes system metrics into a journal; their steps count the looks.

    Parameters
    ----------
    journal : Journal
        Of the run.
    """

    def __init__(self, journal: Journal) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self.journal = journal
        self.monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(Exception):  # no GPU, or no library to ask it
            from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

            self.monitors.append(GPUMonitor())
        steps = (step for key, step in journal.last_steps().items() if key.startswith(PREFIX))
        self.step = max(steps, default=-1) + 1
        self.due = time.monotonic() + SECONDS

    def look(self, last: bool = False) -> None:
        """Look at the machine if it is time, or the last time."""
        if time.monotonic() < self.due and not last:
            return
        self.due = time.monotonic() + SECONDS
        values = {}
        for monitor in self.monitors:
            monitor.collect_metrics()
            values |= {f"{PREFIX}{name}": value for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        self.journal.stamped({"kind": "metrics", "step": self.step, "values": values})
        self.step += 1
