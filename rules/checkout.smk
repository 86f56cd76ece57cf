# Where the workflow's own files are: in a checkout, or in a repository elsewhere that a module names.

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import LocalSourceFile

PACKED = (".git_archival.txt", "Snakefile", "rules", "scripts", "envs", "config")


def checkout():
    """Folder of the checkout; of a repository elsewhere, its files beside those that Snakemake's cache has of it.

    Snakemake's own way, file by file, would lose what is no text, such as the weights of the shipped network.
    """
    rules = workflow.current_basedir
    if isinstance(rules, LocalSourceFile):
        return Path(rules.get_path_or_uri(secret_free=True)).parent
    folder = Path(workflow.source_path("../Snakefile") + ".files")
    if folder.exists():
        return folder
    if hasattr(rules, "hosted_repo"):
        repository = rules.hosted_repo.repo.git_dir
    elif hasattr(rules, "repo_path"):
        repository = rules.repo_path
    else:
        raise WorkflowError(
            f"the workflow is read from {rules}, one file at a time: expected a local path, github(...), gitlab(...) or "
            "git+file:, which know the repository that its programs are in"
        )
    above = str(Path(rules.path).parent)
    version = rules.ref if above == "." else f"{rules.ref}:{above}"
    command = ["git", "-C", str(repository), "archive", version, *PACKED]
    packed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(Path(place, "files"), filter="data")
        try:
            Path(place, "files").rename(folder)
        except OSError:
            if not folder.exists():  # another workflow was faster
                raise
    return folder


CHECKOUT = checkout()
SCRIPTS = CHECKOUT / "scripts"


def import_own_library():
    """Let `ptychoflow` be this checkout's library, not that of another module, nor one that is installed."""
    loaded = sys.modules.get("ptychoflow")
    if loaded is not None and Path(loaded.__file__).parent == SCRIPTS / "ptychoflow":
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "ptychoflow"]:
        del sys.modules[name]
    sys.path.insert(0, str(SCRIPTS))


import_own_library()


PREFIXED = workflow.modifier.modify_path("results") != "results"


def given(*paths):
    """Files that the user names, as inputs: they stand where they say, and not under the prefix of a module."""
    nameable = [path for path in paths if not has_braces(path)]
    return [local(path) for path in nameable] if PREFIXED else nameable


def has_braces(path):
    """Whether Snakemake would take the name of a file for a pattern, so that it cannot be an input."""
    return "{" in path or "}" in path


def state(*paths):
    """Size and date of those files that cannot be inputs, so that a result is made again when they change; and of all
    files in folders, whose own date tells of no change within them."""
    kept = [Path(path) for path in paths if has_braces(path) or Path(path).is_dir()]
    return [_size_and_date(path) if path.exists() else "missing" for path in kept]


def _size_and_date(path):
    files = [file.stat() for file in (path.rglob("*") if path.is_dir() else [path])]
    return f"{sum(file.st_size for file in files)} {max((file.st_mtime_ns for file in files), default=0)}"
