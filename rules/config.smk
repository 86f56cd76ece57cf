import jsonschema
import yaml
from snakemake.utils import update_config

from ptychoflow.errors import InputError
from ptychoflow.studies.expansion import expand as expand_study

SCHEMA = CHECKOUT / "config/schemas/config.schema.yaml"
RESERVED = {"benchmarks", "data", "logs", "mlflow", "raw", "studies"}


def check_config():
    """Compare the config with its schema; the first thing that is wrong ends in one sentence."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if error is None:
        return
    place = ".".join(map(str, error.absolute_path)) or "the config"
    if error.validator == "additionalProperties" and "properties" in error.schema:
        known = error.schema["properties"]
        unknown = ", ".join(str(key) for key in error.instance if key not in known)
        raise WorkflowError(f"{place} has {unknown}: expected {', '.join(known)}")
    raise WorkflowError(f"{place} is wrong: {error.message}")


def check_datasets():
    """See that files of two are both here, and each dataset with refined positions has one whose positions they were."""
    known = sorted(name for name, entry in config["datasets"].items() if "refine" not in entry)
    for name, entry in config["datasets"].items():
        ingest = entry.get("ingest", {})
        if ingest.get("companion") is not None and "url" in ingest:
            raise WorkflowError(
                f"datasets.{name}.ingest has companion {ingest['companion']} and url: "
                "expected two files that are here, and path alone"
            )
        source = entry.get("refine", {}).get("dataset")
        if source not in (None, *known):
            raise WorkflowError(
                f"datasets.{name}.refine.dataset names {source}: "
                f"expected a dataset that is simulated or ingested, {', '.join(known)}"
            )


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
        kinds = [key for key in ("solver", "network_of", "network", "pretrain", "train") if key in settings]
        if len(kinds) > 1:
            raise WorkflowError(f"experiments.{name} has {kinds[0]} and {kinds[1]}: expected one of them")
        if kinds == ["pretrain"]:
            for key in ("test", "model", "training"):
                if key in entry:
                    raise WorkflowError(
                        f"experiments.{name} has pretrain and {key}: expected one without the other"
                    )
            resolved[name] = {**settings, "test": []}
            continue
        for role in ("train", "test") if kinds in ([], ["train"]) else ("test",):
            if not settings.get(role):
                raise WorkflowError(f"experiments.{name} has no {role}: expected a list of datasets")
            unknown = sorted(set(settings[role]) - set(config["datasets"]))
            if unknown:
                raise WorkflowError(
                    f"experiments.{name}.{role} names {unknown[0]}: "
                    f"expected one of {', '.join(config['datasets'])}"
                )
        check_network(name, entry, settings)
        resolved[name] = settings
    learned = {name for name, settings in resolved.items() if "train" in settings}
    for name, settings in resolved.items():
        for key, others in (
            ("init_from", learned),
            ("network_of", learned),
            ("start_from", set(resolved)),
            ("reference", set(resolved)),
        ):
            if settings.get(key) not in (None, *others - {name}):
                raise WorkflowError(
                    f"experiments.{name}.{key} names {settings[key]}: "
                    f"expected another experiment, {', '.join(sorted(others - {name}))}"
                )
    return resolved


def check_network(name, entry, settings):
    """See that what an experiment itself says has a use for the kind of network that it has."""
    useless = {
        True: ("init_from", "start_from", "model", "training", "tracking", "inference", "stitching"),
        False: ("reconstruction",),
    }["network" in settings]
    for key in useless:
        if key in entry:
            kind = "network" if "network" in settings else "no network"
            raise WorkflowError(f"experiments.{name} has {key} and {kind}: expected one without the other")


def expand_studies():
    """Add the datasets and experiments of all studies to the config; give what belongs to each."""
    expanded = {}
    for name, study in config.get("studies", {}).items():
        if "scale" not in config:
            raise WorkflowError(
                "the config has studies but no scale: expected one, such as --config scale=smoke"
            )
        try:
            expanded[name] = expand_study(name, study, config["scale"], config.get("defaults", {}))
        except InputError as error:
            raise WorkflowError(str(error)) from None
        for section, entries in (
            ("datasets", expanded[name].datasets),
            ("experiments", expanded[name].experiments),
        ):
            taken = sorted(set(entries) & set(config.setdefault(section, {})))
            if taken:
                raise WorkflowError(
                    f"{section}.{taken[0]}: the name is taken by study {name}, expected another"
                )
            config[section].update(entries)
    return expanded


check_config()
ASKED_FOR = list(config.get("experiments", {}))
STUDIES = expand_studies()
check_config()
config.setdefault("datasets", {})
check_datasets()
EXPERIMENTS = resolve_experiments()
SOLVED = [name for name, settings in EXPERIMENTS.items() if "solver" in settings]
LEARNED = [name for name, settings in EXPERIMENTS.items() if "train" in settings]
PRETRAINED = [name for name, settings in EXPERIMENTS.items() if "network" in settings]
PRETRAINING = [name for name, settings in EXPERIMENTS.items() if "pretrain" in settings]
BY_NETWORK = [name for name in EXPERIMENTS if name not in (*SOLVED, *PRETRAINED, *PRETRAINING)]
