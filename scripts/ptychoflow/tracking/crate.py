"""Results as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow), made with the library of RO-Crate itself."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from ptychoflow.embedded_provenance import read_provenance
from ptychoflow.errors import InputError
from ptychoflow.files import replacing

PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
RUN_FILES = ("model.ckpt", "metrics.csv", "config.yaml", "provenance.json")
RESULT_FILES = (
    "reconstruction.h5",
    "reconstructed_amplitude.png",
    "reconstructed_phase.png",
    "metrics.json",
    "correlation.csv",
    "provenance.json",
    "figures/reconstruction.png",
)
CODE = ("rules", "envs", "config", "scripts")


def write_crate(path: Path, folders: Iterable[Path], snakefile: Path) -> None:
    """Pack results, the runs they came from, and the workflow.

    Parameters
    ----------
    path : Path
        The ZIP file.
    folders : iterable of Path
        Folders results/{experiment}/seed{seed}/{dataset} with a reconstruction, its scores and its provenance.
    snakefile : Path
        The workflow, with its rules, environments, config and scripts beside it.

    Raises
    ------
    InputError
        Where a file that belongs to a result is missing.
    """
    crate = ROCrate(version="1.1")  # the version that the profiles are written for
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
                crate.add_file(file, f"workflow/{file.relative_to(snakefile.parent)}")
    root = crate.root_dataset
    for folder in folders:
        provenance = read_provenance(folder / "provenance.json")
        run = folder.parent
        place = f"{run.parent.name}/{run.name}"
        made = [_packed(crate, folder / name, f"{place}/{folder.name}/{name}") for name in RESULT_FILES]
        training = provenance.get("training", {})
        # A solver was not trained.
        used = [_packed(crate, run / name, f"{place}/{name}") for name in (RUN_FILES if training else ())]
        data = _data(crate, provenance)
        steps = [(f"#reconstruct/{place}/{folder.name}", "reconstruct", [data, *used], made, provenance)]
        if training:
            steps.insert(0, (f"#train/{place}", "train", _sources(crate, training), used, training))
        for identifier, name, inputs, outputs, record in steps:
            root.append_to("mentions", _action(crate, identifier, name, workflow, inputs, outputs, record))
    with replacing(path) as temporary:
        crate.write_zip(temporary)


def _packed(crate: ROCrate, file: Path, place: str) -> Any:
    known = crate.dereference(place)
    if known is not None:  # one run has several results
        return known
    if not file.is_file():
        raise InputError(f"{file} is missing: expected a finished result, with its figures")
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
