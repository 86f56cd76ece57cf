"""A file is whole or absent, and its digests follow its content and nothing else."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptychoflow.files import replacing, sha256_of
from ptychoflow.provenance.record import LIBRARY, code_digest

SCRIPTS = LIBRARY.parent


def test_a_finished_file_takes_its_place(tmp_path: Path):
    path = tmp_path / "deep/er/name.txt"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_what_was_there(tmp_path: Path):
    path = tmp_path / "name.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_is_that_of_hashlib(tmp_path: Path):
    path = tmp_path / "data"
    path.write_bytes(b"frames" * 100000)
    assert sha256_of(path) == hashlib.sha256(b"frames" * 100000).hexdigest()


@pytest.mark.parametrize(
    ("program", "imported", "not_imported"),
    [
        ("stitch", "physics/patches", "runs/run"),
        ("train", "models/blocks", "metrics/similarity"),
        ("plot_training", "figures/result", "models/unrolled"),
        ("simulate", "simulation/probes", "training/module"),
    ],
)
def test_a_program_is_stale_when_a_module_it_imports_changes(
    program: str, imported: str, not_imported: str, monkeypatch: pytest.MonkeyPatch
):
    before = code_digest(SCRIPTS / f"{program}.py")
    assert before == code_digest(SCRIPTS / f"{program}.py")
    read = Path.read_bytes

    def changed(name: str) -> str:
        edited = LIBRARY / f"{name}.py"
        assert edited.is_file()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path == edited else b""))
            return code_digest(SCRIPTS / f"{program}.py")

    assert changed(imported) != before
    assert changed(not_imported) == before


def test_digests_need_neither_torch_nor_numpy():
    code = (
        "import sys; from ptychoflow.provenance.record import code_digest; print({'torch', 'numpy'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert output.stdout.strip() == "set()"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_is_as_readable_as_the_user_wants(mask: int, mode: int, tmp_path: Path):
    before = os.umask(mask)
    try:
        with replacing(tmp_path / "name.txt") as temporary:
            temporary.write_text("whole")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "name.txt").stat().st_mode & 0o777 == mode


def test_an_older_file_is_replaced_in_one_step(tmp_path: Path):
    path = tmp_path / "name.txt"
    path.write_text("before")
    with replacing(path) as temporary, open(path) as reader:
        temporary.write_text("after")
        assert path.read_text() == "before"
        held = reader.read()
    assert held == "before"
    assert path.read_text() == "after"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path):
    path = tmp_path / "name.txt"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_of_nothing_is_the_published_digest(tmp_path: Path):
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
