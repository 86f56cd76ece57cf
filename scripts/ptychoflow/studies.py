"""Studies: one question, asked of every combination of some axes, each over several seeds.

Here a study of the config becomes datasets and experiments like those that a config lists one by one. No torch and no
arrays, since the workflow plans with it.
"""

import copy
import itertools
import re
from dataclasses import dataclass
from typing import Any

from ptychoflow.errors import InputError

EVERY = "*"
LEARNING = ("train", "init_from", "model", "training", "tracking", "inference", "stitching")
"""Keys of an experiment that a solver has no use for."""


@dataclass
class Combination:
    """One value of each axis.

    Parameters
    ----------
    labels : dict
        Value by axis, as the config names them.
    experiment : str
        Name of the experiment.
    """

    labels: dict[str, str]
    experiment: str


@dataclass
class ExpandedStudy:
    """What a study asks for.

    Parameters
    ----------
    datasets, experiments : dict
        Sections of a config by name.
    combinations : list of Combination
        In the order of the axes.
    """

    datasets: dict[str, Any]
    experiments: dict[str, Any]
    combinations: list[Combination]


def expand(name: str, study: dict[str, Any], scale: str, defaults: dict[str, Any]) -> ExpandedStudy:
    """Write a study out as datasets and experiments.

    Parameters
    ----------
    name : str
        Name of the study, with which theirs begin.
    study : dict
        The study's section of the config.
    scale : str
        Which of its ``scales`` is laid over it.
    defaults : dict
        What every experiment of the config starts from.

    Raises
    ------
    InputError
        Where it names a scale, an axis or a value that it has not.
    """
    scales = study.get("scales", {})
    if scale not in scales:
        raise InputError(f"studies.{name} has no scale {scale}: expected one of {', '.join(scales)}")
    # Axes of a scale are laid over the rest like everything else, but for a list, which chooses among the values.
    chosen = {axis: values for axis, values in scales[scale].get("axes", {}).items() if isinstance(values, list)}
    laid_over = {key: value for key, value in scales[scale].items() if key != "axes"}
    study = merged({key: value for key, value in study.items() if key != "scales"}, laid_over)
    axes = _chosen_axes(name, study["axes"], chosen)
    datasets: dict[str, Any] = {}
    experiments: dict[str, Any] = {}
    combinations = []
    for values in itertools.product(*(axes[axis] for axis in axes)):
        labels = dict(zip(axes, values, strict=True))
        overlays = [axes[axis][value] or {} for axis, value in labels.items()]
        named = {}
        for role, template in study["datasets"].items():
            dataset = copy.deepcopy(template)
            suffix = []
            for (axis, value), overlay in zip(labels.items(), overlays, strict=True):
                change = merged(overlay.get("datasets", {}).get(EVERY, {}), overlay.get("datasets", {}).get(role, {}))
                if any(
                    role in o.get("datasets", {}) or EVERY in o.get("datasets", {}) for o in axes[axis].values() if o
                ):
                    suffix.append(value)
                dataset = merged(dataset, change)
            named[role] = _file_name(name, role, *suffix)
            datasets[named[role]] = dataset
        experiment = merged(defaults, {"seeds": study["seeds"]} if "seeds" in study else {}, study["experiment"])
        experiment = merged(experiment, *(overlay.get("experiment", {}) for overlay in overlays))
        if "solver" in experiment:
            experiment = {key: value for key, value in experiment.items() if key not in LEARNING}
        for role in ("train", "test"):
            if role in experiment:
                experiment[role] = [named.get(dataset, dataset) for dataset in experiment[role]]
        for key in ("init_from", "start_from"):
            if isinstance(experiment.get(key), dict):
                experiment[key] = _file_name(name, *(labels | experiment[key]).values())
        combination = Combination(labels, _file_name(name, *values))
        experiments[combination.experiment] = experiment
        combinations.append(combination)
    return ExpandedStudy(datasets, experiments, combinations)


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Lay sections of a config over each other: later ones win, key by key, in nested sections too."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            nested = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if nested else copy.deepcopy(value)
    return result


def _chosen_axes(name: str, axes: dict[str, Any], chosen: dict[str, list]) -> dict[str, dict[str, Any]]:
    """Axes with their values as text, and only those values that a scale chooses."""
    known = {axis: {str(value): overlay for value, overlay in values.items()} for axis, values in axes.items()}
    for axis, values in chosen.items():
        if axis not in known:
            raise InputError(f"studies.{name} has no axis {axis}: expected one of {', '.join(known)}")
        unknown = [value for value in map(str, values) if value not in known[axis]]
        if unknown:
            raise InputError(
                f"studies.{name}: {axis} has no value {unknown[0]}: expected one of {', '.join(known[axis])}"
            )
        known[axis] = {str(value): known[axis][str(value)] for value in values}
    return known


def _file_name(*parts: str) -> str:
    """Join names to one that may be a folder."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part).strip("_") for part in parts)
