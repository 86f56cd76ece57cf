"""What a config asks for: its datasets and experiments, and those of its studies, each checked as a whole.

The config itself stays as it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptychoflow.configuration.expansion import ExpandedStudy, expand, merged
from ptychoflow.configuration.kinds import USELESS, kinds_of
from ptychoflow.configuration.reading import read_config
from ptychoflow.configuration.results import RESERVED_DATASETS, RESERVED_EXPERIMENTS
from ptychoflow.configuration.study_checks import check_study
from ptychoflow.errors import InputError
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.experiment import DatasetSettings, ExperimentSettings

SOURCES = ("simulate", "ingest", "refine")
CHAINS = ("init_from", "start_from", "network_of")
"""Keys by which an experiment needs another one's result before its own."""


@dataclass
class Plan:
    """What a config asks for.

    Parameters
    ----------
    parts : int
        Into how many parts inference and stitching of a scan are split.
    datasets, experiments : dict
        By name, those of studies too; an experiment has the defaults laid under it.
    asked_for : list of str
        Experiments that the config lists one by one.
    studies : dict
        What belongs to each study.
    descriptions : dict
        Studies as the config has them.
    doubts : list of str
        Sentences on what is allowed and yet may be a mistake.
    tuned : list of str
        Experiments that tune a blind network on scans.
    """

    parts: int
    datasets: dict[str, Any]
    experiments: dict[str, Any]
    asked_for: list[str]
    studies: dict[str, ExpandedStudy]
    descriptions: dict[str, Any]
    doubts: list[str]
    tuned: list[str]


def resolve(config: Mapping[str, Any]) -> Plan:
    """Check a config and expand it into what it asks for.

    Parameters
    ----------
    config : mapping
        As Snakemake read it; it is left as it is.

    Raises
    ------
    InputError
        Where any of it cannot be right.
    """
    read = read_config(config)
    if not read.get("experiments") and not read.get("studies"):
        found = ", ".join(key for key, value in read.items() if value) or "nothing"
        raise InputError(f"the config has {found}, but neither experiments nor studies: expected one of them")
    defaults, datasets = read.get("defaults", {}), dict(read.get("datasets", {}))
    experiments = {name: merged(defaults, entry) for name, entry in read.get("experiments", {}).items()}
    said = dict(read.get("experiments", {}))
    studies = {}
    for name, study in read.get("studies", {}).items():
        if "scale" not in read:
            raise InputError("the config has studies but no scale: expected one, such as --config scale=smoke")
        check_study(name, study, read.get("datasets", {}))
        studies[name] = expand(name, study, read["scale"], defaults)
        for section, entries, known in (
            ("datasets", studies[name].datasets, datasets),
            ("experiments", studies[name].experiments, experiments),
        ):
            taken = sorted(set(entries) & set(known))
            if taken:
                raise InputError(f"{section}.{taken[0]}: the name is taken by study {name}, expected another")
            known.update(entries)
        said.update(studies[name].experiments)
    _check_datasets(datasets)
    tuned = [name for name in experiments if _tunes(name, experiments)]
    for name, settings in experiments.items():
        _check_experiment(name, said[name], settings, datasets, name in tuned)
    _check_references(experiments, tuned)
    for name in experiments:
        experiments[name].setdefault("test", [])
    used = {name for settings in experiments.values() for role in ("train", "test") for name in settings.get(role, ())}
    used |= {entry["refine"].get("dataset") for entry in datasets.values() if "refine" in entry}
    doubts = [
        f"datasets.{name} is used by no experiment: it is made only where it is asked for by name"
        for name in read.get("datasets", {})
        if name not in used
    ]
    return Plan(
        read.get("parts", 1),
        datasets,
        experiments,
        list(read.get("experiments", {})),
        studies,
        dict(read.get("studies", {})),
        doubts,
        tuned,
    )


def _tunes(name: str, experiments: dict[str, Any]) -> bool:
    """Whether an experiment begins with a blind network: the shipped one, one that is pretrained, or a tuned one."""
    passed = []
    while experiments[name].get("init_from") is not None and name not in passed:
        passed.append(name)
        name = experiments[name]["init_from"]
        if name not in experiments:
            return name == PRETRAINED
    return "pretrain" in experiments[name] and bool(passed)


def _check_datasets(datasets: dict[str, Any]) -> None:
    """Check every dataset as a whole, and that each with refined positions has one whose positions they were."""
    whole = [name for name, entry in datasets.items() if "refine" not in entry]
    for name, entry in datasets.items():
        place = f"datasets.{name}"
        _check_name(place, name, RESERVED_DATASETS)
        if len(entry) != 1:
            raise InputError(f"{place} has {', '.join(entry) or 'nothing'}: expected one of {', '.join(SOURCES)}")
        DatasetSettings.of(entry, place)
        source = entry.get("refine", {}).get("dataset")
        if source not in (None, *whole):
            raise InputError(
                f"{place}.refine.dataset names {source}: "
                f"expected a dataset that is simulated or ingested, {', '.join(whole)}"
            )


def _check_experiment(
    name: str, said: dict[str, Any], settings: dict[str, Any], datasets: dict[str, Any], tunes: bool
) -> None:
    """Check an experiment as a whole: that it is of one kind, and what it says itself of use to that."""
    place = f"experiments.{name}"
    _check_name(place, name, RESERVED_EXPERIMENTS)
    kind, *others = kinds_of(settings, tunes)
    if others:
        raise InputError(f"{place} has {kind} and {others[0]}: expected one of them")
    for key in USELESS[kind]:
        if key in said:
            other = {"reconstruction": "no network", "tuning": "no init_from of a blind network"}.get(key, kind)
            other = "init_from of a blind network" if kind == "tune" else other
            raise InputError(f"{place} has {key} and {other}: expected one without the other")
    for role in {"pretrain": (), "train": ("train", "test"), "tune": ("train", "test")}.get(kind, ("test",)):
        if not settings.get(role):
            raise InputError(f"{place} has no {role}: expected a list of datasets")
        for dataset in settings[role]:
            if dataset not in datasets:
                known = f"one of {', '.join(datasets)}" if datasets else "datasets in the config, and there are none"
                raise InputError(f"{place}.{role} names {dataset}: expected {known}")
    ExperimentSettings.of(settings, place)


def _check_references(experiments: dict[str, Any], tuned: list[str]) -> None:
    """Check that experiments name others that are there, and none at last itself."""
    learned = {name for name, settings in experiments.items() if settings.get("train") and name not in tuned}
    blind = {name for name, settings in experiments.items() if "pretrain" in settings} | {*tuned}
    imaged = {name for name, settings in experiments.items() if settings.get("test")}
    for name, settings in experiments.items():
        for key, others in (
            ("init_from", learned | blind),
            ("network_of", learned),
            ("start_from", imaged),
            ("reference", imaged),
        ):
            named = settings.get(key)
            if key == "init_from" and named == PRETRAINED:
                continue
            if named is not None and (named not in others or named == name):
                known = ", ".join(sorted(others - {name})) or "and there is none"
                raise InputError(f"experiments.{name}.{key} names {named}: expected another experiment, {known}")
    for name in experiments:
        chain = [name]
        while True:
            following = [experiments[chain[-1]][key] for key in CHAINS if experiments[chain[-1]].get(key) is not None]
            if not following or following[0] not in experiments:
                break
            chain.append(following[0])
            if chain[-1] in chain[:-1]:
                raise InputError(
                    f"experiments.{name} is to begin with what comes of itself, {' from '.join(chain)}: "
                    f"expected {', '.join(CHAINS)} to end at an experiment without them"
                )


def _check_name(place: str, name: str, reserved: frozenset[str]) -> None:
    if name in reserved:
        raise InputError(f"{place}: the name is taken by a file or folder of results, expected another")
