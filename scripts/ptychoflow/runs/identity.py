"""What makes a training this one and no other: what it learns from, its fingerprint, and the record of both."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.files import sha256_of
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.provenance.record import circumstances
from ptychoflow.running.extensions import digests
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import plain


@dataclass(frozen=True)
class Identity:
    """All that decides what comes out of a training.

    Parameters
    ----------
    model : ModelSettings
        The network.
    settled : TrainingSettings
        What this machine made of the settings: they belong to a run, which would end with other weights on another
        kind of processor.
    sources : list of dict
        Of each dataset its file, sha256, training frames and what made it, see `sources_of`.
    seed : int
        Of weights, split and order.
    code : str
        Digest of the code that trains.
    parent : dict or None
        The checkpoint that it starts from, see `parent_of`.
    callbacks : list
        Those of one's own, which may change the course of the training.
    """

    model: ModelSettings
    settled: TrainingSettings
    sources: list[dict[str, Any]]
    seed: int
    code: str
    parent: dict[str, Any] | None
    callbacks: list[Any]

    def fingerprint(self, max_epochs: int) -> str:
        """Digest of all that decides what comes out, were it a training of this many epochs."""
        frames = [{key: source[key] for key in ("file", "sha256", "frames")} for source in self.sources]
        settings = plain(self.settled) | {"max_epochs": max_epochs}
        parts = [plain(self.model), settings, frames, self.seed, self.code, self.parent]
        if self.callbacks:
            parts += [self.callbacks, digests({"callback": self.callbacks})]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def provenance(self, config: dict[str, Any], tracking: TrackingSettings) -> dict[str, Any]:
        """The record that goes into the checkpoint, as far as it is known before the training.

        Parameters
        ----------
        config : dict
            Everything the run was told.
        tracking : TrackingSettings
            Whose loggers, metrics and formats may be code of one's own.
        """
        return {
            "result": "model",
            "run_id": None,
            "stage": "finetune" if self.parent else "train",
            "parent": self.parent,
            "seed": self.seed,
            "config": config,
            "precision": self.settled.precision,
            "data": [{**source, "frames": len(source["frames"])} for source in self.sources],
            "device": None,
            "extensions": digests(own_classes(tracking)),
            **circumstances(),
        }


def sources_of(paths: list[Path], scans: list[Dataset], training: list[np.ndarray]) -> list[dict[str, Any]]:
    """Of each dataset that a training learns from its file, sha256, training frames (frames,) int, and what made it."""
    return [
        {"file": path.name, "sha256": sha256_of(path), "frames": frames.tolist(), "made_by": scan.provenance}
        for path, frames, scan in zip(paths, training, scans, strict=True)
    ]


def parent_of(checkpoint: Path) -> dict[str, Any]:
    """The model.ckpt that a network starts from: its sha256, and the run that made it."""
    origin = load_checkpoint(checkpoint)["ptychoflow"].get("provenance", {})
    return {"checkpoint_sha256": sha256_of(checkpoint), "run_id": origin.get("run_id")}


def own_classes(tracking: TrackingSettings) -> dict[str, list[Any]]:
    """What may be named by class path, by what it is for."""
    return {
        "logger": tracking.logger,
        "callback": tracking.callbacks,
        "metric": list(tracking.metrics.values()),
        "format of predictions": tracking.write_predictions,
    }
