"""The notebooks of docs/ run from end to end, as their readers run them, and draw what they say."""

from pathlib import Path

import nbformat
import pytest
from notebook_runs import NOTEBOOKS, executed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_folder_of_its_own(path: Path, tmp_path: Path):
    if path.stem == "compare":
        pytest.importorskip("ptychi")
    kept, now = nbformat.read(path, as_version=4), executed(path, tmp_path)
    assert figures(now) == figures(kept)
    said = "".join(output.text for output in outputs(now) if output.output_type == "stream")
    assert "100%" in said
    assert "Traceback" not in said
    assert "IProgress" not in said


def test_the_notebooks_are_three_small_and_shown_with_what_they_give():
    assert [path.stem for path in NOTEBOOKS] == ["compare", "simulated", "your_scan"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert path.stat().st_size < 500_000, path
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
        assert figures(notebook) > 0, path
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), path


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def figures(notebook: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))
