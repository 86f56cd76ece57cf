"""The Lightning module that tunes the corrections of a blind network on scans themselves, and what it is given."""

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.loading.groups import split_frames
from ptychoflow.pretraining.corrections import CorrectionTraining
from ptychoflow.pretraining.moments import Moment, ObservedScan, Recorder
from ptychoflow.settings.blind import TuningSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings


class Tuning(CorrectionTraining):
    """Tuning of the corrections of a blind network: they are to explain frames that a reconstruction was not given.

    A correction of what is only noise explains no other frame (Batson and Royer, Noise2Self, arXiv:1901.11365); the
    gradient comes through the diffraction model, and no true object is needed.

    Parameters
    ----------
    network : Recorder
        Where it begins.
    settings : TuningSettings
        How it is tuned.
    seed : int
        Fixes what is drawn.
    """

    def __init__(self, network: Recorder, settings: TuningSettings, seed: int) -> None:
        super().__init__(network, settings, seed)
        self.network.requires_grad_(False)
        self.network.correction.requires_grad_(True)

    def transfer_batch_to_device(self, batch: list[Moment], device: torch.device, dataloader_idx: int) -> list[Moment]:
        """Leave moments where they were made: on the device, but for frames that are read from a file."""
        return batch

    def training_step(self, batch: list[Moment], batch_idx: int) -> Tensor:
        settings = self.settings
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.global_step) % 2**62)
        told = [one.deviances(self.network, settings.window, settings.frames_per_state, generator) for one in batch]
        before, after = (torch.stack(part) for part in zip(*told, strict=True))
        # Of each state what is left, so that none counts more for its brighter pixels.
        loss = (after / before.clamp_min(1e-6)).mean()
        self.log("train/loss/step", loss, on_step=True, on_epoch=False, batch_size=len(batch))
        values = {
            "train/loss/epoch": loss,
            "train/metrics/deviance_before/epoch": before.mean(),
            "train/metrics/deviance/epoch": after.mean(),
        }
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss


class TuningData(LightningDataModule):
    """Moments of reconstructions of scans, from other frames in each epoch.

    Parameters
    ----------
    scans : list of Dataset
        Validated datasets.
    reconstruction : BlindReconstructionSettings
        How they are reconstructed.
    settings : TuningSettings
        How the network is tuned.
    seed : int
        Fixes what is drawn.
    """

    def __init__(
        self,
        scans: list[Dataset],
        reconstruction: BlindReconstructionSettings,
        settings: TuningSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.settings, self.seed = settings, seed
        self.kept = [kept_frames(scan, settings, seed) for scan in scans]
        self.scans = [
            ObservedScan(scan, kept, reconstruction, settings.targets)
            for scan, kept in zip(scans, self.kept, strict=True)
        ]
        self.collected: tuple[int, list[Moment]] | None = None

    def train_dataloader(self) -> DataLoader:
        """Moments of the epoch, made once however often they are asked for."""
        module = self.trainer.lightning_module
        epoch = int(module.epochs_done)
        if self.collected is None or self.collected[0] != epoch:
            seed, network = self.seed * 1_000_003 + epoch + 1, module.network
            scans = self._turn(epoch)
            moments = [moment for scan in scans for moment in scan.moments(network, seed, module.device)]
            self.collected = epoch, moments
        moments, settings = self.collected[1], self.settings
        order = torch.Generator().manual_seed(self.seed + epoch)
        count = settings.steps_per_epoch * settings.batch_size
        sampler = RandomSampler(moments, replacement=True, num_samples=count, generator=order)
        return DataLoader(moments, batch_size=settings.batch_size, sampler=sampler, collate_fn=list)

    def _turn(self, epoch: int) -> list[ObservedScan]:
        """Scans whose turn it is in an epoch."""
        count = len(self.scans)
        some = min(count, self.settings.scans_per_epoch or count)
        order = np.random.default_rng(self.seed).permutation(count)
        return [self.scans[order[(epoch * some + number) % count]] for number in range(some)]


def kept_frames(scan: Dataset, settings: TuningSettings, seed: int) -> np.ndarray:
    """Frames (kept,) int64, rising, of a scan that a tuning may see."""
    return split_frames(np.arange(len(scan.frames)), settings.held_out, seed)[0]
