"""A study in MLflow: its tables and its figure in the run that its trainings stand under."""

from pathlib import Path

from ptychoflow.configuration.results import STUDY_FIGURES, STUDY_TABLES
from ptychoflow.errors import InputError
from ptychoflow.tracking.mlflow_entries import parent_run
from ptychoflow.tracking.mlflow_store import connect, experiment_of, reason_of, without_password
from ptychoflow.tracking.mlflow_training import study_parent

PLACE = "study"
"""Folder of the run's artifacts."""


def track_study(folder: Path, uri: str, experiment: str) -> str:
    """Put tables and figure of a study into its run, and what they say into the run's note.

    Parameters
    ----------
    folder : Path
        Folder of the study, with its tables and figures.
    uri : str
        MLflow's store.
    experiment : str
        MLflow's experiment.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    InputError
        Where the store cannot be used, or the experiment was deleted.
    """
    client = connect(uri)
    try:
        number = experiment_of(client, uri, experiment)
        run = parent_run(client, uri, number, study_parent(folder.name), None)
        for name in (*STUDY_TABLES, *STUDY_FIGURES):
            client.log_artifact(run, str(folder / name), PLACE)
        table = (folder / "table.md").read_text(encoding="utf-8")
        figure = f"![{folder.name}](get-artifact?path={PLACE}%2Ffigure.png&run_uuid={run})"
        client.set_tag(run, "mlflow.note.content", f"{figure}\n\n{table}")
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"MLflow's store {without_password(uri)} takes no study ({reason_of(error)}): expected one that can be "
            "written to"
        ) from None
    return run
