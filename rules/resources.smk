import json

from ptychoflow.configuration.estimates import blind_needs, inference_needs, training_needs, tuning_needs


def on_gpu(wildcards):
    return EXPERIMENTS[wildcards.experiment].get("device", COMMON.device) == "gpu"


@signed
def accelerator(wildcards):
    return "gpu" if on_gpu(wildcards) else "cpu"


def environment(name):
    """Conda environment of a rule that runs on a GPU where the experiment says so."""
    return lambda wildcards: f"../envs/{name}{'-gpu' if on_gpu(wildcards) else ''}.yaml"


def devices(wildcards):
    """Devices of each node of a training."""
    return section(wildcards.experiment, "training").devices


@signed
def nodes(wildcards):
    return section(wildcards.experiment, "training").num_nodes


@signed
def gpus(wildcards):
    """GPUs of a training job, those of all its nodes together."""
    return devices(wildcards) * nodes(wildcards) if on_gpu(wildcards) else 0


@signed
def tasks(wildcards):
    """Processes that the scheduler starts: one on one node, where Lightning starts the others, else one for each device."""
    return nodes(wildcards) * devices(wildcards) if nodes(wildcards) > 1 else 1


@signed
def launcher(wildcards):
    """What starts the processes of a training on several nodes; srun knows nothing of what the job asked for."""
    if nodes(wildcards) == 1:
        return ""
    each = devices(wildcards)
    return (
        f"srun --nodes={nodes(wildcards)} --ntasks={tasks(wildcards)} --ntasks-per-node={each}"
        f" --cpus-per-task={CORES_OF_A_PROCESS}"
    )


CORES_OF_A_PROCESS = 2


def processes(wildcards):
    """Processes of a training that share the cores of one task: those that Lightning starts on one node."""
    return 1 if nodes(wildcards) > 1 else devices(wildcards)


def cores(wildcards):
    return CORES_OF_A_PROCESS * processes(wildcards)


def growing(amount):
    """Resource that grows with each attempt at a job: what failed for want of it succeeds with more."""
    return signed(lambda wildcards, attempt: amount * attempt)


def estimated(needs, key):
    """Resource that is estimated from the datasets of a job, once they are there, and grows with each attempt."""

    @signed
    def amount(wildcards, input, attempt):
        shapes = [shape_of(path) for path in ([input.data] if isinstance(input.data, str) else input.data)]
        frames, sizes = zip(*shapes)
        return attempt * getattr(needs(wildcards, list(frames), max(sizes)), key)

    return amount


USUAL_SHAPE = 1024, 128  # of a scan that nothing is known of


def shape_of(path):
    """Frames of a dataset and their edge length, from the record that stands beside it."""
    Path(path).stat()  # where the dataset is not made yet, Snakemake asks again when it is
    record = Path(path).with_suffix(".provenance.json")
    try:
        frames, size = json.loads(record.read_text(encoding="utf-8"))["frames"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(
            f"{record} does not tell the shape of {path} ({error}): memory and time are asked for as if it had "
            f"{USUAL_SHAPE[0]} frames of {USUAL_SHAPE[1]} pixels"
        )
        return USUAL_SHAPE
    return frames, size


def needs_of_training(wildcards, scans, size):
    training = section(wildcards.experiment, "training")
    return training_needs(scans, size, model_settings(wildcards), training, on_gpu(wildcards))


def needs_of_inference(wildcards, scans, size):
    """What a scan needs, or each of the parts that it is cut into."""
    frames = -(-scans[0] // PLAN.parts)
    return inference_needs(frames, size, model_settings(wildcards), inference_settings(wildcards))


def needs_of_reconstruction(wildcards, scans, size):
    return blind_needs(scans[0], size, blind_settings(wildcards), on_gpu(wildcards))


def needs_of_tuning(wildcards, scans, size):
    tuning = section(wildcards.experiment, "tuning")
    return tuning_needs(scans, size, tuning, blind_settings(wildcards), on_gpu(wildcards))
