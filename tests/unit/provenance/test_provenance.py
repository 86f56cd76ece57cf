"""Digests follow the imports of a program, and the commit is that of the checkout."""

import ast
import importlib.metadata
import shutil
import subprocess
from pathlib import Path

import pytest

from ptychoflow.provenance import record as provenance
from ptychoflow.provenance.record import LIBRARY, code_digest, package_versions, repository_commit


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library in place of the real one: `a` imports `inner.b`, inside a function."""
    folder = tmp_path / "scripts/ptychoflow"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner/__init__.py").write_text("")
    (folder / "a.py").write_text("def late():\n    from ptychoflow.inner import b\n    return b\n")
    (folder / "inner/b.py").write_text("value = 1\n")
    (folder / "apart.py").write_text("value = 2\n")
    monkeypatch.setattr(provenance, "LIBRARY", folder)
    return folder


def program(library: Path, text: str = "import numpy\nfrom ptychoflow.a import late\n") -> Path:
    path = library.parent / "program.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["a.py", "inner/b.py", "inner/__init__.py", "__init__.py"])
def test_code_imported_at_any_depth_counts(name: str, library: Path):
    script = program(library)
    before = code_digest(script)
    (library / name).write_text((library / name).read_text() + "# changed\n")
    assert code_digest(script) != before


def named_in_tree(path: Path) -> set[str]:
    """Modules, and members of modules, that the import statements of a syntax tree name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == "ptychoflow"}


def test_imports_are_those_of_the_syntax_tree():
    library, tests = LIBRARY.resolve(), Path(__file__).parents[2]
    for path in (*library.parent.rglob("*.py"), *tests.rglob("*.py")):
        expected = {file for name in named_in_tree(path) for file in provenance._files_of(library, name)} | {path}
        found = {*provenance._imported_modules(path), path}
        # In tests, programs stand in texts, and count as well.
        assert found >= expected if path.is_relative_to(tests) else found == expected, path


def test_code_that_is_not_imported_does_not_count(library: Path):
    script = program(library)
    before = code_digest(script)
    (library / "apart.py").write_text("value = 3\n")
    (library.parent / "other.py").write_text("value = 4\n")
    assert code_digest(script) == before


def test_the_program_itself_counts(library: Path):
    before = code_digest(program(library))
    assert code_digest(program(library, "import numpy\nfrom ptychoflow.a import late  # again\n")) != before


def test_the_folder_does_not_count(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = program(library)
    before = code_digest(script)
    shutil.copytree(tmp_path / "scripts", tmp_path / "elsewhere")
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path / "elsewhere/ptychoflow")
    assert code_digest(tmp_path / "elsewhere/program.py") == before


def test_how_the_path_of_the_checkout_is_spelled_does_not_count(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = program(library)
    (tmp_path / "link").symlink_to(tmp_path / "scripts")
    monkeypatch.chdir(tmp_path)
    spellings = [library.parent, tmp_path / "link", tmp_path / "link/../scripts", Path("scripts"), Path("link")]
    found = set()
    for folder in spellings:
        for other in spellings:  # the program and the library need not be spelled alike
            monkeypatch.setattr(provenance, "LIBRARY", other / "ptychoflow")
            found.add(code_digest(folder / script.name))
    assert len(found) == 1


def test_which_module_holds_the_code_counts(library: Path):
    script = program(library, "from ptychoflow.a import late\nfrom ptychoflow.inner import b\n")
    (library / "b.py").write_text("value = 5\n")
    before = code_digest(script)
    script.write_text("from ptychoflow.a import late\nfrom ptychoflow.inner import b\n")
    assert code_digest(script) == before
    (library / "inner/b.py").write_text((library / "__init__.py").read_text())
    (library / "__init__.py").write_text("value = 1\n")
    assert code_digest(script) != before


def git(folder: Path, *arguments: str) -> str:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_repository_that_the_checkout_merely_stands_in_is_not_asked(library: Path, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("first")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "thesis.tex")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    assert repository_commit() == "unknown"
    git(tmp_path, "add", "scripts")
    assert repository_commit() == git(tmp_path, "rev-parse", "HEAD") + "-dirty"


def test_an_archive_of_a_commit_says_which(library: Path, tmp_path: Path):
    (tmp_path / ".git_archival.txt").write_text("node: $Format:%H$\n")
    assert repository_commit() == "unknown"
    (tmp_path / ".git_archival.txt").write_text(f"node: {40 * 'a'}\n")
    assert repository_commit() == 40 * "a"


def test_a_wheel_says_its_commit_unless_a_repository_holds_the_library(library: Path, tmp_path: Path):
    (library / ".git_archival.txt").write_text(f"node: {40 * 'b'}-dirty\n")
    assert repository_commit() == 40 * "b" + "-dirty"
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "scripts")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    assert repository_commit() == git(tmp_path, "rev-parse", "HEAD")


def test_the_commit_is_that_of_git_and_dirty_where_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("first")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path)
    assert repository_commit() == git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "tag", "v1")
    assert repository_commit() == git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "file").write_text("second")
    assert repository_commit() == git(tmp_path, "rev-parse", "HEAD") + "-dirty"


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository_commit() == "unknown"


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "LIBRARY", tmp_path)
    assert repository_commit() == "unknown"


def test_versions_are_those_installed():
    assert package_versions("numpy", "torch") == {name: importlib.metadata.version(name) for name in ("numpy", "torch")}


def test_the_library_knows_its_own_folder():
    assert (LIBRARY / "provenance/record.py").is_file()
    assert LIBRARY.name == "ptychoflow"
