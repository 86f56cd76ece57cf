"""What a study names must be there: datasets, axes, their values, scores; else it would be left out in silence."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

from ptychoflow.errors import InputError
from ptychoflow.metrics.names import SCORES, TIMES
from ptychoflow.settings.values import shown

EVERY = "*"
"""Stands for all datasets of a study."""
REFERENCES = ("init_from", "start_from", "network_of", "reference")
"""Keys of an experiment that name another one."""


def check_study(name: str, study: dict[str, Any], others: Iterable[str] = ()) -> None:
    """See that a study has all that it must have, and that what it names is there.

    Parameters
    ----------
    name : str
        What it is called in the config.
    study : dict
        It, as the config has it.
    others : iterable of str
        Datasets at the top of the config, which are no study's own.

    Raises
    ------
    InputError
        For the first key that is missing, or name that is none.
    """
    place, axes = f"studies.{name}", study.get("axes", {})
    for key in ("question", "scores", "experiment", "axes", "scales"):
        if not study.get(key):
            raise InputError(f"{place} has no {key}: expected one, see docs/studies.md")
    for axis, values in axes.items():
        if not values:
            raise InputError(f"{place}.axes.{axis} has no values: expected at least one")
    _known(f"{place}.scores", study["scores"], (*SCORES, *TIMES))
    _known(f"{place}.x", [study["x"]] if study.get("x") else [], (*axes, *SCORES, *TIMES))
    _known(f"{place}.compare", [study["compare"]] if study.get("compare") else [], axes)
    for number, entry in enumerate(study.get("published", [])):
        _known(f"{place}.published.{number}", entry, (*axes, *SCORES, *TIMES))
        for score, value in entry.items():
            if score not in axes and not (type(value) in (int, float) and math.isfinite(value)):
                raise InputError(f"{place}.published.{number}.{score} is {shown(value)}: expected a number")
        _check_labels(f"{place}.published.{number}", {k: [v] for k, v in entry.items() if k in axes}, axes)
    own = study.get("datasets", {})
    _check_roles(name, study, own, others)
    _check_layer(place, study, own, axes)
    for scale, layer in study["scales"].items():
        _check_layer(f"{place}.scales.{scale}", layer, own, axes)
        _check_labels(f"{place}.scales.{scale}.axes", layer.get("axes", {}), axes)
    for axis, values in axes.items():
        for value, layer in values.items():
            _check_layer(f"{place}.axes.{axis}.{value}", layer, (EVERY, *own), axes)
            _check_labels(f"{place}.axes.{axis}.{value}.only", layer.get("only", {}), axes)


def _check_roles(name: str, study: dict[str, Any], own: Iterable[str], others: Iterable[str]) -> None:
    """See that no part of a study trains on, or tests with, a dataset that stands outside of it."""
    layers = [study, *study["scales"].values(), *(layer for of in study["axes"].values() for layer in of.values())]
    for role, layer in itertools.product(("train", "test"), layers):
        for dataset in layer.get("experiment", {}).get(role, ()):
            if dataset not in own and dataset in others:
                raise InputError(
                    f"studies.{name}: {role} names {dataset}, which stands in datasets at the top of the config: "
                    f"expected it in studies.{name}.datasets, since axes may change what a study is of"
                )


def _check_layer(place: str, layer: dict[str, Any], parts: Iterable[str], axes: dict[str, Any]) -> None:
    """Check what a study, a scale or a value of an axis says of datasets and of the experiment."""
    _known(f"{place}.datasets", layer.get("datasets", {}), parts)
    experiment = layer.get("experiment", {})
    for key in ("train", "test"):
        _known(f"{place}.experiment.{key}", experiment.get(key, ()), [part for part in parts if part != EVERY])
    for key in REFERENCES:
        if isinstance(experiment.get(key), dict):
            labels = {axis: [value] for axis, value in experiment[key].items()}
            _check_labels(f"{place}.experiment.{key}", labels, axes)


def _check_labels(place: str, labels: dict[str, list[Any]], axes: dict[str, dict[str, Any]]) -> None:
    """See that labels are values of axes."""
    _known(place, labels, axes)
    for axis, values in labels.items():
        if not values:
            raise InputError(f"{place}.{axis} is []: expected at least one of {', '.join(axes[axis])}")
        _known(f"{place}.{axis}", map(str, values), axes[axis])


def _known(place: str, names: Iterable[str], known: Iterable[str]) -> None:
    """See that all of some names are known."""
    known = list(known)
    for name in names:
        if name not in known:
            raise InputError(f"{place} names {name}: expected one of {', '.join(known) or 'none, as there is none'}")
