import json

from ptychoflow.estimates import inference_needs, training_needs
from ptychoflow.settings import ModelSettings, TrainingSettings


def growing(amount):
    """Resource that grows with each attempt at a job: what failed for want of it succeeds with more."""
    return lambda wildcards, attempt: amount * attempt


def estimated(needs, key):
    """Resource that is estimated from the datasets of a job, once they are there, and grows with each attempt."""

    def amount(wildcards, input, attempt):
        shapes = [shape_of(path) for path in ([input.data] if isinstance(input.data, str) else input.data)]
        frames, size = sum(frames for frames, _ in shapes), max(size for _, size in shapes)
        return attempt * getattr(needs(wildcards, frames, size), key)

    return amount


def shape_of(path):
    """Frames of a dataset and their edge length, from the record that stands beside it."""
    Path(path).stat()  # where the dataset is not made yet, Snakemake asks again when it is
    record = json.loads(Path(path).with_suffix(".provenance.json").read_text(encoding="utf-8"))
    return record.get("frames", (1024, 64))


def model_of(wildcards):
    return ModelSettings(**EXPERIMENTS[lender(wildcards)].get("model", {}))


def needs_of_training(wildcards, frames, size):
    training = TrainingSettings.of(EXPERIMENTS[wildcards.experiment].get("training", {}))
    return training_needs(frames, size, model_of(wildcards), training, on_gpu(wildcards))


def needs_of_inference(wildcards, frames, size):
    return inference_needs(frames, size, model_of(wildcards), inference_settings(wildcards))
