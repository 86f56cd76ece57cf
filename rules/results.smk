# The files that a config asks for.

import shlex
from pathlib import Path

from ptychoflow.configuration.results import (
    PLAIN_PICTURES,
    RESULT_FIGURES,
    STUDY_FIGURES,
    STUDY_TABLES,
    known_results,
    refusal,
)

LEAST_SEEDS = 3  # fewer do not tell how far they differ
PAGES_IN_REPORT = 20_000_000  # bytes


def seeds_of(experiment):
    return EXPERIMENTS[experiment].get("seeds", COMMON.seeds)


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
    """Files under results/{experiment}/seed{seed}/ for all trainings on scans that the config lists one by one."""
    return [
        f"results/{experiment}/seed{seed}/{name}"
        for experiment in ASKED_FOR
        if experiment in (*LEARNED, *TUNED)
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
    return each_result("reconstruction.h5", *PLAIN_PICTURES, experiments=ASKED_FOR)


def scores():
    return each_result("metrics.json")


def pictures():
    return each_result(
        *(f"figures/{kind}.{suffix}" for kind in RESULT_FIGURES for suffix in ("png", "svg")),
        experiments=ASKED_FOR,
    ) + each_run("figures/training.png", "figures/training.svg")


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


def in_mlflow(experiment):
    return "mlflow" in EXPERIMENTS[experiment].get("tracking", {}).get("logger", [])


def tracked_in_mlflow():
    return any(map(in_mlflow, EXPERIMENTS))


def tracked_results():
    """Records of results whose scores and figures stand in the run that made their network."""
    experiments = [name for name in BY_NETWORK if in_mlflow(lender_of(name))]
    return each_result("tracked.json", experiments=experiments)


def tracked_figures(wildcards):
    """Figures of a result that go with its scores; plain pictures of those of studies, which have none."""
    folder = "results/{experiment}/seed{seed}/{dataset}".format_map(wildcards)
    if wildcards.experiment not in ASKED_FOR:
        return [f"{folder}/{name}" for name in PLAIN_PICTURES]
    return [f"{folder}/figures/{kind}.png" for kind in RESULT_FIGURES]


def tracked_in_study(study):
    """Experiments of a study whose trainings are runs of MLflow."""
    return [name for name in STUDIES[study].combinations if name in LEARNED and in_mlflow(name)]


def tracked_studies():
    """Records of studies whose tables and figure stand in the run of their trainings."""
    return [f"results/studies/{study}/tracked.json" for study in STUDIES if tracked_in_study(study)]


def study_store(wildcards):
    """Store and experiment of MLflow that a study's trainings go to, as track_study.py is told them."""
    tracking = section(tracked_in_study(wildcards.study)[0], "tracking")
    store = tracking.mlflow_tracking_uri
    flags = {"mlflow_experiment": tracking.mlflow_experiment} | (
        {"mlflow_tracking_uri": store} if store else {}
    )
    return " ".join(f"--{key} {shlex.quote(value)}" for key, value in flags.items())


def pages():
    """Pages on which the results that the config lists one by one are looked at."""
    return each_result("view.html", experiments=ASKED_FOR)


def page_of_report(file, **shown):
    """Put pages into the report while they are few; of many, whose bytes it would hold all, it has links alone."""
    size = 0
    for page in map(Path, pages()):
        if not page.exists():
            break  # no report is written yet
        size += page.stat().st_size
        if size > PAGES_IN_REPORT:
            return file
    return report(file, **shown)


def title_of_result(wildcards):
    return f"{wildcards.experiment}, seed {wildcards.seed}, {wildcards.dataset}"


def having():
    """Who has the files that not all experiments, or studies, have."""
    return {
        "training.yaml": LEARNED,
        "pretraining.yaml": PRETRAINING,
        "tuning.yaml": TUNED,
        "reconstruction.yaml": PRETRAINED,
        "solver.yaml": SOLVED,
        "run": [*LEARNED, *PRETRAINING, *TUNED],
        "image": [name for name in EXPERIMENTS if name not in PRETRAINING],
        "predicted.h5": BY_NETWORK if PLAN.parts == 1 else [],
        "tracked.json": BY_NETWORK,
        "uncertainty": UNCERTAIN,
        "tracked study": [study for study in STUDIES if tracked_in_study(study)],
    }


def unknown_results():
    """Regular expression of files under results/ that no rule makes, whatever the seed."""
    return rf"(?!{known_results(EXPERIMENTS, DATASETS, STUDIES, having())}).+"


def refused(wildcards):
    """Say what there is instead."""
    raise WorkflowError(refusal(wildcards.unknown, EXPERIMENTS, DATASETS, STUDIES, having()))
