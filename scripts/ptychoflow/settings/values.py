"""What a value of a setting may be, and how that is said in words."""

import json
import math
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from ptychoflow.errors import InputError

PROGRAM_ONLY = {"program_only": True}
"""Metadata of a field that is a flag of a program and no key of a config, which says it by other means."""


@dataclass(frozen=True, repr=False)
class Range:
    """Range of a finite number, as metadata of its type: ``Annotated[int, Range(at_least=1)]``.

    Parameters
    ----------
    at_least, above, at_most, below : float, optional
        Ends that belong to the range or do not; none where not given.
    multiple_of : int, optional
        What divides it.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    multiple_of: int | None = None
    # By these two, which are a protocol of annotated_types, pydantic reads it.
    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Any:
        import annotated_types

        names = {"at_least": "Ge", "above": "Gt", "at_most": "Le", "below": "Lt", "multiple_of": "MultipleOf"}
        for key, name in names.items():
            if getattr(self, key) is not None:
                yield getattr(annotated_types, name)(getattr(self, key))

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and (self.multiple_of is None or value % self.multiple_of == 0)
        )

    def __repr__(self) -> str:
        """Ends in words, such as ``of at least 0 and below 1``."""
        named = {"of at least": self.at_least, "above": self.above, "of at most": self.at_most, "below": self.below}
        words = " and ".join(f"{name} {end:g}" for name, end in named.items() if end is not None)
        return words.replace("and of", "and") + (f", a multiple of {self.multiple_of}" if self.multiple_of else "")


@dataclass(frozen=True)
class Pattern:
    """Regular expression that a text matches, as metadata of its type, and what that means in words."""

    expression: str
    words: str
    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Any:
        from pydantic import StringConstraints

        yield StringConstraints(pattern=self.expression)


Count = Annotated[int, Range(at_least=1)]
Natural = Annotated[int, Range(at_least=0)]
Real = Annotated[float, Range()]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
ShareBelowOne = Annotated[float, Range(at_least=0, below=1)]
Pair = tuple[Real, Real]
FrameSize = Annotated[int, Range(at_least=8, multiple_of=2)]
Accelerator = Literal["auto", "cpu", "gpu", "cuda"]


@dataclass
class Settings:
    """What the settings of every section have in common: values within their ranges, which agree with each other."""

    section: ClassVar[str] = ""
    """Name that stands before the keys in messages, where programs have it as a flag with keys below it."""
    retired: ClassVar[dict[str, str]] = {}
    """Keys that there once were, and why not any more; files that programs wrote may have them still."""

    def __post_init__(self) -> None:
        for key, kind in kinds_of(type(self)).items():
            value = getattr(self, key)
            if isinstance(value, list) and get_origin(kind) is not list:
                value = _as_tuple(kind, value)
                setattr(self, key, value)
            if not within(kind, value):
                raise self.wrong(key, f"expected {in_words(kind)}")
        self.settle()

    def settle(self) -> None:
        """Fill in what follows from other settings, and refuse what contradicts them."""

    def wrong(self, key: str, expected: str) -> InputError:
        """Error that names a setting and what it is."""
        name = f"{self.section}.{key}" if self.section else key
        return InputError(f"{name} is {shown(getattr(self, key))}: {expected}")

    @classmethod
    def of(cls, values: dict[str, Any], place: str = "") -> Self:
        """Settings from plain containers, such as `plain` gives or a config holds; errors name where those stand."""
        kinds = kinds_of(cls)
        known = {}
        for key, value in values.items():
            if key in cls.retired:
                continue
            section = section_of(kinds.get(key))
            nested = section is not None and isinstance(value, dict)
            known[key] = section.of(value, f"{place}.{key}" if place else "") if nested else value
        try:
            return cls(**known)
        except InputError as error:
            if not place:
                raise
            message = str(error).removeprefix(cls.section)
            raise InputError(place + (message if message.startswith((" ", ".")) else f".{message}")) from None


@cache
def kinds_of(settings: type) -> dict[str, Any]:
    """Type of each field of a settings class, with ranges."""
    hints = get_type_hints(settings, include_extras=True)
    return {field.name: hints[field.name] for field in fields(settings)}


def section_of(kind: Any) -> Any:
    """Settings class of a section that a key holds, which may be left out; None for a value by itself."""
    return next((part for part in (kind, *get_args(kind)) if isinstance(part, type) and is_dataclass(part)), None)


def within(kind: Any, value: Any) -> bool:
    """Whether a value of the right kind, and each part of it, is in its range, and a tuple as long as it should be."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        ranges = [mark for mark in marks if isinstance(mark, Range)]
        return within(base, value) and not (number and any(value not in mark for mark in ranges))
    if get_origin(kind) in (Union, UnionType):
        return all(within(part, value) for part in get_args(kind) if _may_be(part, value))
    if get_origin(kind) is list and isinstance(value, list):
        return all(within(get_args(kind)[0], part) for part in value)
    if get_origin(kind) is tuple and isinstance(value, tuple):
        kinds = get_args(kind)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        return len(kinds) == len(value) and all(map(within, kinds, value))
    return True


def in_words(kind: Any) -> str:
    """Say what a value of a type is: ``a whole number of at least 1, or null``."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        patterns = [mark.words for mark in args[1:] if isinstance(mark, Pattern)]
        if patterns:
            return patterns[0]
        ranges = [mark for mark in args[1:] if isinstance(mark, Range)]
        return " ".join(word for word in (in_words(args[0]), *map(repr, ranges)) if word)
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}" if len(args) > 1 else str(args[0])
    if origin in (Union, UnionType):
        parts = [in_words(part) for part in args]
        return f"{', '.join(parts[:-1])}, or {parts[-1]}"
    if origin is tuple and args[-1] is not Ellipsis:
        return f"a list of {len(args)}, [{', '.join(map(in_words, args))}]"
    if origin in (list, tuple):
        return f"a list, each entry {in_words(args[0])}"
    if is_dataclass(kind):
        return f"keys among {', '.join(kinds_of(kind))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}
    return words.get(kind, "keys with values")


def shown(value: Any) -> str:
    """Give a value as YAML has it, shortened where it is long."""
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{shown(key)}: {shown(part)}' for key, part in value.items())}}}"
    else:
        text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def plain(settings: Any) -> dict[str, Any]:
    """Settings as plain containers that YAML, JSON and a checkpoint can hold, tuples as lists."""
    return json.loads(json.dumps(asdict(settings)))


def flattened(settings: dict[str, Any], separator: str = ".", before: str = "") -> dict[str, Any]:
    """Give nested settings as one level, ``groups.size`` for ``{groups: {size: …}}``."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= flattened(value, separator, f"{before}{name}{separator}")
        else:
            flat[f"{before}{name}"] = value
    return flat


def names_of(settings: type) -> list[str]:
    """Names of the fields of a settings class."""
    return [field.name for field in fields(settings)]


def _may_be(kind: Any, value: Any) -> bool:
    """Whether a value is of a type as far as its container goes."""
    base = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    container = get_origin(base) or base
    if container in (int, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return container in (list, tuple) and isinstance(value, container)


def _as_tuple(kind: Any, value: list) -> Any:
    """Make a list a tuple where a type knows tuples alone."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    origins = {get_origin(part) for part in kinds}
    return tuple(value) if tuple in origins and list not in origins else value
