"""What runs in a process of its own, with torch: a reconstruction, and a training, told in messages of Ptychodus."""

import pickle
import tempfile
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from ptychodus.api.io import StandardFileLayout, load_diffraction_data, load_product
from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import ReconstructOutput, TrainOutput, prepare_reconstruct_input
from ptychodus.model.processing.subprocess_reconstructor import TAG_MODEL_SAVED, TAG_OUTPUT, TAG_TRAIN_OUTPUT

from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.errors import InputError
from ptychoflow.interface.scan_to_image import (
    by_blind_network,
    by_trained_network,
    find_checkpoint,
    solves_for_the_probe,
)
from ptychoflow.ptychodus.products import Placed, dataset_of, reconstructed
from ptychoflow.ptychodus.reconstructor import ReconstructPayload, TrainPayload, export_training_data
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.running.hardware import use_threads
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings


def run_reconstruct(payload: ReconstructPayload, queue: Queue[Any]) -> None:
    """Reconstruct, and give the product every few iterations of a blind network, and in the end."""
    use_threads(None)
    product = payload.parameters.product
    placed = dataset_of(payload.parameters)
    checkpoint = find_checkpoint(payload.checkpoint)
    settings = BlindReconstructionSettings.of(payload.settings)

    def give(made: Reconstruction, progress: int) -> None:
        output = ReconstructOutput(product=reconstructed(product, placed, made), progress=progress)
        queue.put((TAG_OUTPUT, pickle.dumps(output)))

    def look(solving: BlindReconstruction) -> None:
        if len(solving.history) % payload.interval == 0:
            give(_so_far(solving, placed), len(solving.history))

    with tempfile.TemporaryDirectory() as folder:
        # The record of a result names the file that it was made from, and its digest.
        scan = Path(folder) / "scan.cxi"
        write_cxi(scan, placed.dataset)
        if solves_for_the_probe(checkpoint):
            made = by_blind_network(
                checkpoint, placed.dataset, scan, settings, payload.seed, payload.accelerator, look=look
            )
            give(made, made.provenance["iterations"])
        else:
            made = by_trained_network(
                checkpoint, placed.dataset, scan, InferenceSettings(), accelerator=payload.accelerator
            )
            give(made, settings.iterations)


def _so_far(solving: BlindReconstruction, placed: Placed) -> Reconstruction:
    """The image on its way, with what is shown of it."""
    found = solving.result()
    image = found.object.numpy()
    return Reconstruction(
        object=image,
        coverage=np.zeros(image.shape, np.float32),
        halves=np.full((2, *image.shape), np.nan, np.complex64),
        probe=found.probe.numpy(),
        positions=found.positions,
        held_out=np.isin(np.arange(len(found.positions)), found.held_out),
        pixel_size=placed.dataset.pixel_size,
        provenance={
            "method": f"iteration {len(found.history)}",
            "held_out_deviance": found.deviance,
            "deviances": [one.deviance for one in found.history],
        },
    )


def run_train(payload: TrainPayload, queue: Queue[Any]) -> None:
    """Train a network on the scans of a folder, tell the losses after each epoch, and in the end where it is."""
    use_threads(None)
    payload.output_path.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(
        data=training_scans(payload.input_path, payload.output_path),
        output_dir=payload.output_path,
        run_dir=payload.output_path / "checkpoints",
        model=ModelSettings(**payload.model),
        training=TrainingSettings.of(payload.training),
        tracking=TrackingSettings(),
        seed=payload.seed,
        callbacks=[EpochsTold(queue)],
    )
    queue.put((TAG_MODEL_SAVED, str(run.run())))


class EpochsTold(Callback):
    """Tells Ptychodus the losses of all epochs so far after each.

    Parameters
    ----------
    queue : Queue
        Of messages to it.
    """

    def __init__(self, queue: Queue[Any]) -> None:
        self.queue = queue
        self.losses: dict[str, list[LossValue]] = {"train": [], "val": []}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        for mode, values in self.losses.items():
            loss = trainer.callback_metrics.get(f"{mode}/loss/epoch")
            if isinstance(loss, torch.Tensor):
                values.append(LossValue(epoch=epoch, value=float(loss)))
        output = TrainOutput(training_loss=self.losses["train"], validation_loss=self.losses["val"], progress=epoch)
        self.queue.put((TAG_TRAIN_OUTPUT, pickle.dumps(output)))


def training_scans(folder: Path, output: Path) -> list[Path]:
    """Scans to train on: those that were exported into a folder, or the one that Ptychodus laid out there.

    Parameters
    ----------
    folder : Path
        Of ``*.cxi``, or of ``diffraction.h5`` and ``product.h5``.
    output : Path
        Folder into which the latter is written as a scan.

    Raises
    ------
    InputError
        Where there is neither.
    """
    scans = sorted(folder.glob("*.cxi"))
    if scans:
        return scans
    patterns, product = folder / StandardFileLayout.DIFFRACTION, folder / StandardFileLayout.PRODUCT
    if not (patterns.is_file() and product.is_file()):
        raise InputError(
            f"{folder} has neither scans (*.cxi) nor {patterns.name} and {product.name}: expected data to train on, "
            "such as Export Training Data writes"
        )
    scan = output / "scans" / "scan.cxi"  # not where it would be taken for one that was exported
    scan.parent.mkdir(parents=True, exist_ok=True)
    parameters = prepare_reconstruct_input(load_diffraction_data(patterns), load_product(product))
    export_training_data(scan, parameters)
    return [scan]
