from snakemake.utils import min_version

# Since then pydantic, which checks the config, is a part of Snakemake.
min_version("9.17")

# A config file given on the command line stands for itself: the demo is not added to it.
if not (workflow.overwrite_configfiles or {"datasets", "experiments", "studies"} & set(config)):

    configfile: workflow.source_path("config/config.yaml")


report: "rules/report/workflow.rst"


include: "rules/checkout.smk"
include: "rules/config.smk"
include: "rules/common.smk"
include: "rules/results.smk"
include: "rules/datasets.smk"
include: "rules/networks.smk"


# Its environments are used where Snakemake is told to deploy by conda and apptainer.
if config.get("container"):

    containerized: config["container"]


include: "rules/resources.smk"
include: "rules/progress.smk"
include: "rules/messages.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/pretrain.smk"
include: "rules/tune.smk"


if PLAN.parts > 1:

    include: "rules/parts.smk"

else:

    include: "rules/infer.smk"
    include: "rules/stitch.smk"


include: "rules/reconstruct.smk"
include: "rules/baseline.smk"
include: "rules/evaluate.smk"
include: "rules/figures.smk"
include: "rules/studies.smk"
include: "rules/track.smk"


onsuccess:
    print(*doubts(), made(workflow.dag), sep="\n")


onerror:
    print(*doubts(), *failures([log] if isinstance(log, str) else log), sep="\n")
    # A training that was killed could not say so itself.
    if tracked_in_mlflow():
        print(*runs_closed(workflow), sep="\n")


rule all:
    default_target: True
    input:
        weights(),
        images(),
        scores(),
        pictures(),
        pages(),
        uncertainties(),
        study_outputs(*STUDY_TABLES, *STUDY_FIGURES),
        tracked_results(),
        tracked_studies(),
        "results/runs.csv",
        "results/warnings.html",
    localrule: True


rule figures:
    input:
        pictures(),
        pages(),
        uncertainties(),
        study_outputs(*STUDY_FIGURES),
    localrule: True


rule studies:
    input:
        study_outputs(*STUDY_TABLES, *STUDY_FIGURES),
    localrule: True


# Whoever uses this as a module has targets, and a report, of their own.
if workflow.modifier.is_main_snakefile():

    include: "rules/targets.smk"
