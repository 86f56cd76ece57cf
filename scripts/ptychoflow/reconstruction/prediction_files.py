"""Predictions into files and tables, batch by batch: memory stays flat however many frames there are.

A Lightning callback hands each batch of validation, test or prediction to one or more files, which are whole at the
end or not there at all.
"""

import csv
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from ptychoflow.errors import InputError
from ptychoflow.files import replacing, replacing_folder
from ptychoflow.loading.tables import Batch
from ptychoflow.physics.losses import poisson_deviance
from ptychoflow.running.extensions import class_of
from ptychoflow.training.scan_network import Prediction, ScanNetwork


class PredictionFile(Protocol):
    """One file that takes predictions batch by batch."""

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        """Take frame numbers (batch,), patches (batch, N, N) complex64, and columns (batch,) of the frames' table."""

    def close(self) -> None:
        """Finish the file."""


class HDF5File:
    """``patches`` (frames, N, N) complex64 and ``frames``, in the order of prediction."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.file = h5py.File(path, "w")
        self.file.create_dataset("patches", (count, size, size), np.complex64)
        self.file.create_dataset("frames", (count,), np.int64)
        self.done = 0

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        end = self.done + len(frames)
        self.file["patches"][self.done : end] = patches
        self.file["frames"][self.done : end] = frames
        self.done = end

    def close(self) -> None:
        self.file.close()


class NPYFile:
    """(frames, N, N) complex64, in the order of prediction."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.stream = open(path, "wb")  # noqa: SIM115, closed by close
        header = {"descr": np.dtype(np.complex64).str, "fortran_order": False, "shape": (count, size, size)}
        np.lib.format.write_array_header_1_0(self.stream, header)

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        self.stream.write(np.ascontiguousarray(patches, np.complex64).data)

    def close(self) -> None:
        self.stream.close()


class TIFFFile:
    """Two pages of 32 bits for each frame: amplitude, and phase in radians."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        import tifffile

        self.writer = tifffile.TiffWriter(path, bigtiff=True)

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        pages = np.stack([np.abs(patches), np.angle(patches)], axis=1).astype(np.float32)
        for page in pages.reshape(-1, *patches.shape[1:]):
            self.writer.write(page, contiguous=True)

    def close(self) -> None:
        self.writer.close()


class PNGFolder:
    """A folder of frame_000000_amplitude.png, black at 0 and white at 1.2, and _phase.png, from −π to π."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.folder = path

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        parts = {"amplitude": np.abs(patches) / 1.2, "phase": np.angle(patches) / (2 * np.pi) + 0.5}
        for name, images in parts.items():
            for frame, image in zip(frames, images, strict=True):
                grey = np.rint(255 * image.clip(0, 1)).astype(np.uint8)
                Image.fromarray(grey).save(self.folder / f"frame_{frame:06d}_{name}.png")

    def close(self) -> None:
        """Nothing: each picture is a file of its own."""


class CSVTable:
    """A row for each frame."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.stream = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115, closed by close
        self.writer: csv.DictWriter | None = None

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        columns = {"frame": frames, **table}
        if self.writer is None:
            self.writer = csv.DictWriter(self.stream, list(columns))
            self.writer.writeheader()
        for values in zip(*(column.tolist() for column in columns.values()), strict=True):
            self.writer.writerow(dict(zip(columns, values, strict=True)))

    def close(self) -> None:
        self.stream.close()


class ParquetTable:
    """The same rows, a row group for each batch."""

    def __init__(self, path: Path, count: int, size: int) -> None:
        self.path = path
        self.writer: Any = None

    def write(self, frames: np.ndarray, patches: np.ndarray, table: dict[str, np.ndarray]) -> None:
        import pyarrow
        import pyarrow.parquet

        rows = pyarrow.table({"frame": frames, **table})
        if self.writer is None:
            self.writer = pyarrow.parquet.ParquetWriter(self.path, rows.schema)
        self.writer.write_table(rows)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


FORMATS: dict[str, tuple[str, Callable[[Path, int, int], PredictionFile]]] = {
    "hdf5": (".h5", HDF5File),
    "npy": (".npy", NPYFile),
    "png": ("_png", PNGFolder),
    "tiff": (".tif", TIFFFile),
    "csv": (".csv", CSVTable),
    "parquet": (".parquet", ParquetTable),
}
"""Formats by name: what is added to the file's stem, and what writes it."""
TABLES = {"csv", "parquet"}


def _format(name: str | dict[str, Any]) -> tuple[str, Callable[..., PredictionFile], dict[str, Any]]:
    """Suffix, class and further arguments of a format; one's own class has its ``suffix`` itself, a folder's no dot."""
    if isinstance(name, str):
        return *FORMATS[name], {}
    kind = class_of(name, "format of predictions")
    if not all(hasattr(kind, part) for part in ("suffix", "write", "close")):
        raise InputError(f"format of predictions {name['class_path']} lacks suffix, write or close: expected all three")
    return kind.suffix, kind, name.get("init_args", {})


class PredictionWriter(Callback):
    """Writes the predictions of validation, test or prediction into files beside each other.

    Parameters
    ----------
    stem : callable
        Gives the files' common path without suffix for a mode, ``val``, ``test`` or ``predict``.
    formats : iterable
        Names of `FORMATS`, or classes of one's own as {class_path: ..., init_args: {...}}.

    Raises
    ------
    InputError
        Where a class of one's own is no format.
    """

    def __init__(self, stem: Callable[[str], Path], formats: Iterable[str | dict[str, Any]]) -> None:
        self.stem = stem
        self.formats = tuple(formats)
        for name in self.formats:
            _format(name)
        self.files: list[PredictionFile] = []
        self.pending = ExitStack()

    def _open(self, trainer: Trainer, mode: str, loader: Any) -> None:
        # Under distributed training each process writes its own share.
        stem = self.stem(mode)
        if trainer.world_size > 1:
            stem = stem.with_name(f"{stem.name}_rank{trainer.global_rank}")
        for name in self.formats:
            suffix, kind, arguments = _format(name)
            target = stem.with_name(stem.name + suffix)
            folder = "." not in suffix
            place = self.pending.enter_context(replacing_folder(target) if folder else replacing(target))
            self.files.append(kind(place, loader.groups_here, loader.table.size, **arguments))

    def _write(self, module: ScanNetwork, prediction: Prediction, batch: Batch) -> None:
        own = any(isinstance(name, dict) or name in TABLES for name in self.formats)
        table = frame_table(module, prediction, batch) if own else {}
        frames, patches = prediction.frames.cpu().numpy(), prediction.patches.cpu().numpy()
        for file in self.files:
            file.write(frames, patches, table)

    def _finish(self) -> None:
        for file in self.files:
            file.close()
        self.files = []
        self.pending.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing half-written."""
        for file in self.files:
            file.close()
        self.files = []
        self.pending.__exit__(type(exception), exception, exception.__traceback__)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(trainer, "val", trainer.val_dataloaders)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, batch: Batch, *args: Any
    ) -> None:
        self._write(pl_module, outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(trainer, "test", trainer.test_dataloaders)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, batch: Batch, *args: Any
    ) -> None:
        self._write(pl_module, outputs, batch)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open(trainer, "predict", trainer.predict_dataloaders)

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, batch: Batch, *args: Any
    ) -> None:
        self._write(pl_module, outputs, batch)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()


def frame_table(module: ScanNetwork, prediction: Prediction, batch: Batch) -> dict[str, np.ndarray]:
    """Columns (wanted,) of a table: scan, position in pixels, deviance, mean amplitude and phase where light falls.

    The deviance is the Poisson deviance per good pixel of the frame under its own patch, without its neighbours.
    """
    batch = batch.alone()
    with torch.no_grad(), torch.autocast(prediction.patches.device.type, enabled=False):
        patches = prediction.patches
        intensity = module.intensity(patches[:, None], batch)[:, 0]
        counts, masks = batch.amplitudes[:, 0].square(), module.masks[batch.scan]
        deviance = torch.vmap(poisson_deviance)(intensity, counts, masks)
        weight = module.illumination(batch)
        mean = (patches * weight).sum(dim=(-2, -1)) / weight.sum(dim=(-2, -1))
        amplitude = (patches.abs() * weight).sum(dim=(-2, -1)) / weight.sum(dim=(-2, -1))
    columns: dict[str, Tensor] = {
        "scan": batch.scan,
        "row": batch.positions[:, 0, 0],
        "column": batch.positions[:, 0, 1],
        "deviance": deviance,
        "amplitude": amplitude,
        "phase": mean.angle(),
    }
    return {name: column.cpu().numpy() for name, column in columns.items()}
