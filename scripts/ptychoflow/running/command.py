"""The one command of an installed package: ``ptychoflow reconstruct …`` runs a program, ``ptychoflow init`` begins.

Within the wheel the workflow stands beside the library, as it stands above it in a checkout.
"""

import ast
import difflib
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

from ptychoflow import __version__
from ptychoflow.errors import InputError
from ptychoflow.running import command_line

LIBRARY = Path(__file__).parents[1]
WITHIN_WHEEL = LIBRARY / "workflow"
WORKFLOW = WITHIN_WHEEL if WITHIN_WHEEL.is_dir() else LIBRARY.parents[1]
"""Folder of Snakefile, rules and programs."""
PARTS = ("Snakefile", "rules", "envs", "config", "profiles", "LICENSE", ".gitignore")
"""What a workflow folder has beside its programs and the library."""
FOR_PEOPLE = (
    "init",
    "simulate",
    "ingest",
    "inspect",
    "reconstruct",
    "train",
    "tune",
    "infer",
    "stitch",
    "evaluate",
    "view",
    "refine",
    "solve",
    "watch",
    "export",
    "show_provenance",
)
"""Programs that people start by hand, in the order of their use; the others are steps of the workflow."""
SHORT = {"inspect": "inspect_dataset"}
DEVELOPMENT = ("write_reference",)
"""Programs that change the repository itself."""


def main() -> None:
    """Run the program that the first argument names, with the others."""
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else "--help"), sys.argv[2:]
    if name in ("-h", "--help", "help"):
        print(listing())
        sys.exit(0 if len(sys.argv) > 1 else command_line.BAD_INPUT)
    if name == "--version":
        print(f"PtychoFlow {__version__}")
        return
    known, name = programs(), name.removesuffix(".py").replace("-", "_")
    command_line.CALLED_AS = f"ptychoflow {name}"
    if name == "init":
        command_line.run_program(init, arguments=arguments, positional=True)
        return
    path = known.get(SHORT.get(name, name))
    if path is None:
        close = difflib.get_close_matches(name, ["init", *SHORT, *known], 1)
        expected = f"expected {close[0]}" if close else "expected one that ptychoflow --help lists"
        print(f"ptychoflow: error: there is no program {name}: {expected}", file=sys.stderr)
        sys.exit(command_line.BAD_INPUT)
    # Lightning starts the further processes of a training by this name.
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")


def init(folder: Path) -> None:
    """Write a folder in which `snakemake` runs the workflow: rules, programs, library, environments, config, profiles.

    The code stands there as it is now: results are made again when it changes, and not when a package does.

    Parameters
    ----------
    folder : Path
        A new or an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: expected a new folder, or an empty one")
    folder.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__", WITHIN_WHEEL.name)
    with tempfile.TemporaryDirectory(prefix=".ptychoflow-", dir=folder) as place:
        fresh = Path(place)
        for part in PARTS:
            copy = shutil.copytree if (WORKFLOW / part).is_dir() else shutil.copy2
            copy(WORKFLOW / part, fresh / part)
        shutil.copytree(LIBRARY, fresh / "scripts" / LIBRARY.name, ignore=ignored)
        for path in programs().values():
            shutil.copy2(path, fresh / "scripts")
        for path in sorted(fresh.iterdir()):
            path.rename(folder / path.name)
    print(
        f"{folder} is ready: cd {folder}, and snakemake runs the demo of config/config.yaml, snakemake --configfile "
        "my.yaml your own; config/README.md explains every key, snakemake -n says what would run"
    )


def programs() -> dict[str, Path]:
    """Files of the programs by name."""
    found = {path.stem: path for path in sorted((WORKFLOW / "scripts").glob("*.py"))}
    return {name: path for name, path in found.items() if name not in DEVELOPMENT}


def listing() -> str:
    """All programs, with the first line of what each says of itself."""
    known = programs()
    said = {name: _first_line(known[SHORT.get(name, name)]) for name in FOR_PEOPLE if name != "init"}
    said = {"init": "Write a folder in which snakemake runs the workflow."} | said
    steps = sorted(known.keys() - said.keys() - set(SHORT.values()))
    width = max(map(len, said))
    return "\n".join(
        [
            "usage: ptychoflow PROGRAM …, of which ptychoflow PROGRAM --help tells more",
            "",
            *(f"  {name:{width}}  {line}" for name, line in said.items()),
            "",
            f"Steps of the workflow, by themselves: {', '.join(steps)}.",
        ]
    )


def _first_line(program: Path) -> str:
    return (ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or "").splitlines()[0]
