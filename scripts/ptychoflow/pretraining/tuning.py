"""The tuning of a blind network on scans themselves: which frames of which files it learns from, and where it began."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule

from ptychoflow.blind.pretrained import load_blind, weights_file
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.pretraining.blind_run import BlindRun
from ptychoflow.pretraining.moments import Recorder
from ptychoflow.pretraining.tuning_module import Tuning, TuningData, kept_frames
from ptychoflow.settings.blind import PRETRAINED, BlindSettings, TuningSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import FRAMES_IN_MEMORY
from ptychoflow.settings.values import plain

FEWEST_TARGETS = 4
"""Frames of a scan that must be there to be explained, beside those that a reconstruction is given."""


@dataclass(kw_only=True)
class TuningRun(BlindRun):
    """A tuning on scans; folders, seed and tracking are those of `BlindRun`.

    Parameters
    ----------
    data : list of Path
        Datasets of the scans.
    settings : TuningSettings
        How it is tuned.
    reconstruction : BlindReconstructionSettings
        How the scans are reconstructed on the way.
    init_from : Path, optional
        Checkpoint of the blind network that it begins with; the shipped one if not given.

    Raises
    ------
    InputError
        Where the checkpoint is of another kind of network, or a scan has too few frames.
    """

    data: list[Path]
    settings: TuningSettings
    reconstruction: BlindReconstructionSettings
    init_from: Path | None = None

    def __post_init__(self) -> None:
        self.initial, self.parent = load_blind(self.init_from)
        self.weights = sha256_of(weights_file(self.init_from))
        self.sums = [sha256_of(path) for path in self.data]
        self.scans = [self._read(path) for path in self.data]

    def _read(self, path: Path) -> Dataset:
        scan = read_dataset(path, frames_in_memory=FRAMES_IN_MEMORY // len(self.data))
        if self.settings.targets * len(scan.frames) < FEWEST_TARGETS:
            raise InputError(
                f"{path} has {len(scan.frames)} frames, of which tuning.targets leaves a share of "
                f"{self.settings.targets:g} to be explained: expected at least {FEWEST_TARGETS} such frames"
            )
        return scan

    @property
    def stage(self) -> str:
        return "finetune"

    @property
    def network(self) -> BlindSettings:
        return BlindSettings(**self.parent["model"])

    def parts(self) -> tuple[LightningModule, LightningDataModule]:
        network = Recorder(self.network)
        network.load_state_dict(self.initial.state_dict())
        # One round without smoothing: what a correction has to do is what is left of the noise.
        alone = {"smoothing": False, "learned": True, "most_iterations": self.reconstruction.iterations}
        settings = replace(self.reconstruction, **alone)
        return Tuning(network, self.settings, self.seed), TuningData(self.scans, settings, self.settings, self.seed)

    def resolved(self) -> dict[str, Any]:
        return {
            "train_data_file": [str(path) for path in self.data],
            "init_from": PRETRAINED if self.init_from is None else str(self.init_from),
            "seed": self.seed,
            "tuning": plain(self.settings),
            "blind": plain(self.reconstruction),
            **plain(self.tracking),
        }

    def digest(self) -> str:
        parts = [self.sums, self.weights, self.decisive(), plain(self.reconstruction), self.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def origin(self) -> dict[str, Any]:
        frames = [kept_frames(scan, self.settings, self.seed).tolist() for scan in self.scans]
        return {
            "scans": [
                {"file": path.name, "sha256": digest, "frames": seen, "made_by": scan.provenance}
                for path, digest, seen, scan in zip(self.data, self.sums, frames, self.scans, strict=True)
            ],
            "parent": {"checkpoint_sha256": self.weights, "fingerprint": self.parent.get("fingerprint")},
        }
