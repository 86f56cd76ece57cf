"""The rooms of the library stand in one order, along the way of the data, and docs/architecture.md tells it."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "scripts/ptychoflow"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ORDER = re.findall(r"^\| `(\w+)/` \|", PAGE, flags=re.MULTILINE)
"""The rooms, from the ground up: each may import those before it, whenever it does so."""
MODULES = {path: path.relative_to(LIBRARY).parts for path in sorted(LIBRARY.rglob("*.py"))}


def imported(path: Path) -> set[tuple[str, ...]]:
    """Parts of the names of all modules of the library that a file imports, at its top or within a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            # What is imported may be a module itself.
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {tuple(name.split(".")[1:]) for name in names if name.split(".")[0] == "ptychoflow"}


def test_the_page_names_every_room_and_no_other():
    rooms = {parts[0] for parts in MODULES.values() if len(parts) > 1}
    assert rooms == set(ORDER)
    assert len(ORDER) == len(rooms)


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_those_before_it_alone(room: str):
    allowed = set(ORDER[: ORDER.index(room) + 1])
    for path, parts in MODULES.items():
        if parts[0] == room:
            for name in imported(path):
                above = name[0] in ORDER and name[0] not in allowed
                assert not above, f"{'/'.join(parts)} imports {'.'.join(name)}, which is above it"


def test_what_stands_at_the_top_imports_no_room_at_once():
    top = [path for path, parts in MODULES.items() if len(parts) == 1]
    assert len(top) <= 8
    for path in top:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[1] for name in names if name.startswith("ptychoflow.")} & set(ORDER), path


def test_no_module_imports_a_program():
    programs = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not programs & {name.split(".")[0] for name in names}, path


def test_no_file_is_long_and_no_room_is_the_house():
    files = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert [path.name for path, count in lines.items() if count > 300] == []
    rooms = Counter()
    for path, parts in MODULES.items():
        rooms[parts[0]] += lines[path]
    assert max(rooms.values()) <= 0.22 * sum(rooms.values())


def test_every_file_rule_and_function_that_the_page_names_exists():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for path in re.findall(r"`((?:scripts|rules|tests|config|docs|envs)/[\w./]+)`", PAGE):
        assert (ROOT / path).exists(), path
    rules = "\n".join(
        path.read_text(encoding="utf-8") for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    )
    for rule in re.findall(r"rule `(\w+)`", PAGE):
        assert re.search(rf"^\s*rule {rule}:", rules, flags=re.MULTILINE), rule
    for path, function in re.findall(r"`(\w+(?:/\w+)+\.py)`, `(\w+)`", PAGE):
        text = (LIBRARY / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(?:def|class) {function}\b", text, flags=re.MULTILINE), (path, function)


def test_tests_stand_in_the_rooms_of_what_they_test():
    folders = {path.parent.name for path in (ROOT / "tests/unit").glob("*/test_*.py")}
    assert folders <= set(ORDER)
