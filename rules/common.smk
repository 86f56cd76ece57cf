import gc
import inspect
import json
import os
import sys
from contextlib import suppress

import yaml
from ptychoflow.configuration.results import (
    RESULT_FIGURES,
    STUDY_FIGURES,
    STUDY_TABLES,
    known_results,
    one_of,
    refusal,
)
from ptychoflow.data.file_names import listed_files, names_files
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.provenance import code_digest
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.inference import InferenceSettings, phase_rounds
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.solver import RefinementSettings, SolverSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import plain
from ptychoflow.settings.experiment import PretrainSettings

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


LEAST_SEEDS = 3  # fewer do not tell how far they differ


def ingested(wildcards):
    return DATASETS[wildcards.dataset]["ingest"]


def raw_file(wildcards):
    """The local copy where there is one, else the download."""
    source = ingested(wildcards)
    if "path" in source and (Path(source["path"]).exists() or "url" not in source):
        return given(source["path"])
    return [f"results/raw/{wildcards.dataset}/{Path(source['url']).name}"]


def raw_path(wildcards, input):
    return input.raw[0] if input.raw else ingested(wildcards)["path"]


def further_files(wildcards):
    """Masks and dark frames, where an HDF5 file may have the name of one within it, after two colons; files that a list
    of frames names; and the second file of a format of two, where the settings name it: what is found by its usual
    name is no input."""
    source = ingested(wildcards)
    detector = source.get("detector", {})
    named = (detector.get(key) for key in ("mask_file", "dark_file"))
    files = [file.partition("::")[0] for file in named if file is not None]
    if source.get("companion") is not None:
        files.append(str(Path(source["path"]).parent / source["companion"]))
    frames = source.get("paths", {}).get("frames", [])
    listed = [name for name in ([frames] if isinstance(frames, str) else frames) if names_files(name)]
    # Where none is there, ingest.py says so.
    with suppress(InputError):
        files += [str(path) for path, _ in listed_files(listed, Path(source["path"]).parent)]
    return files


def unwatched(wildcards):
    """State of the files of a dataset that Snakemake cannot watch."""
    return state(ingested(wildcards).get("path", ""), *further_files(wildcards))


# Settings are written with every default, so that a default which someone writes out makes nothing again.
DATASET_SETTINGS = {"simulate": SimulationSettings, "ingest": IngestSettings, "refine": RefinementSettings}


def dataset_settings(wildcards):
    """What simulate.py, ingest.py or refine.py is told by --config; where its input is does not belong to it."""
    ((kind, settings),) = DATASETS[wildcards.dataset].items()
    location = ("path", "url", "sha256", "dataset")
    said = {key: value for key, value in settings.items() if key not in location}
    return as_yaml(plain(DATASET_SETTINGS[kind].of(said)))


def unrefined(wildcards):
    """Dataset whose positions are refined."""
    source = DATASETS[wildcards.dataset]["refine"]["dataset"]
    return f"results/data/{source}.cxi"


def training_settings(wildcards):
    """What train.py is told by --config: nothing that a later step decides, so that it reruns no training."""
    experiment = EXPERIMENTS[wildcards.experiment]
    tracking = experiment.get("tracking", {})
    loggers = TrackingSettings(**tracking).logger
    # The training figure is drawn from the CSV file.
    tracking = tracking | {"logger": loggers if "csv" in loggers else ["csv", *loggers]}
    settings = {
        "model": plain(ModelSettings.of(experiment.get("model", {}))),
        **plain(TrainingSettings.of(experiment.get("training", {}))),
        **plain(TrackingSettings.of(tracking)),
    }
    return as_yaml(settings)


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


def lender_of(experiment):
    """Experiment whose network is used: mostly its own."""
    return EXPERIMENTS[experiment].get("network_of", experiment)


def lender(wildcards):
    return lender_of(wildcards.experiment)


@signed
def network(wildcards):
    return f"results/{lender(wildcards)}/seed{wildcards.seed}/model.ckpt"


def blind_checkpoint(wildcards):
    """Checkpoint of a blind network of one's own; the shipped one is no input, its digest is a parameter."""
    named = EXPERIMENTS[wildcards.experiment]["network"]
    return [] if named == "pretrained" else given(named)


def checkpoint_path(wildcards, input):
    return input.checkpoint[0] if input.checkpoint else EXPERIMENTS[wildcards.experiment]["network"]


def weights_of(wildcards):
    """Digest of the shipped network, so that another one makes its images again; of one's own if it is no input."""
    shipped, named = (
        SCRIPTS / "ptychoflow/pretrained/model.ckpt",
        EXPERIMENTS[wildcards.experiment]["network"],
    )
    if named != "pretrained":
        return state(named)
    return sha256_of(shipped)[:16] if shipped.is_file() else ""


def blind_settings(wildcards):
    return BlindReconstructionSettings(**EXPERIMENTS[wildcards.experiment].get("reconstruction", {}))


def image_of(role, name="reconstruction.h5"):
    """File of the same dataset and seed by the experiment that has this role for another one, its image if not named."""

    @signed
    def image(wildcards):
        experiment = EXPERIMENTS[wildcards.experiment].get(role)
        folder = f"results/{experiment}/seed{wildcards.seed}/{wildcards.dataset}"
        return f"{folder}/{name}" if experiment else []

    return image


@signed
def tags(wildcards, input):
    """What the tracked run of a training says about the job; as a function of the input it makes no model stale."""
    named = ", ".join(f"{name}={value}" for name, value in wildcards.items())
    studies = [study for study, entry in STUDIES.items() if wildcards.experiment in entry.combinations]
    return json.dumps(
        {
            "experiment": wildcards.experiment,
            "seeds": str(len(seeds_of(wildcards.experiment))),
            "snakemake_rule": "train",
            "snakemake_wildcards": named,
        }
        | ({"study": studies[0]} if studies else {})
    )


def in_mlflow(experiment):
    return "mlflow" in EXPERIMENTS[experiment].get("tracking", {}).get("logger", [])


def tracked_in_mlflow():
    return any(map(in_mlflow, EXPERIMENTS))


def tracked_results():
    """Records of results whose scores and figures stand in the run that made their network."""
    experiments = [name for name in ASKED_FOR if name in BY_NETWORK and in_mlflow(lender_of(name))]
    return each_result("tracked.json", experiments=experiments)


def setting(section, key, default):
    """Parameter of a rule: a key of a section of the experiment, or the program's own default."""
    return lambda wildcards: EXPERIMENTS[wildcards.experiment].get(section, {}).get(key, default)


def model_settings(wildcards):
    return ModelSettings(**EXPERIMENTS[lender(wildcards)].get("model", {}))


def inference_settings(wildcards):
    return InferenceSettings(**EXPERIMENTS[wildcards.experiment].get("inference", {}))


def inference_flags(wildcards):
    """Settings of inference as a program is told them."""
    values = {
        key: "null" if value is None else value for key, value in vars(inference_settings(wildcards)).items()
    }
    return " ".join(f"--{key} {value}" for key, value in values.items())


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


def on_gpu(wildcards):
    return EXPERIMENTS[wildcards.experiment].get("device", "cpu") == "gpu"


@signed
def accelerator(wildcards):
    return "gpu" if on_gpu(wildcards) else "cpu"


def environment(name):
    """Conda environment of a rule that runs on a GPU where the experiment says so."""
    return lambda wildcards: f"../envs/{name}{'-gpu' if on_gpu(wildcards) else ''}.yaml"


@signed
def nodes(wildcards):
    return setting("training", "num_nodes", 1)(wildcards)


@signed
def gpus(wildcards):
    """GPUs of a training job, those of all its nodes together."""
    return setting("training", "devices", 1)(wildcards) * nodes(wildcards) if on_gpu(wildcards) else 0


@signed
def tasks(wildcards):
    """Processes that the scheduler starts: one on one node, where Lightning starts the others, else one for each device."""
    return nodes(wildcards) * setting("training", "devices", 1)(wildcards) if nodes(wildcards) > 1 else 1


@signed
def launcher(wildcards):
    """What starts the processes of a training on several nodes; srun knows nothing of what the job asked for."""
    if nodes(wildcards) == 1:
        return ""
    each = setting("training", "devices", 1)(wildcards)
    return (
        f"srun --nodes={nodes(wildcards)} --ntasks={tasks(wildcards)} --ntasks-per-node={each}"
        f" --cpus-per-task={CORES_OF_A_PROCESS}"
    )


CORES_OF_A_PROCESS = 2


def processes(wildcards):
    """Processes of a training that share the cores of one task: those that Lightning starts on one node."""
    return 1 if nodes(wildcards) > 1 else setting("training", "devices", 1)(wildcards)


def cores(wildcards):
    return CORES_OF_A_PROCESS * processes(wildcards)


def rounds(wildcards):
    """How often patches are brought to one phase."""
    together = model_settings(wildcards).joins_frames and not inference_settings(wildcards).single_shot
    return setting("stitching", "phase_iterations", phase_rounds(together))(wildcards)


def previous_round(wildcards):
    """Object whose phase the patches take; none in the first round."""
    if wildcards.round == "0":
        return []
    folder = "results/{experiment}/seed{seed}/{dataset}/parts".format_map(wildcards)
    return f"{folder}/round_{int(wildcards.round) - 1}.h5"


def last_round(wildcards):
    """Sums of all parts after as many rounds as the experiment asks for."""
    folder = "results/{experiment}/seed{seed}/{dataset}/parts".format_map(wildcards)
    return gather.part(f"{folder}/sums_{rounds(wildcards)}_{{scatteritem}}.h5")


def seeds_of(experiment):
    return EXPERIMENTS[experiment].get("seeds", [0])


def each_result(*names, experiments=None):
    """Files under results/{experiment}/seed{seed}/{dataset}/ for all that the config asks for."""
    return [
        f"results/{experiment}/seed{seed}/{dataset}/{name}"
        for experiment in (EXPERIMENTS if experiments is None else experiments)
        for seed in seeds_of(experiment)
        for dataset in EXPERIMENTS[experiment]["test"]
        for name in names
    ]


def each_run(*names):
    """Files under results/{experiment}/seed{seed}/ for all trainings that the config lists one by one."""
    return [
        f"results/{experiment}/seed{seed}/{name}"
        for experiment in ASKED_FOR
        if experiment in LEARNED
        for seed in seeds_of(experiment)
        for name in names
    ]


def weights():
    """Blind networks that are trained."""
    return [
        f"results/{experiment}/seed{seed}/model.ckpt"
        for experiment in PRETRAINING
        for seed in seeds_of(experiment)
    ]


def images():
    """Reconstructions and plain pictures of all experiments that the config lists one by one, not those of studies."""
    names = ("reconstruction.h5", "reconstructed_amplitude.png", "reconstructed_phase.png")
    return each_result(*names, experiments=ASKED_FOR)


def uncertainties():
    """Maps of what seeds differ in, where there are enough of them, and of what images say of themselves."""
    own = [experiment for experiment in ASKED_FOR if experiment in UNCERTAIN]
    return each_result("figures/uncertainty.png", "figures/uncertainty.svg", experiments=own) + [
        f"results/{experiment}/seeds/{dataset}/figures/uncertainty.{suffix}"
        for experiment in ASKED_FOR
        if len(seeds_of(experiment)) >= LEAST_SEEDS
        for dataset in EXPERIMENTS[experiment]["test"]
        for suffix in ("png", "svg")
    ]


def study_outputs(*names):
    """Files of all studies."""
    return [f"results/studies/{study}/{name}" for study in STUDIES for name in names]


def study_results(wildcards, *names):
    """Files of all results that belong to a study."""
    return each_result(*names, experiments=STUDIES[wildcards.study].combinations)


def study_description(wildcards):
    """What tabulate_study.py and plot_study.py are told of a study, with folders as seen from that file."""
    study, combinations = PLAN.descriptions[wildcards.study], STUDIES[wildcards.study].combinations
    results = [
        {"labels": labels, "folder": f"../../{place.removeprefix('results/')}"}
        for experiment, labels in combinations.items()
        for place in each_result("", experiments=[experiment])
    ]
    known = {key: study[key] for key in ("question", "scores", "x", "compare", "published") if key in study}
    return as_yaml({"name": wildcards.study, **known, "axes": list(study["axes"]), "results": results})


def records():
    """Records of all datasets that are trained on or reconstructed."""
    used = {name for e in EXPERIMENTS.values() for key in ("train", "test") for name in e.get(key, [])}
    return [f"results/data/{name}.provenance.json" for name in sorted(used)]


def scores():
    return each_result("metrics.json")


def pictures():
    return each_result(
        *(f"figures/{kind}.{suffix}" for kind in RESULT_FIGURES for suffix in ("png", "svg")),
        experiments=ASKED_FOR,
    ) + each_run("figures/training.png", "figures/training.svg")


def pages():
    """Pages on which the results that the config lists one by one are looked at."""
    return each_result("view.html", experiments=ASKED_FOR)


def title_of_result(wildcards):
    return f"{wildcards.experiment}, seed {wildcards.seed}, {wildcards.dataset}"


def unknown_results():
    """Regular expression of files under results/ that no rule makes, whatever the seed."""
    return rf"(?!{known_results(EXPERIMENTS, DATASETS, STUDIES, UNCERTAIN)}).+"


def refused(wildcards):
    """Say what there is instead."""
    raise WorkflowError(refusal(wildcards.unknown, EXPERIMENTS, DATASETS, STUDIES))
