"""What Snakemake keeps of each job that made a file: command, inputs, outputs, when it ran."""

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptychoflow.files import sha256_of
from ptychoflow.provenance.embedded import read_provenance


@dataclass
class Job:
    """A job as it ran.

    Parameters
    ----------
    rule, command : str
        Its rule, and the shell command.
    inputs : list of str
        Paths from the working folder.
    outputs : list of str
        Paths likewise.
    started, finished : str
        ISO 8601, UTC.
    """

    rule: str
    command: str
    inputs: list[str]
    outputs: list[str] = field(default_factory=list)
    started: str = ""
    finished: str = ""

    @property
    def script(self) -> str | None:
        """File name of the program that it ran; None for a command without one."""
        words = (word.strip("'\"") for word in self.command.split())
        return next((Path(word).name for word in words if word.endswith(".py")), None)


def jobs_of(folder: Path) -> list[Job]:
    """Jobs that ran in a working folder, in the order in which they ended, those of temporary files too.

    Snakemake has a record for each output; its start is when the record was begun, so that the benchmark's seconds tell
    the start where there is one.

    Parameters
    ----------
    folder : Path
        Working folder of the workflow, with .snakemake in it.
    """
    jobs: dict[tuple[str, str], Job] = {}
    for path in sorted((folder / ".snakemake/metadata").rglob("*")):
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        output = _output_of(path, folder / ".snakemake/metadata")
        command, ended = record.get("shellcmd"), record.get("endtime")
        if record.get("incomplete") or command is None or ended is None:
            continue
        key = (record["rule"], command)  # each output has a time of its own
        if key not in jobs:
            seconds = _seconds(folder, record)
            started = ended - seconds if seconds is not None else min(record.get("starttime") or ended, ended)
            jobs[key] = Job(record["rule"], command, list(record.get("input") or []), [], _time(started), _time(ended))
        jobs[key].outputs.append(output)
    return sorted(jobs.values(), key=lambda job: (job.finished, job.started, job.rule))


def _output_of(path: Path, metadata: Path) -> str:
    from base64 import urlsafe_b64decode

    name = "".join(part.removeprefix("@") for part in path.relative_to(metadata).parts)
    return urlsafe_b64decode(name).decode()


def _seconds(folder: Path, record: dict) -> float | None:
    """Seconds of the benchmark, which stands beside the log."""
    for log in record.get("log") or []:
        benchmark = folder / Path(log).parent.parent / "benchmarks" / f"{Path(log).stem}.tsv"
        if benchmark.is_file():
            with open(benchmark, newline="", encoding="utf-8") as stream:
                return float(next(csv.DictReader(stream, delimiter="\t"))["s"])
    return None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def chain(file: str, jobs: list[Job]) -> list[Job]:
    """Jobs that a file goes back to, those that ran first before the others."""
    made_by = {output: job for job in jobs for output in job.outputs}
    found: list[Job] = []

    def follow(name: str) -> None:
        job = made_by.get(name)
        if job is not None and job not in found:
            for source in job.inputs:
                follow(source)
            found.append(job)

    follow(file)
    return found


def known_chain(file: Path) -> tuple[str, list[Job]]:
    """A file's name and the jobs that it goes back to: by the workflow's records, else by what the file itself holds.

    Raises
    ------
    InputError
        Where the file holds no provenance, and there are no records.
    """
    for folder in file.absolute().parents:
        if (folder / ".snakemake/metadata").is_dir():
            jobs, name = jobs_of(folder), file.absolute().relative_to(folder).as_posix()
            if chain(name, jobs):
                return name, jobs
    return str(file), _embedded(file, read_provenance(file))


def _embedded(file: Path, provenance: dict[str, Any]) -> list[Job]:
    def dataset(name: str, made_by: dict[str, Any]) -> Job:
        source = made_by.get("source", {}).get("file")
        return Job(str(made_by.get("program", "made")).removesuffix(".py"), "", [source] if source else [], [name])

    training, data = provenance.get("training", {}), provenance.get("data_file")
    jobs = [dataset(source["file"], source.get("made_by", {})) for source in training.get("data", [])]
    checkpoint = provenance.get("checkpoint_file")
    if training and checkpoint:
        names = [source["file"] for source in training.get("data", [])]
        times = training.get("started") or "", training.get("finished") or ""
        jobs.append(Job("train", "", names, [checkpoint], *times))
    if data:
        if isinstance(provenance.get("data"), dict):
            jobs.append(dataset(data, provenance["data"]))
        inputs = [data, checkpoint] if checkpoint else [data]
        jobs.append(
            Job("reconstruct", "", inputs, [str(file)], provenance["started"], provenance.get("finished") or "")
        )
    return jobs


def as_text(file: str, jobs: list[Job]) -> str:
    """Draw the chain of jobs that made a file, a line for each, with its inputs indented below."""
    lines = []
    for job in chain(file, jobs):
        lines.append(f"{job.rule}  {job.started[:19]} to {job.finished[:19]}" if job.finished else job.rule)
        lines += [f"    from {name}" for name in job.inputs] + [f"    made {name}" for name in job.outputs]
    return "\n".join(lines) + "\n" if lines else f"{file}: no record of what made it\n"


def as_mermaid(file: str, jobs: list[Job]) -> str:
    """Draw the chain of jobs that made a file as a Mermaid flowchart."""
    names: dict[str, str] = {}
    lines = ["flowchart LR"]

    def node(name: str) -> str:
        if name not in names:
            names[name] = f"f{len(names)}"
            lines.append(f'  {names[name]}["{name}"]')
        return names[name]

    steps = chain(file, jobs)
    needed = {file} | {name for job in steps for name in job.inputs}
    for number, job in enumerate(steps):
        lines.append(f'  j{number}(["{job.rule}"])')
        lines += [f"  {node(name)} --> j{number}" for name in job.inputs]
        lines += [f"  j{number} --> {node(name)}" for name in job.outputs if name in needed]
    return "\n".join(lines) + "\n"


def digest(path: Path) -> str | None:
    """SHA-256 of a file; None where it is gone."""
    return sha256_of(path) if path.is_file() else None
