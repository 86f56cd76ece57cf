# What the steps of a network are told, and read: training, inference and blind reconstruction.

import json

from ptychoflow.files import sha256_of
from ptychoflow.settings.blind import PRETRAINED as SHIPPED
from ptychoflow.settings.inference import phase_rounds
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.values import plain


def with_csv(tracking):
    """Loggers of a training, csv among them: the training figure is drawn from its file."""
    loggers = TrackingSettings(**tracking).logger
    return loggers if "csv" in loggers else ["csv", *loggers]


def training_settings(wildcards):
    """What train.py is told by --config: nothing that a later step decides, so that it reruns no training."""
    experiment = EXPERIMENTS[wildcards.experiment]
    tracking = experiment.get("tracking", {})
    tracking = tracking | {"logger": with_csv(tracking)}
    settings = {
        "model": plain(section(wildcards.experiment, "model")),
        **plain(section(wildcards.experiment, "training")),
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
        if experiment in EXPERIMENTS
        else []
    )


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


def lender_of(experiment):
    """Experiment whose network is used: mostly its own."""
    return EXPERIMENTS[experiment].get("network_of", experiment)


def lender(wildcards):
    return lender_of(wildcards.experiment)


@signed
def network(wildcards):
    return f"results/{lender(wildcards)}/seed{wildcards.seed}/model.ckpt"


def blind_network(wildcards):
    """What names the blind network of an experiment: `pretrained`, or a checkpoint, which is its own where it is tuned."""
    if wildcards.experiment in TUNED:
        return network(wildcards)
    return EXPERIMENTS[wildcards.experiment]["network"]


def blind_checkpoint(wildcards):
    """Checkpoint of a blind network of one's own; the shipped one is no input, its digest is a parameter."""
    named = blind_network(wildcards)
    if wildcards.experiment in TUNED:
        return [named]
    return [] if named == SHIPPED else given(named)


def checkpoint_path(wildcards, input):
    return input.checkpoint[0] if input.checkpoint else blind_network(wildcards)


def weights_of(named):
    """Digest of the shipped network, so that another one makes its images again; of one's own if it is no input."""
    if named != SHIPPED:
        return state(named)
    shipped = SCRIPTS / "ptychoflow/pretrained/model.ckpt"
    return sha256_of(shipped)[:16] if shipped.is_file() else ""


def tuning_settings(wildcards):
    """What tune.py is told by --config; the scans are reconstructed on the way as they will be at last."""
    tracking = EXPERIMENTS[wildcards.experiment].get("tracking", {})
    return as_yaml(
        {
            "tuning": plain(section(wildcards.experiment, "tuning")),
            "blind": vars(blind_settings(wildcards)),
            **plain(TrackingSettings.of(tracking | {"logger": with_csv(tracking)})),
        }
    )


def blind_settings(wildcards):
    return section(wildcards.experiment, "reconstruction")


def image_of(role, name="reconstruction.h5"):
    """File of the same dataset and seed by the experiment that has this role for another one, its image if not named."""

    @signed
    def image(wildcards):
        experiment = EXPERIMENTS[wildcards.experiment].get(role)
        folder = f"results/{experiment}/seed{wildcards.seed}/{wildcards.dataset}"
        return f"{folder}/{name}" if experiment else []

    return image


def model_settings(wildcards):
    return section(lender(wildcards), "model")


def inference_settings(wildcards):
    return section(wildcards.experiment, "inference")


def inference_flags(wildcards):
    """Settings of inference as a program is told them."""
    values = {
        key: "null" if value is None else value for key, value in vars(inference_settings(wildcards)).items()
    }
    return " ".join(f"--{key} {value}" for key, value in values.items())


def rounds(wildcards):
    """How often patches are brought to one phase."""
    together = model_settings(wildcards).joins_frames and not inference_settings(wildcards).single_shot
    asked = section(wildcards.experiment, "stitching").phase_iterations
    return phase_rounds(together) if asked is None else asked


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
