"""Classes of one's own by their path in the config: metrics, callbacks, loggers and formats of predictions."""

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonargparse

from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of


def made_by(choice: dict[str, Any], kind: type, what: str) -> Any:
    """Make what a ``{class_path: ..., init_args: {...}}`` names.

    Parameters
    ----------
    choice : dict
        Path of the class, and the arguments that it is made with.
    kind : type
        What it has to be a subclass of.
    what : str
        What it is for, for the message.

    Raises
    ------
    InputError
        Where there is no such class, it is of another kind, or does not take the arguments.
    """
    _look_here()
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=kind)
    try:
        return parser.instantiate(parser.parse_object({"part": choice})).part
    except (jsonargparse.ArgumentError, ImportError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{what} {choice['class_path']} cannot be made ({reason:.300}): expected an installed {kind.__name__}"
        ) from None


def class_of(choice: dict[str, Any], what: str) -> type:
    """Give the class that a ``class_path`` names.

    Raises
    ------
    InputError
        Where there is none.
    """
    _look_here()
    module, _, name = choice["class_path"].rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{what} {choice['class_path']} cannot be made ({error}): expected a class") from None
    if not isinstance(found, type):
        raise InputError(f"{what} {choice['class_path']} is a {type(found).__name__}: expected a class")
    return found


def _look_here() -> None:
    """Find modules of the working folder too, after all others."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def digests(choices: Mapping[str, Iterable[Any]]) -> dict[str, str]:
    """SHA-256 of the source file of each class, by its path; of one without such a file, nothing.

    Parameters
    ----------
    choices : mapping of str to iterable
        What is named by class path, by what it is for; what is no dictionary is left out.

    Raises
    ------
    InputError
        Where there is no such class.
    """
    found = {}
    for what, named in choices.items():
        for choice in named:
            if isinstance(choice, dict):
                with suppress(TypeError, OSError):  # a class that is built in
                    file = inspect.getsourcefile(class_of(choice, what))
                    found[choice["class_path"]] = sha256_of(Path(file)) if file else None
    return {path: digest for path, digest in found.items() if digest}
