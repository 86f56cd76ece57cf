"""How inference writes its patches or tiles, batch by batch: a file that is whole at the end, or not there at all."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from ptychoflow.dataset.hdf5 import new_hdf5, write_packed
from ptychoflow.files import require_room
from ptychoflow.loading.loaders import GroupLoader, TileLoader
from ptychoflow.loading.tables import Batch
from ptychoflow.physics.tiles import ObjectTile
from ptychoflow.provenance.embedded import hdf5_attributes
from ptychoflow.reconstruction.pieces import write_tile
from ptychoflow.reconstruction.prediction_files import PredictionWriter
from ptychoflow.running.hardware import device_name
from ptychoflow.training.progress import ProgressLines
from ptychoflow.training.scan_network import Prediction, ScanNetwork
from ptychoflow.training.trainer import make_trainer

if TYPE_CHECKING:
    from ptychoflow.reconstruction.inference import Inference

SILENT = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}
"""Options of a Trainer that only predicts."""
BORDER = 32
"""Pixels by which a tile may be wider than the patches of its frames."""


class Predicting(LightningModule):
    """Lightning's module of a network that only predicts."""

    def __init__(self, network: ScanNetwork) -> None:
        super().__init__()
        self.network = network

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction | ObjectTile:
        return self.network.predict(batch)


def write_pieces(
    inference: "Inference", output: Path, batch_size: int, accelerator: str, also: tuple[str, ...]
) -> None:
    """Predict with Lightning into a file; parameters are those of `Inference.write`."""
    inference.module.cuts_patches = bool(also)
    kind = TileWriter if inference.joins_frames and not also else PatchWriter
    writer = kind(output, inference, also)
    trainer = make_trainer(accelerator=accelerator, devices=1, callbacks=[writer, ProgressLines()], **SILENT)
    writer.loader = inference.loader(batch_size, trainer.strategy.root_device)
    module = Predicting(inference.module)
    if len(writer.loader):
        trainer.predict(module, writer.loader, return_predictions=False)
    else:  # a part without a tile, for which Lightning calls no hook
        writer.on_predict_start(trainer, module)
        writer.on_predict_end(trainer, module)


class PatchWriter(PredictionWriter):
    """Writes patches with all that stitching needs beside them, and other formats on request.

    Parameters
    ----------
    output : Path
        The HDF5 file.
    inference : Inference
        Positions, probe and provenance.
    also : iterable of str
        Other formats, with the same name but for the suffix.
    """

    def __init__(self, output: Path, inference: "Inference", also: Iterable[str]) -> None:
        super().__init__(lambda mode: output.with_suffix(""), dict.fromkeys(("hdf5", *also)))
        self.inference, self.output = inference, output
        self.loader: GroupLoader | TileLoader | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()
        size, kinds = self.inference.dataset.size, 1 + self.inference.module.predicts_halves
        require_room(self.output, kinds * self.loader.groups_here * size**2 * np.dtype(np.complex64).itemsize)
        self._open(trainer, "predict", self.loader)
        self.written = 0
        if self.inference.module.predicts_halves:
            patches = self.files[0].file["patches"]
            self.files[0].file.create_dataset("half_patches", patches.shape, patches.dtype)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, batch: Batch, *args: Any
    ) -> None:
        self._write(self.inference.module, outputs, batch)
        if outputs.half_patches is not None:
            end = self.written + len(outputs.frames)
            self.files[0].file["half_patches"][self.written : end] = outputs.half_patches.cpu().numpy()
            self.written = end

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finish(self.files[0].file, self.inference, time.perf_counter() - self.started)
        super().on_predict_end(trainer, pl_module)


class TileWriter(Callback):
    """Writes the tiles of a scan with all that stitching needs beside them: as much as the object, not the frames.

    Parameters
    ----------
    output : Path
        The HDF5 file.
    inference : Inference
        Positions, probe and provenance.
    also : iterable of str
        Other formats: none.
    """

    def __init__(self, output: Path, inference: "Inference", also: Iterable[str] = ()) -> None:
        self.inference, self.output = inference, output
        self.loader: TileLoader | None = None
        self.pending = ExitStack()
        self.frames: list[np.ndarray] = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()
        positions, size = self.inference.dataset.positions, self.inference.dataset.size
        members = (positions[np.concatenate([tile.frames, tile.context])] for tile in self.loader.tiles)
        pixels = sum(np.prod(np.ptp(places, axis=0) + size + BORDER) for places in members)
        room = int((1 + 2 * self.inference.module.predicts_halves) * pixels) * np.dtype(np.complex64).itemsize
        self.file = self.pending.enter_context(new_hdf5(self.output, room))
        self.file.create_group("tiles")

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: ObjectTile, batch: Batch, *args: Any
    ) -> None:
        write_tile(self.file["tiles"].create_group(f"{len(self.frames):06d}"), outputs)
        self.frames.append(outputs.frames.cpu().numpy())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.file["frames"] = np.concatenate([np.zeros(0, np.int64), *self.frames])
        finish(self.file, self.inference, time.perf_counter() - self.started)
        self.pending.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing half-written."""
        self.pending.__exit__(type(exception), exception, exception.__traceback__)


def finish(file: h5py.File, inference: "Inference", seconds: float) -> None:
    """Write what stitching needs beside patches or tiles, and what made them in so many seconds."""
    file["positions"] = inference.dataset.positions
    file["frames_asked"] = inference.frames_asked
    file["held_out"] = inference.held_out
    file["trained"] = inference.trained
    write_packed(file, "probe", inference.probe)
    file["object_shape"] = np.array(inference.dataset.object_shape)
    file["pixel_size"] = inference.dataset.pixel_size
    provenance = inference.provenance | {
        "device": device_name(inference.module.masks.device),
        "inference_seconds": seconds,
    }
    file.attrs.update(hdf5_attributes(provenance))
