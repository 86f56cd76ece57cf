"""One small workflow, run once from simulation to figures; the tests look at what it left and at what it would redo."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]

SMALL = {
    "defaults": {"seeds": [3]},
    "datasets": {
        "seen": {"simulate": {"seed": 1, "size": 32, "probe": {"kind": "disk"}, "scan": {"frames": 49, "step": 4}}},
        "unseen": {"simulate": {"seed": 2, "size": 32, "probe": {"kind": "disk"}, "scan": {"frames": 36, "step": 4}}},
    },
    "experiments": {
        "small": {
            "train": ["seen"],
            "test": ["unseen"],
            "model": {"features": 4, "depth": 1, "iterations": 2},
            "training": {"max_epochs": 2, "batch_size": 16, "groups": {"size": 4}},
            "inference": {"tile_frames": 10},
        }
    },
}


def command_of(folder: Path, config: dict | Path, *arguments: str) -> list[str]:
    """Command that runs the repository's workflow in a folder, with a config given as a dictionary or as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(config, dict):
        path, text = folder / "config.yaml", yaml.safe_dump(config)
        # A folder that several tests look at is written to by none of them.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        config = path
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [*command, "--configfile", str(config), "--cores", "2", *arguments]


def environment_of(**variables: str) -> dict[str, str]:
    """Environment in which jobs find the Python that runs the tests, and no store of MLflow but their own."""
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, **variables}


def run_snakemake(
    folder: Path, config: dict | Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the workflow to its end and keep what it prints; keywords are environment variables.

    Snakemake and the programs of its jobs run in forked processes, which have imported what takes long already.
    """
    path = {} if "--dry-run" in arguments else {"PATH": quick_path()}
    return planned_by(command_of(folder, config, *arguments), environment_of(**path | environment))


@cache
def quick_path() -> str:
    """PATH of a `python` for jobs whose programs run in processes forked from one, see `program_server.py`.

    All processes that test share the server; it ends with the last of them.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"ptychoflow-programs-{run}")
    folder.mkdir(exist_ok=True)
    server, python = folder / "server", folder / "python"
    lease = socket.socket(socket.AF_UNIX)
    with FileLock(folder / "lock"):
        if not python.exists():
            program = [sys.executable, str(Path(__file__).with_name("program_server.py")), str(server)]
            # Threads that wait for each other in forked processes compute all the while, unless they are told not to.
            environment = environment_of(MPLBACKEND="Agg", OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
            started = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
            assert started.stdout.readline() == "ready\n"
            as_python = shlex.join(["exec", sys.executable, "-IS", str(Path(__file__).with_name("as_python.py"))])
            python.write_text(f'#!/bin/sh\n{as_python} {shlex.join([str(server), sys.executable])} "$@"\n')
            python.chmod(0o755)
        lease.connect(str(server))
    LEASES.append(lease)
    return f"{folder}{os.pathsep}{environment_of()['PATH']}"


LEASES: list[socket.socket] = []


@cache
def planner() -> subprocess.Popen[str]:
    """The program of `planning.py`, which spares each plan a second of imports; it ends with this process."""
    program = [sys.executable, str(Path(__file__).with_name("planning.py"))]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment_of())


def planned_by(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Do what a command of Snakemake plans to do, in a process forked from the planner."""
    with tempfile.TemporaryDirectory() as place:
        said = {name: str(Path(place, name)) for name in ("stdout", "stderr")}
        request = {"arguments": command[3:], "environment": environment, "folder": os.getcwd(), **said}
        print(json.dumps(request), file=planner().stdin, flush=True)
        status = int(planner().stdout.readline())
        stdout, stderr = (Path(path).read_text(encoding="utf-8") for path in said.values())
    return subprocess.CompletedProcess(command, status, stdout, stderr)


def checkout(folder: Path) -> Path:
    """A copy of the repository's workflow, to change its code."""
    for name in ("rules", "envs", "config", "scripts", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitattributes", ".git_archival.txt", "LICENSE"):
        shutil.copy2(ROOT / name, folder)
    return Path(shutil.copy2(ROOT / "Snakefile", folder))


def start_snakemake(folder: Path, config: dict, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start the workflow with its jobs in a process group of its own, for `kill`; keywords as of `run_snakemake`."""
    return subprocess.Popen(
        command_of(folder, config, *arguments),
        env=environment_of(**environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a workflow and all its jobs, so that none can say or tidy up anything."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def planned(output: str) -> dict[str, int]:
    """Jobs by rule, from the table that a dry run prints."""
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the small workflow has run to its end, once for all processes that test."""
    # Each process of pytest-xdist has a folder of its own within the one of all.
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, mark = base / "finished", base / "finished.complete"
    with FileLock(base / "finished.lock"):
        if not mark.exists():
            # By no process that is forked, but as its users run it.
            command = command_of(folder, SMALL)
            result = subprocess.run(command, capture_output=True, text=True, env=environment_of())
            assert result.returncode == 0, result.stdout + result.stderr
            mark.touch()
    return folder
