"""From a checkpoint and a dataset to object patches, in memory or batch by batch into a file."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Trainer

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.groups import nearest_frames
from ptychoflow.data.loading import FrameTable, GroupLoader
from ptychoflow.embedded_provenance import hdf5_attributes
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.parts import part_of
from ptychoflow.provenance import circumstances, now
from ptychoflow.reconstruction import Reconstruction
from ptychoflow.settings import GroupSettings
from ptychoflow.stitching import stitch
from ptychoflow.tracking.prediction_files import PredictionWriter
from ptychoflow.trainer import device_name, make_trainer
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
    part : str
        Which part of those frames, such as 2-of-8.

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
        part: str = "1-of-1",
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
        self.chosen = part_of(part, len(dataset.frames) if n_groups is None else n_groups)
        description, digest = self.module.description, sha256_of(data)
        self.held_out = held_out_frames(description, digest, len(dataset.frames))[self.chosen].numpy()
        training = description.get("provenance", {})
        self.provenance: dict[str, Any] = {
            "result": "patches",
            "method": description["model"]["name"],
            "run_id": training.get("run_id"),
            "checkpoint_file": str(checkpoint),
            "checkpoint_sha256": sha256_of(checkpoint),
            "data_file": str(data),
            "data_sha256": digest,
            "fingerprint": description["fingerprint"],
            "seed": description["seed"],
            "probe": probe,
            "training": training,
            "data": dataset.provenance,
            **circumstances(),
        }

    @property
    def probe(self) -> np.ndarray:
        """(modes, N, N) complex64 probe in use."""
        return self.module.probes[0].detach().cpu().numpy()

    @property
    def positions(self) -> np.ndarray:
        """(frames, 2) float64, pixels of the patch centres."""
        return self.dataset.positions[self.chosen]

    def loader(self, batch_size: int, device: torch.device, with_truth: bool = False) -> GroupLoader:
        """Batches of the frames in their order."""
        table = FrameTable.of([self.dataset], device, with_truth and self.dataset.truth is not None)
        anchors = np.arange(self.chosen.start, self.chosen.stop)
        return frame_loader(self.module, table, self.dataset.positions, anchors, batch_size)

    def reconstruct(self, batch_size: int, phase_iterations: int = 0, accelerator: str = "auto") -> Reconstruction:
        """Predict and stitch in memory, on one device."""
        started = time.perf_counter()
        device = make_trainer(accelerator=accelerator, devices=1, **SILENT).strategy.root_device
        module = self.module.to(device)
        positions = torch.from_numpy(self.positions).to(device)
        with torch.inference_mode():
            patches = [module.predict_step(batch, 0).patches for batch in self.loader(batch_size, device)]
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
            provenance=self.provenance
            | {
                "result": "reconstruction",
                "phase_iterations": phase_iterations,
                "device": device_name(device),
                "finished": now(),
                "inference_seconds": inference_seconds,
                "stitching_seconds": time.perf_counter() - started - inference_seconds,
            },
        )

    def write(self, output: Path, batch_size: int, accelerator: str = "auto", also: Iterable[str] = ()) -> None:
        """Predict with Lightning, batch by batch, into patches.h5: whole at the end, or not at all.

        Parameters
        ----------
        output : Path
            HDF5 file to write, named .h5.
        batch_size : int
            Frames at a time.
        accelerator : str
            What to run on, by Lightning's names.
        also : iterable of str
            More formats of `ptychoflow.tracking.prediction_files` to write beside it.

        Raises
        ------
        InputError
            Where the output is not named .h5.
        """
        if output.suffix != ".h5":
            raise InputError(f"output is {output}: expected a name that ends in .h5")
        writer = PatchWriter(output, self, also)
        trainer = make_trainer(accelerator=accelerator, devices=1, callbacks=[writer], **SILENT)
        loader = self.loader(batch_size, trainer.strategy.root_device)
        trainer.predict(self.module, loader, return_predictions=False)


def frame_loader(
    module: Reconstructor, table: FrameTable, positions: np.ndarray, frames: np.ndarray, batch_size: int
) -> GroupLoader:
    """Batches of chosen frames of a scan in their order, grouped only where the network needs groups.

    Parameters
    ----------
    module : Reconstructor
        The network.
    table : FrameTable
        All frames, those of the scan first.
    positions : ndarray
        (frames of the scan, 2) float64, pixels.
    frames : ndarray
        (chosen,) int64.
    batch_size : int
        Frames at a time.
    """
    groups = module.training_settings.groups if module.network.mixes_frames else GroupSettings(size=1)
    neighbours = nearest_frames(positions, frames, np.arange(len(positions)), groups)
    return GroupLoader(table, torch.from_numpy(neighbours), groups, batch_size)


class PatchWriter(PredictionWriter):
    """Writes patches.h5 with all that stitching needs beside the patches, and other formats on request.

    Parameters
    ----------
    output : Path
        The HDF5 file.
    inference : Inference
        Positions, probe and provenance.
    also : iterable of str
        Other formats, with the same name but for the suffix.
    """

    def __init__(self, output: Path, inference: Inference, also: Iterable[str]) -> None:
        super().__init__(lambda mode: output.with_suffix(""), dict.fromkeys(("hdf5", *also)))
        self.inference = inference

    def on_predict_start(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        self.started = time.perf_counter()
        super().on_predict_start(trainer, pl_module)

    def on_predict_end(self, trainer: Trainer, pl_module: Reconstructor) -> None:
        inference, file = self.inference, self.files[0].file
        file["positions"] = inference.positions
        file["first"] = inference.chosen.start
        file["held_out"] = inference.held_out
        file["probe"] = inference.probe
        file["object_shape"] = np.array(inference.dataset.object_shape)
        file["pixel_size"] = inference.dataset.pixel_size
        provenance = inference.provenance | {
            "device": device_name(pl_module.device),
            "inference_seconds": time.perf_counter() - self.started,
        }
        file.attrs.update(hdf5_attributes(provenance))
        super().on_predict_end(trainer, pl_module)
