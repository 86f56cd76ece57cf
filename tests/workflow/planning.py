"""A program that plans workflows for the tests: Snakemake, imported once, in a forked process for each plan.

Each line that it reads is a request in JSON: arguments, environment, folder, and the files for what is printed.
It answers with the status that Snakemake ended with.
"""

import json
import os
import sys
import traceback
from pathlib import Path

# What a plan imports sooner or later.
import smart_open  # noqa: F401
import snakemake.report.html_reporter  # noqa: F401
from snakemake.cli import main


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
        main(arguments)
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            plan(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
