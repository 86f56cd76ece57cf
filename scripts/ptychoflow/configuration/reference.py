"""The schema of a config, for editors, and the tables of config/README.md, both made of the types of the settings."""

import json
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_origin

import docstring_parser
import yaml

from ptychoflow.configuration.reading import config_type, section_name
from ptychoflow.settings.values import in_words, kinds_of, section_of, shown
from ptychoflow.settings.workflow import WorkflowSettings

HEADER = (
    "# For editors. Written by `make schema` of the types in scripts/ptychoflow/settings, which the workflow checks.\n"
)
BESIDE = {
    "config": {"anyOf": [{"required": ["experiments"]}, {"required": ["studies"]}]},
    "dataset": {"minProperties": 1, "maxProperties": 1},
    "study": {"required": ["question", "scores", "experiment", "axes", "scales"]},
}
"""What a schema of parts cannot say of the whole."""
TABLE = re.compile(r"(<!-- keys of (\w+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)
"""A table of config/README.md, whose rows are written anew."""


def sections(settings: type = WorkflowSettings) -> dict[str, type]:
    """Settings classes by the name of the section, that of the whole config first."""
    found = {section_name(settings): settings}
    for kind in kinds_of(settings).values():
        for part in _parts(kind):
            found |= {name: known for name, known in sections(part).items() if name not in found}
    return found


def schema() -> dict[str, Any]:
    """JSON schema of a config, with the meaning of every key."""
    made = config_type().json_schema(ref_template="#/definitions/{model}")
    definitions = made.pop("$defs")
    root = definitions.pop("config", made)
    for name, settings in sections().items():
        definition = root if name == "config" else definitions[name]
        definition |= BESIDE.get(name, {})
        definition["description"] = summary(settings)
        meanings = meanings_of(settings)
        for field in keys(settings):
            entry = definition["properties"][field.name]
            entry["description"] = meanings[field.name]
            if section_of(kinds_of(settings)[field.name]) is None and default_of(field) is not MISSING:
                entry["default"] = default_of(field)
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "definitions": definitions,
    }
    return _for_editors(json.loads(json.dumps(made)))


def schema_text() -> str:
    """Text of config/schemas/config.schema.yaml."""
    return HEADER + yaml.safe_dump(schema(), sort_keys=False, allow_unicode=True, width=120)


def readme_text(text: str) -> str:
    """Text of config/README.md with every table written anew."""
    known = {base.__name__: base for settings in sections().values() for base in settings.__mro__}

    def written(match: re.Match[str]) -> str:
        start, name, _, end = match.groups()
        rows = [row(known[name], field) for field in keys(known[name]) if field.name in known[name].__annotations__]
        return start + "| key | value | default | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows) + end

    return TABLE.sub(written, text)


def row(settings: type, field: Field) -> str:
    """Row of a table: key, what it may be, what it is if it is not said, and what it means."""
    kind, default = kinds_of(settings)[field.name], default_of(field)
    section = section_of(kind)
    meaning = re.sub(r"\bdocs/(\w+\.md)", r"[docs/\1](../docs/\1)", meanings_of(settings)[field.name])
    if get_origin(kind) is dict and section is not None:
        return f"| `{field.name}` | sections by name | | {meaning} |\n"
    if section is not None:
        name = section_name(section)
        return f"| `{field.name}` | | | {meaning} See [`{name}`](#{name}). |\n"
    said = "" if default in (MISSING, [], {}) else f"`{shown(default)}`"
    return f"| `{field.name}` | {in_words(kind)} | {said} | {meaning} |\n"


def keys(settings: type) -> list[Field]:
    """Fields that are keys of a config."""
    return [field for field in fields(settings) if not field.metadata.get("program_only")]


def default_of(field: Field) -> Any:
    """Value of a field that is not given."""
    return _listed(field.default if field.default_factory is MISSING else field.default_factory())


def summary(settings: type) -> str:
    """What a section is, from its docstring."""
    return docstring_parser.parse(settings.__doc__).short_description


def meanings_of(settings: type) -> dict[str, str]:
    """What each key means, from the docstrings."""
    meanings: dict[str, str] = {}
    for known in reversed(settings.__mro__):
        found = docstring_parser.parse(known.__doc__ or "").params
        meanings |= {param.arg_name: " ".join((param.description or "").split()) for param in found}
    return meanings


def write_reference(folder: Path) -> None:
    """Write schema and tables anew.

    Parameters
    ----------
    folder : Path
        The folder config/ of the checkout.
    """
    (folder / "schemas/config.schema.yaml").write_text(schema_text(), encoding="utf-8")
    readme = folder / "README.md"
    readme.write_text(readme_text(readme.read_text(encoding="utf-8")), encoding="utf-8")


def _parts(kind: Any) -> list[type]:
    """Settings classes that a type is made of."""
    section = section_of(kind)
    if section is not None:
        return [section]
    return [part for argument in getattr(kind, "__args__", ()) for part in _parts(argument)]


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _for_editors(node: Any) -> Any:
    """Say it as an editor needs it: names checked, numbers where text may be one, and no titles made of names."""
    if isinstance(node, list):
        return [_for_editors(part) for part in node]
    if not isinstance(node, dict):
        return node
    made = {key: _for_editors(part) for key, part in node.items() if not (key == "title" and isinstance(part, str))}
    if "patternProperties" in made:
        ((pattern, entries),) = made.pop("patternProperties").items()
        made |= {"propertyNames": {"pattern": pattern}, "additionalProperties": entries}
    if made.get("type") == "string" and "pattern" in made:
        made["type"] = ["string", "number"]
    return made
