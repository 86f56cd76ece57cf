"""Results as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow), made with the library of RO-Crate itself."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.provenance.jobs import Job, chain, digest, jobs_of

VERSION = "1.3"
PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.6",
    "https://w3id.org/ro/wfrun/workflow/0.6",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1",
)
RUN_FILES = ("model.ckpt", "metrics.csv", "config.yaml", "provenance.json")
RESULT_FILES = (
    "reconstruction.h5",
    "reconstructed_amplitude.png",
    "reconstructed_phase.png",
    "metrics.json",
    "correlation.csv",
    "provenance.json",
)
FIGURE = "figures/reconstruction.png"
"""Which the results of a study do not have."""
RESULTS = "results"
CODE = ("rules", "envs", "config", "scripts")


def write_crate(
    path: Path, folders: Iterable[Path], snakefile: Path, place: Path = Path(), studies: Iterable[Path] = ()
) -> None:
    """Pack results, the runs they came from, the tables and figures of studies, and the workflow.

    Parameters
    ----------
    path : Path
        The ZIP file.
    folders : iterable of Path
        Folders results/{experiment}/seed{seed}/{dataset} with a reconstruction, its scores and its provenance.
    snakefile : Path
        The workflow, with its rules, environments, config and scripts beside it.
    place : Path
        Working folder of the workflow, in which Snakemake keeps its records of the jobs.
    studies : iterable of Path
        Files results/studies/{study}/{name}.

    Raises
    ------
    InputError
        Where a file that belongs to a result is missing.
    """
    crate = ROCrate(version=VERSION)  # the version that the profiles are written for
    crate.name = "PtychoFlow results"
    crate.description = "Ptychographic reconstructions with the networks, settings and code that made them."
    crate.license = "https://spdx.org/licenses/BSD-3-Clause"
    profiles = [crate.add(ContextEntity(crate, profile, {"@type": "CreativeWork"})) for profile in PROFILES]
    crate.root_dataset["conformsTo"] = profiles
    workflow = crate.add_workflow(snakefile, "workflow/Snakefile", main=True, lang="snakemake", gen_cwl=False)
    workflow["name"] = "PtychoFlow"
    for name in CODE:
        for file in sorted((snakefile.parent / name).rglob("*")):
            if file.is_file() and file.suffix in (".smk", ".yaml", ".py", ".md", ".txt"):
                kind = {"@type": ["File", "SoftwareSourceCode"]} if file.suffix == ".py" else None
                crate.add_file(file, f"workflow/{file.relative_to(snakefile.parent)}", properties=kind)
    root, jobs = crate.root_dataset, jobs_of(place)
    packed: list[str] = []
    for folder in folders:
        provenance = read_provenance(folder / "provenance.json")
        inside = f"{folder.parent.parent.name}/{folder.parent.name}"
        drawn = (FIGURE,) if (folder / FIGURE).is_file() else ()
        made = [_packed(crate, folder / name, f"{inside}/{folder.name}/{name}") for name in (*RESULT_FILES, *drawn)]
        training = provenance.get("training", {})
        used = []
        if training:  # which a solver has not, and which may be another experiment's
            trained = "/".join(Path(provenance["checkpoint_file"]).parent.parts[-2:])
            used = [_packed(crate, folder.parents[2] / trained / name, f"{trained}/{name}") for name in RUN_FILES]
        packed += [entity.id for entity in (*made, *used)]
        if not jobs:  # results that were copied without Snakemake's records
            data = _data(crate, provenance)
            steps = [(f"#reconstruct/{inside}/{folder.name}", "reconstruct", [data, *used], made, provenance)]
            if training:
                steps.insert(0, (f"#train/{trained}", "train", _sources(crate, training), used, training))
            for identifier, name, inputs, outputs, record in steps:
                root.append_to("mentions", _action(crate, identifier, name, workflow, inputs, outputs, record))
    packed += [_packed(crate, file, f"studies/{file.parent.name}/{file.name}").id for file in studies]
    if jobs:
        for action in job_actions(crate, workflow, jobs, [f"{RESULTS}/{name}" for name in packed], place):
            root.append_to("mentions", action)
    with replacing(path) as temporary:
        crate.write_zip(temporary)


def job_actions(crate: ROCrate, workflow: Any, jobs: list[Job], files: list[str], place: Path) -> list[Any]:
    """One action for the whole, and one for each job that the files go back to: command, inputs, outputs, times.

    Parameters
    ----------
    crate : ROCrate
        Which the files are in already.
    workflow : entity
        Its main entity, of which the programs become parts.
    jobs : list of Job
        All that are known.
    files : list of str
        Paths of results, from the working folder.
    place : Path
        The working folder.
    """
    needed: list[Job] = []
    for file in files:
        needed += [job for job in chain(file, jobs) if job not in needed]
    actions = []
    for number, job in enumerate(needed):
        program = crate.dereference(f"workflow/scripts/{job.script}") if job.script else None
        if program is not None and program not in (workflow.get("hasPart") or []):
            workflow.append_to("hasPart", program)
        action = ContextEntity(crate, f"#job/{number:03d}/{job.rule}", {"@type": "CreateAction", "name": job.rule})
        action["description"], action["startTime"], action["endTime"] = job.command, job.started, job.finished
        action["instrument"] = program or workflow
        action["object"] = [_file(crate, name, place) for name in job.inputs]
        action["result"] = [_file(crate, name, place) for name in job.outputs]
        action["actionStatus"] = "http://schema.org/CompletedActionStatus"
        actions.append(crate.add(action))
    made = {output for job in needed for output in job.outputs}
    sources = dict.fromkeys(name for job in needed for name in job.inputs if name not in made)
    whole = crate.add(ContextEntity(crate, "#workflow", {"@type": "CreateAction", "name": "workflow"}))
    whole["instrument"] = workflow
    whole["object"] = [_file(crate, name, place) for name in sources]
    whole["result"] = [_file(crate, name, place) for name in files]
    whole["startTime"] = min(job.started for job in needed)
    whole["endTime"] = max(job.finished for job in needed)
    return [whole, *actions]


def _file(crate: ROCrate, name: str, place: Path) -> Any:
    """Give a file of the working folder: packed, or by its digest, or by its name if it was a temporary one."""
    known = crate.dereference(name.removeprefix(f"{RESULTS}/"))
    sha256 = digest(place / name)
    if known is None:
        identifier = f"urn:sha256:{sha256}" if sha256 else f"#file/{name}"
        known = crate.dereference(identifier) or crate.add(
            ContextEntity(crate, identifier, {"@type": "CreativeWork", "name": name})
        )
    if sha256:
        known["sha256"] = sha256
    return known


def _packed(crate: ROCrate, file: Path, place: str) -> Any:
    known = crate.dereference(place)
    if known is not None:  # one run has several results
        return known
    if not file.is_file():
        raise InputError(f"{file} is missing: expected a finished result or study")
    return crate.add_file(file, place)


def _data(crate: ROCrate, source: dict[str, Any]) -> Any:
    """Name a dataset by its digest: raw frames are too large to pack."""
    digest = source.get("data_sha256") or source["sha256"]
    identifier = f"urn:sha256:{digest}"
    name = Path(source.get("data_file") or source["file"]).name
    known = crate.dereference(identifier)
    return known or crate.add(
        ContextEntity(crate, identifier, {"@type": "CreativeWork", "name": name, "sha256": digest})
    )


def _sources(crate: ROCrate, training: dict[str, Any]) -> list[Any]:
    return [_data(crate, source) for source in training.get("data", [])]


def _action(
    crate: ROCrate,
    identifier: str,
    name: str,
    workflow: Any,
    used: list[Any],
    made: list[Any],
    provenance: dict[str, Any],
) -> Any:
    known = crate.dereference(identifier)
    if known is not None:
        return known
    dirty = " with changes" if provenance.get("dirty") else ""
    action = crate.add(
        ContextEntity(
            crate,
            identifier,
            {
                "@type": "CreateAction",
                "name": name,
                "startTime": provenance.get("started"),
                "endTime": provenance.get("finished"),
                "description": f"commit {provenance.get('commit')}{dirty}, run {provenance.get('run_id')}",
            },
        )
    )
    action["instrument"], action["object"], action["result"] = workflow, used, made
    return action
