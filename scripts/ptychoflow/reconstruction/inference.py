"""From a checkpoint and a dataset to an image in memory, or to patches or tiles of it in a file."""

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.flux import probe_by_photons
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.loading.groups import nearest_frames, split_frames
from ptychoflow.loading.loaders import GroupLoader, TileLoader
from ptychoflow.loading.tables import FrameTable, StoredTable
from ptychoflow.loading.tiles import MARGIN, Tile, make_tiles
from ptychoflow.models.trained import load_checkpoint, require_fit
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.tiles import ObjectTile
from ptychoflow.provenance.record import circumstances, now
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.parts import part_of
from ptychoflow.reconstruction.stitching import Portion, stitch
from ptychoflow.running.hardware import chosen_device, device_name
from ptychoflow.settings.inference import InferenceSettings, phase_rounds
from ptychoflow.settings.training import GroupSettings
from ptychoflow.training.checkpoint import restore, trained_frames
from ptychoflow.training.scan_network import ScanNetwork

log = logging.getLogger(__name__)


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
    tile_frames : int
        Frames that are reconstructed together, where the network joins frames.
    single_shot : bool
        Reconstruct every frame by itself all the same.
    held_out : float, optional
        Share of the frames that are left out of the image and judge it; that of the training if not given.
    kind : type
        What the network is to be, such as the module that Lightning tests.

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
        tile_frames: int = InferenceSettings.tile_frames,
        single_shot: bool = False,
        held_out: float | None = None,
        kind: type[ScanNetwork] = ScanNetwork,
    ) -> None:
        self.module = restore(load_checkpoint(checkpoint), kind)
        scans, trained = len(self.module.masks), self.module.probe_pairs.shape[-2]
        require_fit(checkpoint, self.module.network, scans, trained, probe, dataset.size, data)
        if n_groups is not None and not 1 <= n_groups <= len(dataset.frames):
            raise InputError(f"n_groups is {n_groups}: expected 1 to the {len(dataset.frames)} frames of {data}")
        self.module.propagator = Propagator(dataset.size, dataset.fresnel_number)
        self.dataset = dataset
        self.frames_asked = len(dataset.frames) if n_groups is None else n_groups
        self.part, self.tile_frames = part, tile_frames
        # Frames that share one object know of each other: where halves must tell the resolution, they are made apart.
        self.joins_frames = self.module.predicts_tiles = self.module.network.joins_frames and not single_shot
        self.module.predicts_halves = self.joins_frames and dataset.truth is None
        description, digest = self.module.description, sha256_of(data)
        self.trained = trained_frames(description, digest, dataset.provenance, len(dataset.frames)).numpy()
        share = description["training"]["validation_fraction"] if held_out is None else held_out
        self.held_out = judging_frames(self.trained, share, description["seed"], self.frames_asked)
        if probe == "dataset":
            mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
            own = dataset.probe
            if self.module.training_settings.learn_flux:
                own = probe_by_photons(dataset, np.flatnonzero(~self.held_out))
            self.module.use_probes(torch.from_numpy(own)[None], mask[None])
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
            "single_shot": single_shot,
            "training": training,
            "data": dataset.provenance,
            "geometry": dataset.geometry,
            **circumstances(),
        }

    @property
    def probe(self) -> np.ndarray:
        """(modes, N, N) complex64 probe in use."""
        return self.module.probes[0].detach().cpu().numpy()

    def loader(self, batch_size: int, device: torch.device, with_truth: bool = False) -> GroupLoader | TileLoader:
        """Batches of the frames of the part, but for those that are held out."""
        table = FrameTable.of([self.dataset], device, with_truth and self.dataset.truth is not None)
        given = np.flatnonzero(~self.held_out)
        used = given[given < self.frames_asked]
        if self.joins_frames:
            tiles = tiles_of(self.dataset.positions, used, self.tile_frames, self.dataset.size)
            return TileLoader(table, tiles[part_of(self.part, len(tiles))])
        chosen = used[part_of(self.part, len(used))]
        return frame_loader(self.module, table, self.dataset.positions, chosen, given, batch_size)

    def reconstruct(
        self, batch_size: int, phase_iterations: int | None = None, accelerator: str = "auto"
    ) -> Reconstruction:
        """Predict and stitch in memory, on one device; by default with as many rounds of phases as the pieces need."""
        if phase_iterations is None:
            phase_iterations = phase_rounds(self.joins_frames)
        started = time.perf_counter()
        device = chosen_device(accelerator)
        module = self.module.to(device)
        positions = torch.from_numpy(self.dataset.positions).to(device)
        module.cuts_patches = False
        with torch.inference_mode():
            loader = self.loader(batch_size, device)

            def predicted() -> Iterator[Portion | ObjectTile]:
                for batch in loader:
                    piece = module.predict(batch)
                    yield piece if isinstance(piece, ObjectTile) else Portion(*piece)

            # Patches of a scan that is larger than memory are larger still: those are predicted anew in each round.
            stays = self.joins_frames or not isinstance(loader.table, StoredTable)
            portions = list(predicted()) if stays else None
            inference_seconds = time.perf_counter() - started
            source = predicted if portions is None else lambda: portions
            stitched = stitch(source, positions, module.probes[0], self.dataset.object_shape, phase_iterations)
            canvas, coverage, halves = (array.cpu().numpy() for array in stitched)
        return Reconstruction(
            object=canvas,
            coverage=coverage,
            halves=halves,
            probe=self.probe,
            positions=self.dataset.positions[: self.frames_asked],
            held_out=self.held_out[: self.frames_asked],
            trained=self.trained[: self.frames_asked],
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
        """Predict with Lightning, batch by batch, into a file: whole at the end, or not at all.

        A network that joins frames leaves the object of each tile, and patches only where other formats are asked for.

        Parameters
        ----------
        output : Path
            HDF5 file to write, named .h5.
        batch_size : int
            Frames at a time.
        accelerator : str
            What to run on, by Lightning's names.
        also : iterable of str
            More formats of patches, see `ptychoflow.reconstruction.prediction_files`, to write beside it; "hdf5" is the
            file itself.

        Raises
        ------
        InputError
            Where the output is not named .h5.
        """
        if output.suffix != ".h5":
            raise InputError(f"output is {output}: expected a name that ends in .h5")
        # Lightning takes longer to load than a scan takes.
        from ptychoflow.reconstruction.piece_writing import write_pieces

        write_pieces(self, output, batch_size, accelerator, tuple(also))


def judging_frames(trained: np.ndarray, share: float, seed: int, asked: int) -> np.ndarray:
    """Draw the frames that are left out of an image and judge it, (frames,) bool.

    Parameters
    ----------
    trained : ndarray
        (frames,) bool, those that the network was trained on, which cannot judge.
    share : float
        Share of all frames that is left out; none are of one frame.
    seed : int
        Of the training: with its share, the frames that it held out are drawn.
    asked : int
        Frames that are reconstructed at all, the first ones.
    """
    frames = len(trained)
    _, drawn = split_frames(np.arange(frames), share if frames > 1 else 0.0, seed)
    judges = drawn[~trained[drawn]]
    if len(judges) < len(drawn):
        log.warning(
            "%d of the %d frames that are to be held out were trained on, and are used: expected held_out to be at "
            "most the validation_fraction of the training, or another seed's network",
            len(drawn) - len(judges),
            len(drawn),
        )
    inside = judges[judges < asked]
    return np.isin(np.arange(frames), inside if len(inside) < asked else inside[:0])


def scan_loader(
    module: ScanNetwork, table: FrameTable | StoredTable, positions: np.ndarray, frames: np.ndarray, tile_frames: int
) -> GroupLoader | TileLoader:
    """Batches of chosen frames of a scan: tiles where the network joins frames, else one by one or in its groups.

    Parameters
    ----------
    module : ScanNetwork
        The network.
    table : FrameTable
        All frames, those of the scan first.
    positions : ndarray
        (frames of the scan, 2) float64, pixels.
    frames : ndarray
        (chosen,) int64.
    tile_frames : int
        Frames of a tile.
    """
    if not module.network.joins_frames:
        everything = np.arange(len(positions))
        return frame_loader(module, table, positions, frames, everything, module.training_settings.batch_size)
    return TileLoader(table, tiles_of(positions, frames, tile_frames, table.size))


def tiles_of(positions: np.ndarray, frames: np.ndarray, most: int, size: int) -> list[Tile]:
    """Cut chosen frames (chosen,) int64 of a scan, `size` pixels wide each, into tiles of at most so many."""
    tiles = make_tiles(positions[frames], most, MARGIN * size)
    return [Tile(frames[tile.frames], frames[tile.context]) for tile in tiles]


def frame_loader(
    module: ScanNetwork,
    table: FrameTable | StoredTable,
    positions: np.ndarray,
    frames: np.ndarray,
    candidates: np.ndarray,
    batch_size: int,
) -> GroupLoader:
    """Batches of chosen frames of a scan in their order, grouped where the network takes groups of a fixed size.

    Groups are completed by candidates, (candidates,) int64; other parameters are those of `scan_loader`.
    """
    groups = GroupSettings(size=1) if module.network.joins_frames else module.training_settings.groups
    neighbours = nearest_frames(positions, frames, candidates, groups)
    pieces = torch.arange(len(frames)) // InferenceSettings.tile_frames
    return GroupLoader(table, torch.from_numpy(neighbours), groups, batch_size, pieces=pieces)
