"""How much memory and time a step will take, to be asked of a scheduler before it starts; no torch here.

Network and frames both cost in proportion to pixels. The factors were measured on two cores of an EPYC with AVX-512,
in float32; memory includes the packages, and time a factor of three for slower machines.
"""

from dataclasses import dataclass

from ptychoflow.settings.blind import TuningSettings
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import FRAMES_IN_MEMORY, TrainingSettings

PACKAGES = 1200
"""Megabytes of a process that has loaded torch and Lightning, and of the Snakemake that starts it on a node."""
SLACK = 3
"""How much slower a machine may be."""
GPU_GAIN = 10
"""How much faster a GPU is at least."""


@dataclass(frozen=True)
class Needs:
    """What a job asks for.

    Parameters
    ----------
    mem_mb : int
        Megabytes.
    runtime : int
        Minutes.
    """

    mem_mb: int
    runtime: int

    @classmethod
    def of(cls, size: float, seconds: float) -> "Needs":
        """Round bytes and seconds up, with the packages and their loading added."""
        return cls(PACKAGES + round(1.3 * size / 1e6), 5 + round(SLACK * seconds / 60))


def training_needs(
    scans: list[int], size: int, model: ModelSettings, training: TrainingSettings, on_gpu: bool
) -> Needs:
    """Estimate a training, with the memory of all its processes on one node.

    Parameters
    ----------
    scans : list of int
        Frames of each scan.
    size : int
        Edge length N of a frame in pixels.
    model : ModelSettings
        The network.
    training : TrainingSettings
        How it is trained.
    on_gpu : bool
        Whether a GPU computes; its own memory is not estimated.
    """
    area, members = size**2, training.groups.size
    held = min(sum(scans), training.frames_in_memory)
    if model.joins_frames:
        # The frames of a group, and the object that they share, which grows with their distances.
        wide = (1.1 * size) ** 2 if members == 1 else (1.6 * size) ** 2
        features = model.iterations * model.features
        bytes_of_group = 20 * model.iterations * members * area + 56 * features * wide
        seconds_of_group = 9e-8 * model.iterations * members * area + 1.8e-8 * features * wide
    else:
        bytes_of_group = 22 * model.features * members * area
        seconds_of_group = 6e-8 * model.features * members * area
    groups = sum(min(frames, training.n_groups or frames) for frames in scans)
    steps = training.max_epochs * groups * training.groups.per_anchor
    # Counts and amplitudes; true patches of simulated scans weigh as much again.
    kept = 16 * held * area
    seconds = steps * seconds_of_group / (GPU_GAIN * training.devices * training.num_nodes if on_gpu else 1)
    needs = Needs.of(kept + (0 if on_gpu else training.batch_size * bytes_of_group), seconds)
    # Each device has a process of its own, with the frames and the packages; what is asked for holds for one node.
    return Needs(training.devices * needs.mem_mb, needs.runtime)


def inference_needs(frames: int, size: int, model: ModelSettings, inference: InferenceSettings) -> Needs:
    """Estimate the reconstruction of all patches of a scan, or of a part of it.

    Parameters
    ----------
    frames : int
        Frames to reconstruct.
    size : int
        Edge length N of a frame in pixels.
    model : ModelSettings
        The network.
    inference : InferenceSettings
        How it is used.
    """
    joined = model.joins_frames and not inference.single_shot
    together = min(frames, inference.tile_frames if joined else inference.batch_size)
    features = model.features
    # A tile in use, the next one read ahead, halves beside the whole; frames and patches.
    held = 3 * (60 + 10 * features) * together + 16 * min(frames, 4 * together)
    work = model.iterations * (1.5e-8 + 3e-9 * features) if model.joins_frames else 1.6e-8 * features
    return Needs.of(held * size**2, work * frames * size**2)


def blind_needs(frames: int, size: int, settings: BlindReconstructionSettings, on_gpu: bool) -> Needs:
    """Estimate the reconstruction of a scan by the blind network.

    Parameters
    ----------
    frames : int
        Frames of the scan.
    size : int
        Edge length N of a frame in pixels.
    settings : BlindReconstructionSettings
        What is solved for, and for how long.
    on_gpu : bool
        Whether a GPU computes; its own memory is not estimated.
    """
    modes = settings.probe_modes or 1
    # Halves take ten passes, those that tell the uncertainty as many as the image; the search has a few dozen frames.
    passes = (1 + settings.uncertainty) * settings.most_iterations + 10 * settings.halves
    search = 20 * (8 if settings.orientation else 1)
    seconds = passes * (1e-8 + 2.5e-8 * modes) * frames * size**2 / (GPU_GAIN if on_gpu else 1) + search
    # Counts and amplitudes; the object and its features, which grow with the scan.
    return Needs.of((16 * min(frames, FRAMES_IN_MEMORY) + 10 * frames) * size**2 + 4e8, seconds)


def tuning_needs(
    scans: list[int], size: int, tuning: TuningSettings, settings: BlindReconstructionSettings, on_gpu: bool
) -> Needs:
    """Estimate the tuning of a blind network on scans.

    Parameters
    ----------
    scans : list of int
        Frames of each scan.
    size : int
        Edge length N of a frame in pixels.
    tuning : TuningSettings
        How it is tuned.
    settings : BlindReconstructionSettings
        How the scans are reconstructed on the way.
    on_gpu : bool
        Whether a GPU computes; its own memory is not estimated.
    """
    area, modes = size**2, settings.probe_modes or 1
    passes = settings.iterations * (1e-8 + 2.5e-8 * modes) * sum(scans) * area
    # A part of an object with its features, and the targets, forward and back.
    step = tuning.batch_size * (2e-6 * tuning.window**2 + 1e-7 * tuning.frames_per_state * area)
    epoch = passes + tuning.steps_per_epoch * step
    seconds = tuning.max_epochs * epoch / (GPU_GAIN if on_gpu else 1) + 20 * len(scans)
    # Counts and amplitudes; an object with its momentum and light, and the probes, of many iterations.
    objects = min(2**30 * len(scans), settings.iterations * (40 * sum(scans) + 48 * modes) * area)
    held = 16 * min(sum(scans), FRAMES_IN_MEMORY) * area
    return Needs.of(held + objects + 2000 * tuning.window**2 + 4e8, seconds)
