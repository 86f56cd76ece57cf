"""Put scores and figures of a result into the MLflow run that made its network."""

import json
import logging
from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(result: Path, run_dir: Path, output: Path) -> None:
    """Put scores and figures of a result into the MLflow run that made its network; what cannot be sent waits there.

    Parameters
    ----------
    result : Path
        Folder with metrics.json, provenance.json and figures of a reconstruction.
    run_dir : Path
        Run folder of the training.
    output : Path
        JSON file to write: id of the run, and how many lines wait to be sent by close_runs.py.
    """
    from ptychoflow.files import replacing
    from ptychoflow.tracking.results import track

    run_id, waiting, reason = track(result, run_dir)
    if waiting:
        logging.warning(
            "%d lines wait in %s (%s): close_runs.py sends them when MLflow takes some again", waiting, run_dir, reason
        )
    with replacing(output) as temporary:
        temporary.write_text(json.dumps({"run_id": run_id, "waiting": waiting}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
