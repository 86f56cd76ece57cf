import json
import os
import re
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))
# Shell commands find the programs by this variable wherever the working directory is; as a parameter, the path would
# make every result stale in a moved checkout.
os.environ["PTYCHOFLOW_SCRIPTS"] = str(SCRIPTS)


envvars:
    "PTYCHOFLOW_SCRIPTS",


from ptychoflow.provenance import code_digest

RESERVED = {"benchmarks", "data", "logs", "mlflow", "raw", "studies"}


def resolve_experiments():
    """Lay each experiment over the defaults, and check what a schema cannot: names that refer to each other."""
    resolved = {}
    for name, entry in config["experiments"].items():
        if name in RESERVED:
            raise WorkflowError(
                f"experiments.{name}: the name is taken by a folder of results, expected another"
            )
        settings = {}
        update_config(settings, config.get("defaults", {}))
        update_config(settings, entry)
        for role in ("train", "test"):
            if not settings.get(role):
                raise WorkflowError(f"experiments.{name} has no {role}: expected a list of datasets")
            unknown = sorted(set(settings[role]) - set(config["datasets"]))
            if unknown:
                raise WorkflowError(
                    f"experiments.{name}.{role} names {unknown[0]}: "
                    f"expected one of {', '.join(config['datasets'])}"
                )
        resolved[name] = settings
    for name, settings in resolved.items():
        if settings.get("init_from") not in (None, *set(resolved) - {name}):
            raise WorkflowError(
                f"experiments.{name}.init_from names {settings['init_from']}: "
                f"expected another experiment, {', '.join(resolved)}"
            )
    return resolved


EXPERIMENTS = resolve_experiments()


def one_of(names):
    """Regular expression that matches these names and nothing else; never matches when there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    experiment=one_of(EXPERIMENTS),
    dataset=one_of(config["datasets"]),
    seed=r"\d+",


def ingested(wildcards):
    return config["datasets"][wildcards.dataset]["ingest"]


def raw_file(wildcards):
    """The local copy where there is one, else the download."""
    source = ingested(wildcards)
    if "path" in source and (Path(source["path"]).exists() or "url" not in source):
        return source["path"]
    return f"results/raw/{wildcards.dataset}/{Path(source['url']).name}"


def dataset_settings(wildcards):
    """What simulate.py or ingest.py is told by --config; where the raw file is does not belong to it."""
    (settings,) = config["datasets"][wildcards.dataset].values()
    location = ("path", "url", "sha256")
    return as_yaml({k: v for k, v in settings.items() if k not in location})


def training_settings(wildcards):
    """What train.py is told by --config: nothing that a later step decides, so that it reruns no training."""
    experiment = EXPERIMENTS[wildcards.experiment]
    tracking = {"logger": ["csv"]} | experiment.get("tracking", {})
    if "csv" not in tracking["logger"]:
        tracking["logger"] = ["csv", *tracking["logger"]]  # the training figure is drawn from it
    return as_yaml({"model": experiment.get("model", {})} | experiment.get("training", {}) | tracking)


def training_data(wildcards):
    return expand("results/data/{dataset}.cxi", dataset=EXPERIMENTS[wildcards.experiment]["train"])


def initial_checkpoint(wildcards):
    """Checkpoint of the experiment that this one fine-tunes, of the same seed."""
    experiment = EXPERIMENTS[wildcards.experiment].get("init_from")
    return (
        expand("results/{name}/seed{seed}/model.ckpt", name=experiment, seed=wildcards.seed)
        if experiment
        else []
    )


def tags(wildcards):
    """What the tracked run of a training says about the job."""
    named = ", ".join(f"{name}={value}" for name, value in wildcards.items())
    return json.dumps(
        {"experiment": wildcards.experiment, "snakemake_rule": "train", "snakemake_wildcards": named}
    )


def tracked_in_mlflow():
    return any(
        "mlflow" in settings.get("tracking", {}).get("logger", []) for settings in EXPERIMENTS.values()
    )


def setting(section, key, default):
    """Parameter of a rule: a key of a section of the experiment, or the program's own default."""
    return lambda wildcards: EXPERIMENTS[wildcards.experiment].get(section, {}).get(key, default)


def code(program):
    """Digest of a program and of the library modules that it imports: a rule reruns when they change."""
    return code_digest(SCRIPTS / f"{program}.py")[:16]


def as_yaml(settings):
    return yaml.safe_dump(settings, sort_keys=False)


def on_gpu(wildcards):
    return EXPERIMENTS[wildcards.experiment].get("device", "cpu") == "gpu"


def accelerator(wildcards):
    return "gpu" if on_gpu(wildcards) else "cpu"


def gpus(wildcards):
    """GPUs of a training job: all devices of the node that Lightning is told to use."""
    training = EXPERIMENTS[wildcards.experiment].get("training", {})
    return training.get("devices", 1) if on_gpu(wildcards) else 0


def each_result(*names):
    """Files under results/{experiment}/seed{seed}/{dataset}/ for all that the config asks for."""
    return [
        f"results/{experiment}/seed{seed}/{dataset}/{name}"
        for experiment, settings in EXPERIMENTS.items()
        for seed in settings.get("seeds", [0])
        for dataset in settings["test"]
        for name in names
    ]


def each_run(*names):
    """Files under results/{experiment}/seed{seed}/ for all that the config asks for."""
    return [
        f"results/{experiment}/seed{seed}/{name}"
        for experiment, settings in EXPERIMENTS.items()
        for seed in settings.get("seeds", [0])
        for name in names
    ]


def images():
    return each_result("reconstruction.h5", "reconstructed_amplitude.png", "reconstructed_phase.png")


def result_folders(wildcards):
    return each_result("")


def scores():
    return each_result("metrics.json")


def pictures():
    kinds = ("reconstruction", "correlation", "probe", "scan")
    return each_result(
        *(f"figures/{kind}.{suffix}" for kind in kinds for suffix in ("png", "svg"))
    ) + each_run("figures/training.png", "figures/training.svg")
