# What is said at the end: what was made, what is doubtful about it, what failed and where its log is.

import subprocess
from pathlib import Path

from snakemake_interface_executor_plugins.settings import DeploymentMethod

from ptychoflow.running.job_logs import failures

SHOWN = 6  # files that are named at the end, at most
WARNINGS_SHOWN = 12  # about results, at most: of a study with hundreds of them the page has them all


def doubts():
    """Name what is doubtful about each dataset and each result that are there, by the records that were written with them."""
    from ptychoflow.figures.warnings_page import warnings_of_data, warnings_of_result

    records = [Path(f"results/data/{name}.provenance.json") for name in DATASETS]
    data = [warning for record in records if record.exists() for warning in warnings_of_data(record)]
    folders = [Path(scores).parent for scores in each_result("metrics.json") if Path(scores).exists()]
    folders = [folder for folder in folders if (folder / "provenance.json").exists()]
    results = [warning for folder in folders for warning in warnings_of_result(folder)]
    sentences = [f"warning: dataset {name}: {sentence}" for name, _, sentence in data]
    sentences += [
        f"warning: {where}, {name}: {sentence}" for name, where, sentence in results[:WARNINGS_SHOWN]
    ]
    if len(results) > WARNINGS_SHOWN:
        sentences.append(
            f"warning: {len(results) - WARNINGS_SHOWN} more about results, all in results/warnings.html"
        )
    return sentences


def made(dag):
    """Say what of that which was asked for was made now."""
    asked = [str(file) for file in dag.targetfiles]
    targets = [job for job in dag.jobs if job.rule in dag.targetrules]
    for job in targets:
        asked += [*map(str, job.input), *map(str, job.output)]
    new = {str(file) for job in dag.jobs if dag.needrun(job) for file in job.output}
    files = sorted(new & set(asked), key=lambda file: (file.count("/"), file))
    if "results/runs.csv" in files:
        return "All done: results/runs.csv compares the results, snakemake results/report.html shows them."
    if not files:
        return "Done."
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"Done: made {', '.join(files[:SHOWN])}{more}."


def runs_closed(workflow):
    """Mark the tracked runs of killed trainings as failed, or say how that is done."""
    program = SCRIPTS / "close_runs.py"
    closed = subprocess.run([tracking_python(workflow), str(program)], capture_output=True, text=True)
    if closed.returncode == 0:
        return closed.stderr.splitlines()
    reason = closed.stderr.strip().splitlines()[-1:]
    return [
        f"Runs of killed trainings may still look alive in MLflow, since close_runs.py could not run here ({' '.join(reason)}): "
        f"python {program} closes them in an environment with mlflow, such as that of envs/train.yaml"
    ]


def tracking_python(workflow):
    """Python of the trainings' own environment where they have one, else that of Snakemake."""
    if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
        for job in workflow.dag.jobs:
            if job.rule.name == "train" and job.conda_env:
                return str(Path(job.conda_env.address) / "bin/python")
    return sys.executable
