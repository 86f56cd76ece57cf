"""How inference writes its patches or tiles, batch by batch: a file that is whole at the end, or not there at all."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from lightning.pytorch import Callback, Trainer

from ptychoflow.dataset.hdf5 import new_hdf5
from ptychoflow.files import require_room
from ptychoflow.loading.loaders import GroupLoader, TileLoader
from ptychoflow.loading.tables import Batch
from ptychoflow.physics.tiles import ObjectTile
from ptychoflow.provenance.embedded import hdf5_attributes
from ptychoflow.reconstruction.pieces import write_tile
from ptychoflow.reconstruction.prediction_files import PredictionWriter
from ptychoflow.running.hardware import device_name
from ptychoflow.training.module import Prediction, Reconstructor

if TYPE_CHECKING:
    from ptychoflow.reconstruction.inference import Inference

BORDER = 32
"""Pixels by which a tile may be wider than the patches of its frames."""


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

    def on_predict_start(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        self.started = time.perf_counter()
        size, kinds = self.inference.dataset.size, 1 + pl_module.predicts_halves
        require_room(self.output, kinds * self.loader.groups_here * size**2 * np.dtype(np.complex64).itemsize)
        self._open(trainer, "predict", self.loader)
        self.written = 0
        if pl_module.predicts_halves:
            patches = self.files[0].file["patches"]
            self.files[0].file.create_dataset("half_patches", patches.shape, patches.dtype)

    def _write(self, module: Reconstructor, prediction: Prediction, batch: Batch) -> None:
        super()._write(module, prediction, batch)
        if prediction.half_patches is not None:
            end = self.written + len(prediction.frames)
            self.files[0].file["half_patches"][self.written : end] = prediction.half_patches.cpu().numpy()
            self.written = end

    def on_predict_end(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        finish(self.files[0].file, self.inference, pl_module, time.perf_counter() - self.started)
        super().on_predict_end(trainer, pl_module)


class TileWriter(Callback):
    """Writes the tiles of a scan with all that stitching needs beside them: as much as the object, not the frames.

    Parameters
    ----------
    output : Path
        The HDF5 file.
    inference : Inference
        Positions, probe and provenance.
    """

    def __init__(self, output: Path, inference: "Inference") -> None:
        self.inference, self.output = inference, output
        self.loader: TileLoader | None = None
        self.pending = ExitStack()
        self.frames: list[np.ndarray] = []

    def on_predict_start(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        self.started = time.perf_counter()
        positions, size = self.inference.dataset.positions, self.inference.dataset.size
        members = (positions[np.concatenate([tile.frames, tile.context])] for tile in self.loader.tiles)
        pixels = sum(np.prod(np.ptp(places, axis=0) + size + BORDER) for places in members)
        room = int((1 + 2 * pl_module.predicts_halves) * pixels) * np.dtype(np.complex64).itemsize
        self.file = self.pending.enter_context(new_hdf5(self.output, room))
        self.file.create_group("tiles")

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: Reconstructor, outputs: ObjectTile, batch: Batch, *args: Any
    ) -> None:
        write_tile(self.file["tiles"].create_group(f"{len(self.frames):06d}"), outputs)
        self.frames.append(outputs.frames.cpu().numpy())

    def on_predict_end(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        self.file["frames"] = np.concatenate([np.zeros(0, np.int64), *self.frames])
        finish(self.file, self.inference, pl_module, time.perf_counter() - self.started)
        self.pending.close()

    def on_exception(self, trainer: Trainer, pl_module: Reconstructor, exception: BaseException) -> None:
        """Leave nothing half-written."""
        self.pending.__exit__(type(exception), exception, exception.__traceback__)


def finish(file: h5py.File, inference: "Inference", module: Reconstructor, seconds: float) -> None:
    """Write what stitching needs beside patches or tiles, and what made them in so many seconds."""
    file["positions"] = inference.dataset.positions
    file["frames_asked"] = inference.frames_asked
    file["held_out"] = inference.held_out
    file["trained"] = inference.trained
    file["probe"] = inference.probe
    file["object_shape"] = np.array(inference.dataset.object_shape)
    file["pixel_size"] = inference.dataset.pixel_size
    provenance = inference.provenance | {"device": device_name(module.device), "inference_seconds": seconds}
    file.attrs.update(hdf5_attributes(provenance))
