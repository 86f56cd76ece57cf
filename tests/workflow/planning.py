"""A program that plans and runs workflows for the tests: Snakemake, imported once, in a forked process for each.

Each line that it reads is a request in JSON: arguments, environment, folder, and the files for what is printed.
It answers with the status that Snakemake ended with.
"""

import gc
import json
import os
import sys
import traceback
from pathlib import Path


def status_of(process: int, environment: dict[str, str]) -> int:
    """Wait for a forked process, and write the seconds that it computed where its environment says, see conftest.py."""
    _, status, used = os.wait4(process, 0)
    if path := environment.get("PTYCHOFLOW_PROCESSOR_TIMES"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{used.ru_utime + used.ru_stime}\n")
    return os.waitstatus_to_exitcode(status)


def plan(arguments: list[str], environment: dict[str, str], folder: str, stdout: str, stderr: str) -> None:
    """Do what `python -m snakemake` does once it has imported itself, and end this process."""
    for descriptor, path in ((1, stdout), (2, stderr)):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = [str(Path(sys.executable).with_name("snakemake")), *arguments]
    status = 1
    try:
        snakemake.cli.main(arguments)
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    # What a plan imports sooner or later.
    import smart_open  # noqa: F401
    import snakemake.cli
    import snakemake.report.html_reporter

    gc.freeze()

    for line in sys.stdin:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            plan(**request)
        print(status_of(child, request["environment"]), flush=True)
