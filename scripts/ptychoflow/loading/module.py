"""The Lightning data module: datasets, split into training and validation groups on the device."""

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.loading.groups import draw_anchors, frames_in_region, nearest_frames, pieces_of_groups, split_frames
from ptychoflow.loading.loaders import GroupLoader
from ptychoflow.loading.tables import FrameTable, StoredTable
from ptychoflow.settings.training import TrainingSettings


class ScanDataModule(LightningDataModule):
    """Training and validation groups of one or more scans.

    Parameters
    ----------
    scans : list of Dataset
        Validated datasets.
    settings : TrainingSettings
        Region, number of frames, groups, batch size.
    seed : int
        Fixes the split and the order of the groups.
    """

    def __init__(self, scans: list[Dataset], settings: TrainingSettings, seed: int) -> None:
        super().__init__()
        self.scans = scans
        self.settings = settings
        self.seed = seed
        self.training: list[np.ndarray] = []
        self.validation: list[np.ndarray] = []
        for scan in scans:
            inside = frames_in_region(scan.positions, settings.region)
            everything = np.arange(len(scan.positions))
            training, validation = split_frames(everything, settings.validation_fraction, seed, inside)
            self.training.append(training)
            self.validation.append(validation)
        self.table: FrameTable | StoredTable | None = None

    @property
    def has_validation(self) -> bool:
        """Whether any frame is held out."""
        return any(len(frames) for frames in self.validation)

    def setup(self, stage: str | None = None) -> None:
        """Put all frames on the device of this process, once, or make them ready to be read where they are too many."""
        if self.table is None:
            device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            # Without truth everywhere, no patches are scored against it; supervised training then says what it misses.
            with_truth = self.settings.supervised or all(scan.truth is not None for scan in self.scans)
            self.table = FrameTable.of(self.scans, device, with_truth)

    def train_dataloader(self) -> GroupLoader:
        """Shuffled groups of the training frames."""
        return self._loader(self.training, shuffle=True)

    def val_dataloader(self) -> GroupLoader | list:
        """Groups of the held-out frames in fixed order; none where nothing is held out."""
        if not self.has_validation:
            return []
        return self._loader(self.validation, shuffle=False)

    def _loader(self, frames: list[np.ndarray], shuffle: bool) -> GroupLoader:
        groups, first = self.settings.groups, 0
        tables, pieces, count = [], [], 0
        for number, scan in enumerate(self.scans):
            anchors = draw_anchors(frames[number], self.settings.n_groups, self.seed)
            # Held-out frames lie far apart: their groups are completed by training frames.
            near = nearest_frames(scan.positions, anchors, self.training[number], groups)
            tables.append(first + near)
            if isinstance(self.table, StoredTable):
                # One piece is in use while the next is read.
                own = pieces_of_groups(scan.positions, near, self.settings.frames_in_memory // 2)
                pieces.append(torch.from_numpy(count + own))
                count += int(own.max()) + 1
            first += len(scan.frames)
        return GroupLoader(
            self.table,
            torch.from_numpy(np.concatenate(tables)),
            groups,
            self.settings.batch_size,
            self.seed,
            (lambda: self.trainer.current_epoch) if shuffle else None,
            self.trainer.global_rank,
            self.trainer.world_size,
            torch.cat(pieces) if pieces else None,
        )
