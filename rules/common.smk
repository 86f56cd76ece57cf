import gc
import inspect
import os
from functools import cache

import yaml
from ptychoflow.configuration.results import one_of
from ptychoflow.files import sha256_of
from ptychoflow.provenance.record import code_digest
from ptychoflow.settings.experiment import SharedSettings
from ptychoflow.settings.values import kinds_of

# A plan of thousands of jobs is millions of objects that all stay: looking for garbage among them took a sixth of it.
gc.set_threshold(50_000, 20, 100)


def signed(function):
    """Keep the signature of a function of wildcards with it: Snakemake asks for it several times a job."""
    function.__signature__ = inspect.signature(function)
    return function


wildcard_constraints:
    round=r"\d+",
    study=one_of(STUDIES),
    experiment=one_of(EXPERIMENTS),
    dataset=one_of(DATASETS),
    seed=r"\d+",


COMMON = SharedSettings()  # what an experiment has that says nothing else
SECTIONS = kinds_of(SharedSettings)


@cache
def section(experiment, name):
    """A section of an experiment, every default in its place."""
    return SECTIONS[name].of(EXPERIMENTS[experiment].get(name, {}))


def program(name):
    """Path of a program; as a function of the input it is no parameter that makes results stale in a moved checkout."""
    path = str(SCRIPTS / f"{name}.py")
    return signed(lambda wildcards, input: path)


@signed
def folder(wildcards, output):
    """Folder of a job's first file, wherever a module's prefix puts it."""
    return os.path.dirname(output[0])


def folders(wildcards, input):
    """Folders of results, each with its record."""
    return [os.path.dirname(path) for path in input.provenance]


def code(program, environment):
    """Digest of a program, the library modules that it imports and its environment: a rule reruns when they change."""
    pins = CHECKOUT / "envs" / f"{environment}.yaml"
    return f"{code_digest(SCRIPTS / f'{program}.py')[:16]}-{sha256_of(pins)[:16]}"


def as_yaml(settings):
    return yaml.safe_dump(settings, sort_keys=False)
