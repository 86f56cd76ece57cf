"""Every shipped config, with one value broken in each of its places, is refused in one sentence."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml

from ptychoflow.configuration.resolution import resolve
from ptychoflow.errors import InputError
from ptychoflow.settings.values import Range, kinds_of, section_of
from ptychoflow.settings.workflow import WorkflowSettings

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(path for path in (ROOT / "config").rglob("*.yaml") if "schemas" not in path.parts)
FREE = {"question", "path", "url", "strategy", "mlflow_experiment", "network", "published"}
"""Keys of texts that may be any; a checkpoint file that is not there is missed as an input."""
MISSPELT = "x"


def places(kind: Any, value: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any, Any]]:
    """Every place of a config, with the type that its setting has."""
    yield path, kind, value
    section = section_of(kind) if get_origin(kind) is not dict else None
    if section is not None and isinstance(value, dict):
        for key, part in value.items():
            yield from places(kinds_of(section)[key], part, (*path, key))
    elif isinstance(value, dict):
        entry = next((part for part in (kind, *get_args(kind)) if get_origin(part) is dict), dict[str, Any])
        for key, part in value.items():
            yield from places(get_args(entry)[1], part, (*path, key))
    elif isinstance(value, list):
        found = get_args(kind)
        for number, part in enumerate(value):
            one = found[min(number, len(found) - 1)] if found and found[-1] is not Ellipsis else (found or (Any,))[0]
            yield from places(one, part, (*path, number))


def breaks(kind: Any, value: Any, path: tuple) -> Iterator[tuple[str, Any]]:
    """What is wrong in a place, by what kind of mistake it is."""
    section = section_of(kind) if get_origin(kind) is not dict else None
    if isinstance(value, dict):
        yield "wrong type", [7]
        if section is not None:
            for key in value:
                misspelt = {f"{name}{MISSPELT}" if name == key else name: part for name, part in value.items()}
                yield "misspelt key", misspelt
        elif path[-1] == "only" or get_origin(kind) is Union or (path[-1] == "datasets" and len(path) > 3):
            # Labels of axes, and parts that datasets play; where datasets are defined they have any names.
            yield "misspelt key", {f"{name}{MISSPELT}": part for name, part in value.items()}
        return
    if isinstance(value, list):
        yield "wrong type", True
        return
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    alternatives = (kind, *get_args(base)) if get_origin(base) in (Union, type(int | None)) else (kind,)
    if isinstance(value, bool):
        yield "wrong type", "perhaps"
    elif isinstance(value, (int, float)) and "axes" not in path[-3:] and "only" not in path:
        yield "wrong type", "many"
        yield "wrong type", True
        yield "out of range", float("inf")
        for part in alternatives:
            for mark in getattr(part, "__metadata__", ()):
                if isinstance(mark, Range):
                    yield from (("out of range", end - 1) for end in (mark.at_least, mark.above) if end is not None)
                    yield from (("out of range", 2 * end + 1) for end in (mark.at_most, mark.below) if end is not None)
    elif isinstance(value, str):
        yield "wrong type", {"a": 1} if path[-1] not in ("init_from", "network_of", "start_from") else [1]
        if not FREE & set(path):
            yield "misspelt choice", value + "?"


def broken(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies of a config with one thing wrong in each."""
    for path, kind, value in places(WorkflowSettings, config):
        if not path:
            continue
        for mistake, wrong in breaks(kind, value, path):
            if "published" in path and mistake == "misspelt key":
                continue
            changed = copy.deepcopy(config)
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            yield f"{mistake} at {'.'.join(map(str, path))}: {wrong!r}", changed


def sentence_on(config: dict[str, Any]) -> str:
    """What someone hears of a config; nothing where it is taken."""
    try:
        resolve(config)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_one_value_broken_in_each_place_is_refused_in_one_sentence(path: Path):
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolve(config)
    heard = {mistake: sentence_on(changed) for mistake, changed in broken(config)}
    assert [mistake for mistake, sentence in heard.items() if not re.fullmatch(r"[^\n]+expected[^\n]+", sentence)] == []
    assert len(heard) > 10
