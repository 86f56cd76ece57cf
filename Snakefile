from snakemake.utils import min_version, validate

min_version("9.0")

# A config file given on the command line stands for itself: the demo is not added to it.
if "experiments" not in config:

    configfile: workflow.source_path("config/config.yaml")


validate(config, "config/schemas/config.schema.yaml")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/infer.smk"
include: "rules/stitch.smk"
include: "rules/evaluate.smk"
include: "rules/figures.smk"
include: "rules/track.smk"


onerror:
    # A training that was killed could not say so itself.
    if tracked_in_mlflow():
        shell("python $PTYCHOFLOW_SCRIPTS/close_runs.py || true")


rule all:
    default_target: True
    input:
        images(),
        scores(),
        pictures(),
    localrule: True


rule figures:
    input:
        pictures(),
    localrule: True
