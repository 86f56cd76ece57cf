"""From a checkpoint and a dataset to object patches, in memory or batch by batch into a file."""

import time
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.groups import nearest_frames
from ptychoflow.data.loading import FrameTable, GroupLoader
from ptychoflow.errors import InputError
from ptychoflow.files import replacing, sha256_of
from ptychoflow.provenance import repository_commit
from ptychoflow.reconstruction import Reconstruction
from ptychoflow.settings import GroupSettings
from ptychoflow.stitching import stitch
from ptychoflow.trainer import make_trainer
from ptychoflow.training.checkpoint import held_out_frames, load_checkpoint, restore
from ptychoflow.training.module import Reconstructor

SILENT = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}
"""Options of a Trainer that only predicts."""


class Inference:
    """A trained network made ready for the frames of one dataset.

    Parameters
    ----------
    checkpoint : Path
        A model.ckpt or any checkpoint of a run.
    dataset : Dataset
        Validated dataset.
    data : Path
        Its file, to be fingerprinted.
    probe : {"dataset", "checkpoint"}
        The dataset's own probe, or the one that training refined.
    n_groups : int, optional
        Frames to reconstruct, the first ones; all if not given.

    Raises
    ------
    InputError
        Where the checkpoint cannot be used or does not fit the dataset.
    """

    def __init__(
        self,
        checkpoint: Path,
        dataset: Dataset,
        data: Path,
        probe: Literal["dataset", "checkpoint"] = "dataset",
        n_groups: int | None = None,
    ) -> None:
        self.module = restore(load_checkpoint(checkpoint))
        trained = self.module.probe_pairs.shape[-2]
        if dataset.size != trained and self.module.network.mixes_frames:
            raise InputError(f"{data} has frames of {dataset.size} pixels: {checkpoint} was trained on {trained}")
        if n_groups is not None and not 1 <= n_groups <= len(dataset.frames):
            raise InputError(f"n_groups is {n_groups}: expected 1 to the {len(dataset.frames)} frames of {data}")
        mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
        if probe == "dataset":
            self.module.use_probes(torch.from_numpy(dataset.probe)[None], mask[None])
        elif len(self.module.masks) > 1 or trained != dataset.size:
            raise InputError(f"{checkpoint} has no single probe of {dataset.size} pixels: expected probe: dataset")
        self.dataset = dataset
        self.frames = len(dataset.frames) if n_groups is None else n_groups
        description, digest = self.module.description, sha256_of(data)
        self.held_out = held_out_frames(description, digest, len(dataset.frames))[: self.frames].numpy()
        self.origin: dict[str, str | int | float] = {
            "method": description["model"]["name"],
            "checkpoint_sha256": sha256_of(checkpoint),
            "data_sha256": digest,
            "fingerprint": description["fingerprint"],
            "seed": description["seed"],
            "commit": repository_commit(),
        }

    @property
    def probe(self) -> np.ndarray:
        """(modes, N, N) complex64 probe in use."""
        return self.module.probes[0].detach().cpu().numpy()

    @property
    def positions(self) -> np.ndarray:
        """(frames, 2) float64, pixels of the patch centres."""
        return self.dataset.positions[: self.frames]

    def loader(self, batch_size: int, device: torch.device) -> GroupLoader:
        """Batches of the frames in their order, grouped only where the network needs groups."""
        groups = self.module.training_settings.groups if self.module.network.mixes_frames else GroupSettings(size=1)
        anchors, all_frames = np.arange(self.frames), np.arange(len(self.dataset.frames))
        neighbours = nearest_frames(self.dataset.positions, anchors, all_frames, groups)
        table = FrameTable.of([self.dataset], device)
        return GroupLoader(table, torch.from_numpy(neighbours), groups, batch_size)

    def reconstruct(self, batch_size: int, phase_iterations: int = 0, accelerator: str = "auto") -> Reconstruction:
        """Predict and stitch in memory, on one device."""
        started = time.perf_counter()
        device = make_trainer(accelerator=accelerator, devices=1, **SILENT).strategy.root_device
        module = self.module.to(device)
        positions = torch.from_numpy(self.positions).to(device)
        with torch.inference_mode():
            patches = [module(batch)[:, 0] for batch in self.loader(batch_size, device)]
            inference_seconds = time.perf_counter() - started
            shape = self.dataset.object_shape
            stitched = stitch(lambda: patches, positions, module.probes[0], shape, phase_iterations)
            canvas, coverage, halves = (array.cpu().numpy() for array in stitched)
        return Reconstruction(
            object=canvas,
            coverage=coverage,
            halves=halves,
            probe=self.probe,
            positions=self.positions,
            held_out=self.held_out,
            pixel_size=self.dataset.pixel_size,
            origin=self.origin
            | {
                "inference_seconds": inference_seconds,
                "stitching_seconds": time.perf_counter() - started - inference_seconds,
            },
        )

    def write(self, output: Path, batch_size: int, accelerator: str = "auto") -> None:
        """Predict with Lightning and write patches.h5 batch by batch: whole at the end, or not at all."""
        with replacing(output) as temporary:
            writer = PatchWriter(temporary, self)
            trainer = make_trainer(accelerator=accelerator, devices=1, callbacks=[writer], **SILENT)
            loader = self.loader(batch_size, trainer.strategy.root_device)
            trainer.predict(self.module, loader, return_predictions=False)


class PatchWriter(BasePredictionWriter):
    """Writes the patches of each predicted batch into an HDF5 file, so that memory stays flat.

    Parameters
    ----------
    path : Path
        The file.
    inference : Inference
        Positions, probe and origin, which stand in the file beside the patches.
    """

    def __init__(self, path: Path, inference: Inference) -> None:
        super().__init__(write_interval="batch")
        self.path = path
        self.inference = inference

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        inference, size = self.inference, self.inference.dataset.size
        self.started = time.perf_counter()
        self.file = h5py.File(self.path, "w")
        self.file.create_dataset("patches", (inference.frames, size, size), np.complex64)
        self.file["positions"] = inference.positions
        self.file["held_out"] = inference.held_out
        self.file["probe"] = inference.probe
        self.file["object_shape"] = np.array(inference.dataset.object_shape)
        self.file["pixel_size"] = inference.dataset.pixel_size
        self.file.attrs.update(inference.origin)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: Reconstructor,
        prediction: tuple[Tensor, Tensor],
        batch_indices: list[int] | None,
        batch: object,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        frames, patches = prediction
        first = int(frames[0])
        self.file["patches"][first : first + len(frames)] = patches.cpu().numpy()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.file.attrs["inference_seconds"] = time.perf_counter() - self.started
        self.file.close()
