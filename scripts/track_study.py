"""Put tables and figure of a study into the MLflow run that its trainings stand under."""

import json
import logging
from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(study: Path, output: Path, mlflow_experiment: str, mlflow_tracking_uri: str | None = None) -> None:
    """Put tables and figure of a study into the MLflow run that its trainings stand under.

    A store that cannot be used is a warning: nothing of the study is lost, and the same command tries again.

    Parameters
    ----------
    study : Path
        Folder of the study, with its tables and figures.
    output : Path
        JSON file to write: id of the run, or none.
    mlflow_experiment : str
        MLflow's experiment.
    mlflow_tracking_uri : str, optional
        MLflow's store; $MLFLOW_TRACKING_URI, or that of the results, if not given.
    """
    from ptychoflow.errors import InputError
    from ptychoflow.files import replacing
    from ptychoflow.tracking.mlflow_store import store_uri
    from ptychoflow.tracking.study import track_study

    try:
        run_id = track_study(study, store_uri(mlflow_tracking_uri), mlflow_experiment)
    except InputError as error:
        run_id = None
        logging.warning("%s; snakemake --forcerun track_study tries again", error)
    with replacing(output) as temporary:
        temporary.write_text(json.dumps({"run_id": run_id}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
