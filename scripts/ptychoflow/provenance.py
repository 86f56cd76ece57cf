"""What made a result: code, commit, packages, host and time, as plain containers.

A provenance is a dictionary that JSON can hold. Each result has one, in a file beside it and within itself
(`ptychoflow.embedded_provenance`), and it holds those of its inputs: one figure leads back to the raw data.

Only the standard library is imported here: the workflow asks for digests of code before anything runs.
"""

import ast
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ptychoflow.files import replacing

LIBRARY = Path(__file__).parent
PACKAGE = LIBRARY.name
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
        Hexadecimal SHA-256; it changes when any of that code changes, and with nothing else.
    """
    pending, seen = [Path(script).resolve()], set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(_imported_modules(path))
    digest = hashlib.sha256()
    for path in sorted(seen):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@cache
def _imported_modules(path: Path) -> tuple[Path, ...]:
    """Files of the library that the import statements of a Python file name, wherever they stand in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        for end in range(1, len(parts) + 1):
            # Importing a module runs the __init__ of each package above it.
            stem = LIBRARY.joinpath(*parts[1:end])
            found.update(file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file())
    return tuple(sorted(found))


def repository_commit() -> str:
    """Commit of the checkout that the library runs from, ``-dirty`` where files differ; ``unknown`` without git."""
    command = ["git", "-C", str(LIBRARY), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


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
        "packages": {"python": platform.python_version(), **package_versions(*PACKAGES)},
        "host": platform.node(),
    }


def write_provenance(path: Path, provenance: dict[str, Any]) -> None:
    """Write a provenance as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
