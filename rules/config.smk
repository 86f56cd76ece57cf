from ptychoflow.configuration.resolution import resolve
from ptychoflow.errors import InputError
from snakemake.logging import logger

# What the config asks for, every value checked; the config itself stays as it was given.
try:
    PLAN = resolve(config)
except InputError as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process:
    for sentence in PLAN.doubts:
        logger.warning(sentence)

DATASETS, EXPERIMENTS, STUDIES = PLAN.datasets, PLAN.experiments, PLAN.studies
ASKED_FOR = PLAN.asked_for
SOLVED = [name for name, settings in EXPERIMENTS.items() if "solver" in settings]
TUNED = PLAN.tuned
LEARNED = [name for name, settings in EXPERIMENTS.items() if "train" in settings and name not in TUNED]
PRETRAINED = [name for name, settings in EXPERIMENTS.items() if "network" in settings or name in TUNED]
UNCERTAIN = [name for name in PRETRAINED if EXPERIMENTS[name].get("reconstruction", {}).get("uncertainty")]
PRETRAINING = [name for name, settings in EXPERIMENTS.items() if "pretrain" in settings]
BY_NETWORK = [name for name in EXPERIMENTS if name not in (*SOLVED, *PRETRAINED, *PRETRAINING)]
