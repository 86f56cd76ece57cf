"""Mark MLflow runs of killed processes as failed."""

import logging

from ptychoflow.command_line import run_program


def main(mlflow_tracking_uri: str | None = None) -> None:
    """Mark as FAILED the MLflow runs whose process on this host was killed before it could say so.

    Parameters
    ----------
    mlflow_tracking_uri : str, optional
        MLflow's server or SQLite store; by default MLFLOW_TRACKING_URI, else results/mlflow/mlflow.db.
    """
    from ptychoflow.tracking.mlflow_runs import close_dead_runs, store_uri

    for run_id in close_dead_runs(store_uri(mlflow_tracking_uri)):
        logging.info("run %s was killed: marked FAILED", run_id)


if __name__ == "__main__":
    run_program(main)
