"""How every program of scripts/ reads its command line, and how it fails."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import signature
from typing import Any, NoReturn, get_args

import jsonargparse

from ptychoflow.errors import InputError
from ptychoflow.running.cores import usable_cores
from ptychoflow.running.warnings_kept import hush_lightning

BAD_INPUT = 2
READER_GONE = 128 + 13
"""Status of a program that is ended by SIGPIPE."""
NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
"""A value, and no flag: Python's own parser takes -13.5e-6 for one."""
CALLED_AS: str | None = None
"""What help and errors call the program, where that is not the name of its file."""


def run_program(
    main: Callable[..., Any],
    flat: Mapping[str, type] | None = None,
    arguments: list[str] | None = None,
    positional: bool = False,
) -> None:
    """Run a program: its parameters are the flags, its docstring is the help.

    Settings may also come from ``--config file.yaml``; flags that follow it win. Bad input, from the command line or
    from a file, ends the process with one sentence on standard error and status 2.

    Parameters
    ----------
    main : callable
        Typed function with a numpydoc docstring.
    flat : mapping of str to dataclass, optional
        Parameters of `main` whose fields are flags of their own, without the parameter's name before them.
    arguments : list of str, optional
        In place of the process's own.
    positional : bool
        Whether what is required is given without a flag.
    """
    if "threads" not in signature(main).parameters:
        # Others hold torch to the cores themselves. Read when torch is loaded, which the programs do later.
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    # Programs draw into files; in a notebook whoever uses the library has a canvas of his own.
    os.environ["MPLBACKEND"] = "Agg"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    hush_lightning()
    parser = _parser(main, flat or {}, positional)
    try:
        settings = vars(parser.instantiate(_parsed(parser, arguments)))
        settings.pop("config", None)
        for name, kind in (flat or {}).items():
            settings[name] = kind(**{field.name: settings.pop(field.name) for field in fields(kind)})
        main(**settings)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has enough, as `head` does. Python would complain again when it flushes at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
    except (InputError, jsonargparse.ArgumentError) as error:
        _end(parser.prog, str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _end(parser.prog, f"{error.filename} cannot be used: {error.strerror}")


def _parsed(parser: jsonargparse.ArgumentParser, arguments: list[str] | None) -> jsonargparse.Namespace:
    try:
        return parser.parse_args(_gathered(parser, sys.argv[1:] if arguments is None else arguments))
    except UnicodeDecodeError as error:
        raise InputError(f"the file of --config is no text: expected YAML in UTF-8 ({error})") from None


def _gathered(parser: jsonargparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """Write the values of a list, ``--logger csv mlflow``, as the one list that jsonargparse takes."""
    lists = {
        flag
        for action in parser._actions
        if "list[" in str(getattr(action, "_typehint", ""))
        for flag in action.option_strings
    }
    joined: list[str] = []
    values: list[str] = []
    for argument in [*arguments, "--"]:
        if values and not argument.startswith("--"):
            values.append(argument)
            continue
        # A single value may be a list, or an entry of one, that is written out.
        written = len(values) == 2 and values[1].startswith(("[", "{"))
        joined += values if written or len(values) < 2 else [values[0], json.dumps(values[1:])]
        values = [argument] if argument in lists else []
        joined += [] if values else [argument]
    return joined[:-1]


def _end(program: str, message: str) -> NoReturn:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _parser(
    main: Callable[..., Any], flat: Mapping[str, type], positional: bool = False
) -> jsonargparse.ArgumentParser:
    description = (main.__doc__ or "").split("\n\n    Parameters")[0]
    parser = jsonargparse.ArgumentParser(
        prog=CALLED_AS or os.path.basename(sys.argv[0]),
        description=description,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser._negative_number_matcher = NEGATIVE
    parser.add_argument("--config", action="config", help="YAML file with any of the settings below")
    parser.add_function_arguments(main, as_positional=positional, skip=set(flat))
    for kind in flat.values():
        parser.add_class_arguments(kind)
    for action in parser._actions:
        # A switch may stand alone (--quiet) as well as with its value (--quiet false).
        kind = getattr(action, "_typehint", None)
        if kind is bool or bool in get_args(kind):
            action.nargs, action.const = "?", True
    return parser
