"""What made a result: code, commit, packages, host and time, as plain containers.

A provenance is a dictionary that JSON can hold. Each result has one, in a file beside it and within itself
(`ptychoflow.provenance.embedded`), and it holds those of its inputs: one figure leads back to the raw data.

Only the standard library is imported here: the workflow asks for digests of code before anything runs.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ptychoflow import __version__
from ptychoflow.files import replacing

LIBRARY = Path(__file__).parents[1]
PACKAGE = LIBRARY.name
ARCHIVED = ".git_archival.txt"
"""Where ``git archive`` writes the commit, at the root of what it packs, and whoever builds a wheel, in the library."""
PACKAGES = ("numpy", "scipy", "torch", "lightning", "h5py", "mlflow", "scikit-image", "matplotlib", "snakemake")


def code_digest(script: Path) -> str:
    """Digest of a Python file and of every library module that it imports, directly or not.

    Parameters
    ----------
    script : Path
        A program of scripts/ or a module of the library.

    Returns
    -------
    str
        Hexadecimal SHA-256; it changes when any of that code changes, and with nothing else: however the path of the
        checkout is spelled, and whether a folder on the way is a link.
    """
    script, programs = Path(script).resolve(), LIBRARY.resolve().parent
    pending, seen = [script], set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(_imported_modules(path))
    digest = hashlib.sha256()
    for name, path in sorted((os.path.relpath(path, programs), path) for path in seen):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def _imported_modules(path: Path) -> tuple[Path, ...]:
    """Files of the library that the import statements of a Python file name, wherever they stand in it."""
    # Each plan waits for this, and a syntax tree takes ten times as long.
    members, modules = r"\([^)]*\)|.*", rf".*\b{PACKAGE}\b.*"
    statement = rf"^[ \t]*(?:from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+({members})|import[ \t]+({modules}))"
    names: set[str] = set()
    for module, members, modules in re.findall(statement, path.read_text(encoding="utf-8"), re.MULTILINE):
        listed = re.sub(r"#.*|[()]", "", members or modules).split(",")
        named = [entry.split()[0] for entry in listed if entry.strip()]
        names.update((module, *(f"{module}.{name}" for name in named)) if module else named)
    return tuple(sorted({file for name in names for file in _files_of(LIBRARY.resolve(), name)}))


@cache
def _files_of(library: Path, name: str) -> tuple[Path, ...]:
    """Files of the library that run when a module, or a member of one, is imported by its full name."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return ()
    # Importing a module runs the __init__ of each package above it.
    stems = [library.joinpath(*parts[1:end]) for end in range(1, len(parts) + 1)]
    return tuple(file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())


def repository_commit() -> str:
    """Commit of the checkout that the library runs from, ``-dirty`` where files differ.

    A copy that ``git archive`` made, such as a module from a hosted repository or a downloaded release, says it in a
    file, and so does an installed wheel. A repository that the checkout merely stands in, and which does not hold the
    library, is not asked.

    Returns
    -------
    str
        ``unknown`` where none of this is so.
    """
    return _written(LIBRARY.parents[1]) or _told_by_git() or _written(LIBRARY) or "unknown"


def _written(folder: Path) -> str | None:
    """Commit that a file in a folder names."""
    described = folder / ARCHIVED
    if not described.is_file():
        return None
    name, _, commit = described.read_text(encoding="utf-8").strip().partition(": ")
    return commit if name == "node" and re.fullmatch("[0-9a-f]{40,64}(-dirty)?", commit) else None


def _told_by_git() -> str | None:
    try:
        if _git("ls-files", "--error-unmatch", "--", "."):
            return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        pass
    return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(LIBRARY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def package_versions(*names: str) -> dict[str, str]:
    """Installed versions of packages by name; those that are not installed are left out."""
    versions = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def now() -> str:
    """The present time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def circumstances() -> dict[str, Any]:
    """When, where and by which code something is made, as plain containers.

    Returns
    -------
    dict
        ``started``, ``commit``, ``dirty`` (whether the checkout differed from it), ``packages`` and ``host``.
    """
    commit = repository_commit()
    return {
        "started": now(),
        "commit": commit.removesuffix("-dirty"),
        "dirty": commit.endswith("-dirty"),
        "packages": {"python": platform.python_version(), "ptychoflow": __version__, **package_versions(*PACKAGES)},
        "host": platform.node(),
    }


def write_provenance(path: Path, provenance: dict[str, Any]) -> None:
    """Write a provenance as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
