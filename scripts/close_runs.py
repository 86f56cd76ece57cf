"""Send what has not reached MLflow, and mark runs of killed processes as failed."""

import logging
from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(mlflow_tracking_uri: str | None = None, results: Path = Path("results")) -> None:
    """Send what trainings could not send to MLflow, and mark as FAILED the runs whose process on this host was killed.

    Parameters
    ----------
    mlflow_tracking_uri : str, optional
        MLflow's server or SQLite store; by default MLFLOW_TRACKING_URI, else results/mlflow/mlflow.db. What waits for
        another store goes there.
    results : Path
        Folder below which journals of trainings are looked for.
    """
    from ptychoflow.tracking.delivery import deliver_waiting
    from ptychoflow.tracking.mlflow_store import close_dead_runs, store_uri

    uri = store_uri(mlflow_tracking_uri)
    done, waiting = deliver_waiting(results, uri)
    for folder, run_id in done.items():
        logging.info("run %s has all that waited in %s", run_id, folder)
    for folder, reason in waiting.items():
        logging.warning("what waits in %s was not sent (%s)", folder, reason)
    for run_id in close_dead_runs(uri):
        logging.info("run %s was killed: marked FAILED", run_id)


if __name__ == "__main__":
    run_program(main)
