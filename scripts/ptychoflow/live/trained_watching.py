"""A growing scan by a network that was trained for its own probe."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ptychoflow.dataset.growing import GrowingScan
from ptychoflow.live.following import Watch
from ptychoflow.live.network import LiveReconstruction
from ptychoflow.models.trained import load_trained
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.settings.inference import InferenceSettings


class TrainedWatch(Watch):
    """By a network that was trained for its own probe.

    Parameters
    ----------
    checkpoint : Path
        model.ckpt of a training.
    scan, output
        As in `Watch`.
    which : {"dataset", "checkpoint"}
        The scan's own probe, or the one that training refined.
    device : torch.device
        What to reconstruct on.
    """

    def __init__(
        self,
        checkpoint: Path,
        scan: GrowingScan,
        output: Path,
        which: Literal["dataset", "checkpoint"],
        device: torch.device,
    ) -> None:
        own = None if scan.probe is None else torch.from_numpy(scan.probe)
        self.checkpoint, self.which = checkpoint, which
        self.network = load_trained(checkpoint, which, own, torch.from_numpy(scan.mask), device, scan.path)
        run_id = self.network.description.get("provenance", {}).get("run_id")
        description = self.network.description
        share = description["training"]["validation_fraction"]
        live = LiveReconstruction(self.network, scan.object_shape, share, description["seed"])
        super().__init__(scan, output, live, {"checkpoint_file": str(checkpoint), "run_id": run_id})

    def probe(self) -> np.ndarray:
        return self.network.probe.cpu().numpy() if self.scan.probe is None else self.scan.probe

    def whole(self) -> Reconstruction:
        from ptychoflow.reconstruction.inference import Inference

        inference = Inference(self.checkpoint, self.dataset(), self.scan.path, self.which)
        return inference.reconstruct(InferenceSettings.batch_size, accelerator=self.live.device.type)

    def running(self) -> Reconstruction:
        from ptychoflow.reconstruction.inference import Inference

        inference = Inference(self.checkpoint, self.dataset(), self.scan.path, self.which)
        sums = self.live.shown
        return Reconstruction(
            object=sums.object.cpu().numpy(),
            coverage=sums.coverage.cpu().numpy(),
            halves=sums.halves.cpu().numpy(),
            probe=self.network.probe.cpu().numpy(),
            positions=inference.dataset.positions,
            # None that it was trained on can judge, though it was left out.
            held_out=self.live.held_out & ~inference.trained,
            trained=inference.trained & ~self.live.held_out,
            pixel_size=inference.dataset.pixel_size,
            provenance=inference.provenance | {"result": "reconstruction"},
        )
