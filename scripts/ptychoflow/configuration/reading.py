"""The check of a config when it is read: every value against the type of its setting, before anything runs.

What YAML, or a command line, gives as text where a number is meant is taken as the number; what has no one meaning
ends in a sentence that names key, value and what was expected.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ptychoflow.errors import InputError
from ptychoflow.settings.experiment import IngestedSettings, RefinedSettings, SharedSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.values import Range, Settings, in_words, kinds_of, section_of, shown
from ptychoflow.settings.workflow import WorkflowSettings

Section = TypeVar("Section", bound=Settings)

NAMES = {
    WorkflowSettings: "config",
    SharedSettings: "defaults",
    SimulationSettings: "simulate",
    IngestedSettings: "ingest",
    RefinedSettings: "refine",
    BlindReconstructionSettings: "reconstruction",
}


def read_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a config and give a copy with every value as it is meant; what it does not say stays unsaid.

    Parameters
    ----------
    config : mapping
        As Snakemake read it; it is left as it is.

    Raises
    ------
    InputError
        For the first value that is of a wrong kind, out of its range or none of its choices, or key that is none.
    """
    try:
        return _plain(config_type().validate_python(config))
    except ValidationError as error:
        raise InputError(_sentence(error.errors(include_url=False)[0])) from None


def read_settings(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """Settings of one section from plain containers, such as keywords of Python, every value checked as in a config.

    Parameters
    ----------
    kind : type
        Class of the settings.
    values : mapping
        Those that are not to be the defaults, sections as dictionaries.

    Raises
    ------
    InputError
        As `read_config` does.
    """
    try:
        return kind.of(_plain(TypeAdapter(partial(kind)).validate_python(dict(values))))
    except ValidationError as error:
        raise InputError(_sentence(error.errors(include_url=False)[0], section_name(kind))) from None


@cache
def config_type() -> TypeAdapter:
    """Type of a config of which anything may be left out."""
    return TypeAdapter(partial(WorkflowSettings))


@cache
def partial(settings: type) -> Any:
    """Type of a section of which anything may be left out, made of its settings class."""
    keys = {
        field.name: _key(kinds_of(settings)[field.name])
        for field in fields(settings)
        if not field.metadata.get("program_only")
    }
    section = TypedDict(section_name(settings), keys, total=False)
    section.__pydantic_config__ = ConfigDict(extra="forbid")

    def check(value: Any) -> Any:
        value = _section(value)
        if not isinstance(value, Mapping):
            raise PydanticCustomError("expected", "{words}", {"words": f"keys among {', '.join(keys)}"})
        unknown = [key for key in value if key not in keys]
        if unknown and unknown[0] in settings.retired:
            raise PydanticCustomError("retired", "{key}", {"key": unknown[0], "why": settings.retired[unknown[0]]})
        if unknown:
            raise PydanticCustomError("unknown", "{key}", {"key": _text_of(unknown[0]), "known": list(keys)})
        return value

    return Annotated[section, BeforeValidator(check)]


def section_name(settings: type) -> str:
    """Key that a section mostly stands under, its name in the schema: ``training`` of TrainingSettings."""
    return settings.section or NAMES.get(settings) or settings.__name__.removesuffix("Settings").lower()


def _key(kind: Any) -> Any:
    """Type of what a key of a config may have: of sections, by name or not, or a value by itself."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is not dict and section_of(kind) is not None:
        return partial(section_of(kind))
    if origin is dict and (is_dataclass(args[1]) or get_origin(args[1]) is dict):
        words = f"{in_words(args[0])}, in quotes where YAML takes it for something else"
        names = Annotated[_meant(args[0]), WrapValidator(_saying(words))]
        return Annotated[dict[names, _key(args[1])], BeforeValidator(_section)]
    return Annotated[_meant(kind), WrapValidator(_saying(in_words(kind)))]


def _saying(words: str) -> Callable[[Any, Any], Any]:
    """Make a validator that says in these words what was expected."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("expected", "{words}", {"words": words}) from None

    return validate


def _meant(kind: Any) -> Any:
    """Type that takes what is meant where YAML or a command line gives text, and refuses true for 1."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        before = [mark for mark in get_args(_meant(args[0]))[1:] if isinstance(mark, BeforeValidator)]
        bounded = [AfterValidator(_finite)] if any(isinstance(mark, Range) for mark in args) else []
        return Annotated[args[0], *args[1:], *bounded, *before]
    if origin is Literal:
        return Annotated[kind, BeforeValidator(lambda value: next((one for one in args if _same(one, value)), value))]
    if origin in (Union, UnionType):
        return Union[tuple(map(_meant, args))]  # noqa: UP007
    if origin in (list, tuple, dict):
        return origin[tuple(part if part is Ellipsis else _meant(part) for part in args)]
    meaning = {bool: _flag, int: _number, float: _number, str: _text, NoneType: _nothing}.get(kind)
    return Annotated[kind, BeforeValidator(meaning)] if meaning else kind


def _section(value: Any) -> Any:
    """Give a section nothing where all that it says is commented out, which leaves it null."""
    return {} if value is None or value == "" else value


def _flag(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError("a number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true or false")
    # 75e-6 is text in YAML 1.1, which asks for a point and a sign.
    return float(value) if isinstance(value, str) else value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("beyond all ranges")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str) and value != "null":
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("no text")
    return str(value)


def _nothing(value: Any) -> None:
    return None if value in ("null", "~", "") else value


def _same(choice: Any, value: Any) -> bool:
    return not isinstance(value, bool) and str(choice) == str(value)


def _plain(value: Any) -> Any:
    """Give containers as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _text_of(found: Any) -> str:
    """Give a key or a value as YAML may have it, and what YAML takes it for where that is a riddle."""
    return f"{found} (a date)" if isinstance(found, date) else shown(found)


def _sentence(error: dict[str, Any], whole: str = "the config") -> str:
    """Say what is wrong in one sentence."""
    place, found = [_text_of(part) for part in error["loc"]], error["input"]
    if error["type"] == "retired":
        key, why = error["ctx"]["key"], error["ctx"]["why"]
        return f"{'.'.join(place) or whole} has {key}: expected none any more, as {why}; take it out"
    if error["type"] == "unknown":
        key, known = error["ctx"]["key"], error["ctx"]["known"]
        close = difflib.get_close_matches(key, known, 1)
        known = [*close, *(name for name in known if name not in close)]
        return f"{'.'.join(place) or whole} has {key}: expected {', '.join(known)}"
    expected = error["ctx"]["words"] if error["type"] == "expected" else "keys with values"
    if place and place[-1] == "[key]":
        return f"{'.'.join(place[:-2]) or whole} has the key {_text_of(found)}: expected {expected}"
    return f"{'.'.join(place)} is {_text_of(found)}: expected {expected}"
