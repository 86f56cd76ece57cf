"""Studies: one question, asked of every combination of some axes, each over several seeds.

Here a study of the config becomes datasets and experiments like those that a config lists one by one. No torch and no
arrays, since the workflow plans with it.
"""

import copy
import itertools
import re
from dataclasses import dataclass
from typing import Any

from ptychoflow.configuration.kinds import useless_keys
from ptychoflow.configuration.study_checks import EVERY, REFERENCES
from ptychoflow.errors import InputError


@dataclass
class ExpandedStudy:
    """What a study asks for.

    Parameters
    ----------
    datasets, experiments : dict
        Sections of a config, by name.
    combinations : dict
        For each experiment the value of each axis, by the axis's name.
    """

    datasets: dict[str, Any]
    experiments: dict[str, Any]
    combinations: dict[str, dict[str, str]]


def expand(name: str, study: dict[str, Any], scale: str, defaults: dict[str, Any]) -> ExpandedStudy:
    """Write a study out as datasets and experiments, one of each for every combination that differs in it.

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
        Where it names a scale, an axis, a value or a dataset that it has not.
    """
    if scale not in study["scales"]:
        raise InputError(f"studies.{name} has no scale {scale}: expected one of {', '.join(study['scales'])}")
    chosen = study["scales"][scale].get("axes", {})
    laid_over = {key: value for key, value in study["scales"][scale].items() if key != "axes"}
    axes = _chosen_axes(name, study["axes"], chosen)
    study = merged(study, laid_over)
    result = ExpandedStudy({}, {}, {})
    for values in itertools.product(*axes.values()):
        labels = dict(zip(axes, values, strict=True))
        overlays = [axes[axis][value] for axis, value in labels.items()]
        if not all(_goes_with(overlay, labels) for overlay in overlays):
            continue
        named = {}
        templates = study["datasets"]
        for role, template in templates.items():
            # Combinations that do not differ in a dataset, nor in the one that it refines, share it.
            made_of = {role, template.get("refine", {}).get("dataset", role)} & set(templates)
            telling = [
                labels[axis]
                for axis, of in axes.items()
                if any(_changes_of(part, templates[part], overlay) for part in made_of for overlay in of.values())
            ]
            named[role] = file_name(name, role, *telling)
        for role, template in templates.items():
            dataset = merged(template, *(_changes_of(role, template, overlay) for overlay in overlays))
            if "refine" in dataset:
                source = dataset["refine"].get("dataset")
                dataset["refine"]["dataset"] = named.get(source, source)
            result.datasets[named[role]] = dataset
        experiment = merged(defaults, study["experiment"], *(overlay.get("experiment", {}) for overlay in overlays))
        useless = useless_keys(experiment)
        experiment = {key: value for key, value in experiment.items() if key not in useless}
        for role in ("train", "test"):
            unknown = [dataset for dataset in experiment.get(role, ()) if dataset not in named]
            if unknown:
                raise InputError(
                    f"studies.{name}: {role} names {unknown[0]}: expected one of its datasets, {', '.join(named)}"
                )
            if role in experiment:
                experiment[role] = [named[dataset] for dataset in experiment[role]]
        for key in REFERENCES:
            if isinstance(experiment.get(key), dict):
                experiment[key] = file_name(name, *(labels | _as_text(experiment[key])).values())
        own_name = file_name(name, *values)
        result.experiments[own_name] = experiment
        result.combinations[own_name] = labels
    return result


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Lay sections of a config over each other: later ones win, key by key, in nested sections too."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            nested = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if nested else copy.deepcopy(value)
    return result


def file_name(*parts: str) -> str:
    """Join names to one that may be a folder: ``overlap-ideal_disk-4``."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part).strip("_.") for part in parts)


def _goes_with(overlay: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a value of an axis is asked for in combination with these."""
    return all(labels.get(axis) in map(str, values) for axis, values in overlay.get("only", {}).items())


def _changes_of(role: str, template: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """What a value of an axis changes in one of the datasets; what is said of all goes for those of its kind."""
    datasets = overlay.get("datasets", {})
    of_all = {kind: changes for kind, changes in datasets.get(EVERY, {}).items() if kind in template}
    return merged(of_all, datasets.get(role, {}))


def _chosen_axes(name: str, axes: dict[str, Any], chosen: dict[str, list]) -> dict[str, dict[str, Any]]:
    """Axes with their values as text, and of those only what a scale chooses."""
    known = {axis: _as_text({value: overlay or {} for value, overlay in of.items()}) for axis, of in axes.items()}
    for axis, values in chosen.items():
        if axis not in known:
            raise InputError(f"studies.{name} has no axis {axis}: expected one of {', '.join(known)}")
        unknown = [value for value in map(str, values) if value not in known[axis]]
        if unknown:
            raise InputError(
                f"studies.{name}: {axis} has no value {unknown[0]}: expected one of {', '.join(known[axis])}"
            )
        known[axis] = {value: known[axis][value] for value in map(str, values)}
    return known


def _as_text(section: dict[Any, Any]) -> dict[str, Any]:
    """Give keys, and values that are numbers, as text: YAML reads 4 as a number and 1e4 as none."""
    return {str(key): value if isinstance(value, dict) else str(value) for key, value in section.items()}
