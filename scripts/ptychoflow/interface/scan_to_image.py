"""From a scan to an image in one process, by whichever network a checkpoint holds."""

from collections.abc import Callable
from pathlib import Path

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings


def find_checkpoint(network: str | Path | None) -> Path | None:
    """Give a checkpoint file itself, or the best one of a training's output folder; None of the shipped network.

    Raises
    ------
    InputError
        Where there is none.
    """
    if network is None or str(network) == PRETRAINED:
        return None
    path = Path(network)
    candidates = [path / "model.ckpt", path / "checkpoints" / "last.ckpt"] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"{path} has no checkpoint: expected {' or '.join(str(candidate) for candidate in candidates)}")


def solves_for_the_probe(checkpoint: Path | None) -> bool:
    """Whether a checkpoint is that of a blind network, as the shipped one is; None stands for that."""
    if checkpoint is None:
        return True
    from ptychoflow.blind.pretrained import is_blind
    from ptychoflow.models.trained import load_checkpoint

    return is_blind(load_checkpoint(checkpoint)["ptychoflow"])


def by_blind_network(
    checkpoint: Path | None,
    dataset: Dataset,
    data: Path,
    settings: BlindReconstructionSettings,
    seed: int = 0,
    accelerator: str = "auto",
    show: Callable | None = None,
    look: Callable | None = None,
) -> Reconstruction:
    """Solve for object and probe; parameters are those of `ptychoflow.blind.reconstruction.reconstruct`."""
    from ptychoflow.blind.reconstruction import reconstruct
    from ptychoflow.running.hardware import chosen_device

    return reconstruct(dataset, data, settings, checkpoint, seed, chosen_device(accelerator), show, look)


def look_at_geometry(made: Reconstruction, dataset: Dataset, data: Path) -> bool:
    """Warn, in the record of an image too, where its photons tell another geometry than a file that nobody ingested.

    Parameters
    ----------
    made : Reconstruction
        By a blind network.
    dataset : Dataset
        That it was made from.
    data : Path
        Its file; one of our own was looked at when it was made.

    Returns
    -------
    bool
        Whether the record says more than before.
    """
    from ptychoflow.dataset.position_axes import turned_dataset
    from ptychoflow.ingest.rehearsal import is_ours
    from ptychoflow.measurement.geometry_check import geometry_doubts

    if is_ours(data, IngestSettings()):
        return False
    # Of axes that were found to run otherwise the image has told already.
    doubts = geometry_doubts(turned_dataset(dataset, made.provenance["orientation"]), str(data), whole=False)
    made.provenance["warnings"] += doubts
    return bool(doubts)


def by_trained_network(
    checkpoint: Path,
    dataset: Dataset,
    data: Path,
    settings: InferenceSettings,
    n_groups: int | None = None,
    phase_iterations: int | None = None,
    accelerator: str = "auto",
) -> Reconstruction:
    """Predict patches and stitch them; parameters are those of `ptychoflow.reconstruction.inference.Inference`."""
    from ptychoflow.reconstruction.inference import Inference

    trained = Inference(
        checkpoint,
        dataset,
        data,
        settings.probe,
        n_groups,
        tile_frames=settings.tile_frames,
        single_shot=settings.single_shot,
        held_out=settings.held_out,
    )
    return trained.reconstruct(settings.batch_size, phase_iterations, accelerator)
