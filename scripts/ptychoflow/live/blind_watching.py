"""A growing scan by the blind network: what is kept at its end, and the record of it."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ptychoflow.blind.pretrained import PLAIN, chosen_network
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.growing import GrowingScan
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.live.blind import BlindLiveReconstruction
from ptychoflow.live.following import Watch
from ptychoflow.provenance.record import now
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.values import plain

log = logging.getLogger(__name__)

SEED = 0
"""Of the frames held out, as reconstruct.py takes it if none is said."""


class BlindWatch(Watch):
    """By a network that solves for the probe as well.

    Parameters
    ----------
    checkpoint : Path, optional
        Of a blind network; the shipped one if not given.
    scan, output
        As in `Watch`.
    settings : BlindReconstructionSettings
        What is solved for; positions, their orientation and the light of each frame only by the reconstruction of the
        whole scan.
    final : {"whole", "running"}
        What is kept in the end.
    device : torch.device
        What to reconstruct on.

    Raises
    ------
    InputError
        Where the image as it stands is to be kept, and settings ask for what it does not solve for.
    """

    def __init__(
        self,
        checkpoint: Path | None,
        scan: GrowingScan,
        output: Path,
        settings: BlindReconstructionSettings,
        final: Literal["whole", "running"],
        device: torch.device,
    ) -> None:
        for name in ("orientation", "solve_positions", "solve_brightness", "uncertainty"):
            if final == "running" and getattr(settings, name):
                raise InputError(f"blind.{name} is true for an image that is kept as it stands: expected --final whole")
        self.checkpoint, self.settings = checkpoint, settings
        self.began = now()
        network, record = chosen_network(settings, checkpoint)
        self.probe_known = scan.probe_known
        guess = torch.from_numpy(scan.probe) if scan.probe_known else None
        mask = torch.from_numpy(scan.mask)
        live = BlindLiveReconstruction(network, settings, mask, guess, scan.object_shape, SEED, device)
        super().__init__(scan, output, live, {**record, "run_id": None})

    def probe(self) -> np.ndarray:
        if self.scan.probe is not None:
            return self.scan.probe
        self.live.begin()
        return self.live.probe.cpu().numpy()

    def whole(self) -> Reconstruction:
        from ptychoflow.blind.reconstruction import reconstruct

        dataset = self.dataset()
        return reconstruct(dataset, self.scan.path, self.settings, self.checkpoint, SEED, self.live.device)

    def running(self) -> Reconstruction:
        from ptychoflow.reconstruction.stitching import coverage_of

        dataset = self.dataset()
        self.live.begin()
        probe, shape = self.live.probe.cpu().numpy(), dataset.object_shape
        used = ~self.live.held_out
        reconstruction = Reconstruction(
            object=self.live.object.cpu().numpy(),
            coverage=coverage_of(probe, dataset.positions[used if used.any() else slice(None)], shape),
            # All frames made one object: its halves do not tell the resolution.
            halves=np.full((2, *shape), np.nan, np.complex64),
            probe=probe,
            positions=dataset.positions,
            held_out=self.live.held_out if used.any() else np.zeros_like(used),
            pixel_size=dataset.pixel_size,
            background=self.live.background,
        )
        reconstruction.provenance = self._provenance(reconstruction, dataset)
        return reconstruction

    def _provenance(self, reconstruction: Reconstruction, dataset: Dataset) -> dict[str, Any]:
        from ptychoflow.blind.doubts import defocus_metres, scan_doubts, start_doubts
        from ptychoflow.metrics.doubts import doubts, misfit_line
        from ptychoflow.provenance.record import circumstances
        from ptychoflow.reconstruction.scoring import own_scores
        from ptychoflow.running.hardware import device_name

        start, scores = self.live.start, own_scores(reconstruction, dataset)
        warnings = [*doubts(scores), *start_doubts(start, dataset), *scan_doubts(reconstruction)]
        log.info(misfit_line(scores))
        for sentence in warnings:
            log.warning(sentence)
        powers = np.square(np.abs(reconstruction.probe)).sum(axis=(-2, -1))
        return {
            "result": "reconstruction",
            "method": PRETRAINED if self.settings.learned else PLAIN,
            **self.record,
            "data_file": str(self.scan.path),
            "data_sha256": sha256_of(self.scan.path),
            "data": dataset.provenance,
            "geometry": dataset.geometry,
            "seed": SEED,
            "config": {"reconstruction": plain(self.settings)},
            "start": {
                "name": start.candidate.name,
                "defocus_metres": defocus_metres(start, dataset),
                "errors": dict(sorted(start.errors.items(), key=lambda pair: pair[1])),
            },
            "background": reconstruction.background,
            "probe_mode_shares": (powers / powers.sum()).tolist(),
            "held_out_deviance": scores["deviance"],
            "expected_deviance": scores["expected_deviance"],
            "explained_share": scores["explained_share"],
            "half_displacements": [[0.0, 0.0], [0.0, 0.0]],
            "warnings": warnings,
            "device": device_name(self.live.device),
            **circumstances(),
            "started": self.began,
            "finished": now(),
        }
