"""The Lightning module that trains blind iterations: scans are reconstructed, and each iteration is a training step."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ptychoflow.blind.likeness import relative_error
from ptychoflow.blind.training_scans import TrainingScan
from ptychoflow.models.blind import Blind, BlindState, ScanFrames, subsets
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import modelled_frames
from ptychoflow.settings import BlindSettings, PretrainingSettings

LOST = 0.8
"""Relative error of an object beyond which there is nothing that a correction could mend."""
LEAST_OBJECT_ERROR, LEAST_PHOTON_ERROR = 1e-4, 1e-6
"""Errors below which an improvement counts no more."""
PARTS = ("object", "photons")


class BlindTraining(LightningModule):
    """Training of a blind network.

    Each iteration of a reconstruction is one step: it starts from where the last one ended, without the way there, so
    that memory does not grow with the iterations, and all stages of a reconstruction are trained alike.

    Parameters
    ----------
    model : BlindSettings
        The network.
    settings : PretrainingSettings
        How to train it.
    seed : int
        Fixes what is drawn beside the scans.
    """

    def __init__(self, model: BlindSettings, settings: PretrainingSettings, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = Blind(model)
        self.settings, self.seed = settings, seed
        self.description: dict[str, Any] = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what made this network into the checkpoint, so that it can be rebuilt from that file alone."""
        checkpoint["ptychoflow"] = self.description

    def training_step(self, batch: TrainingScan, batch_idx: int) -> None:
        generator = self._generator(self.current_epoch, batch_idx)
        fewest, most = self.settings.iterations
        iterations = int(torch.randint(fewest, most + 1, (), generator=generator))
        modes = int(torch.randint(1, self.settings.probe_modes + 1, (), generator=generator))
        frames, state, judges, fitted = self._begin(batch, modes, generator)
        optimizer = self.optimizers()
        totals: dict[str, Tensor] = {}
        for number in range(iterations):
            progress = number / iterations
            self._set_rate(optimizer, batch_idx + progress)
            plain = self.network.iterate(state, frames, subsets(fitted, progress, generator), progress)
            state = self.network.corrected(plain, self.network.learned_change(plain, frames, progress))
            parts = self._parts(state, batch, frames, judges)
            # The plain step is judged as well: its rates shall be good without the correction, too.
            loss = sum(parts.values()) + 0.5 * sum(self._parts(plain, batch, frames, judges).values())
            optimizer.zero_grad()
            self.manual_backward(loss)
            self.clip_gradients(optimizer, self.settings.gradient_clip, "norm")
            optimizer.step()
            state = state.detached()
            for name, part in parts.items():
                totals[name] = totals.get(name, 0) + part.detach() / iterations
        self.log("train/loss/step", sum(totals.values()), on_step=True, on_epoch=False)
        self._log("train", totals, len(batch.scale))

    def validation_step(self, batch: TrainingScan, batch_idx: int) -> None:
        iterations = self.settings.iterations[1]
        for name, learned in (("learned", True), ("plain", False)):
            generator = self._generator(2**20, batch_idx)
            frames, state, judges, fitted = self._begin(batch, min(2, self.settings.probe_modes), generator)
            for number in range(iterations):
                progress = number / iterations
                state = self.network.iterate(state, frames, subsets(fitted, progress, generator), progress)
                if learned:
                    state = self.network.corrected(state, self.network.learned_change(state, frames, progress))
            parts = self._parts(state, batch, frames, judges)
            if learned:
                self._log("val", parts, len(batch.scale))
            values = {f"val/metrics/{part}_{name}/epoch": value for part, value in parts.items()}
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch.scale))

    def _begin(
        self, batch: TrainingScan, modes: int, generator: torch.Generator
    ) -> tuple[ScanFrames, BlindState, Tensor, Tensor]:
        """Frames, the first state, and the numbers of the frames that judge and of those that are fitted."""
        propagator = Propagator(batch.amplitudes.shape[-1]).to(self.device)
        frames = ScanFrames(batch.amplitudes, batch.positions, batch.mask, batch.scale, propagator)
        state = BlindState.start(batch.probe[:, :modes], tuple(batch.truth.shape[-2:]))
        order = torch.randperm(batch.amplitudes.shape[1], generator=generator).to(self.device)
        return frames, state, order[: self.settings.judges], order[self.settings.judges :]

    def _parts(self, state: BlindState, batch: TrainingScan, frames: ScanFrames, judges: Tensor) -> dict[str, Tensor]:
        """Logarithms of the errors of the object and of the photons of frames that were not given, means over scans."""
        weight = (state.light / state.light.amax(dim=(-2, -1), keepdim=True)).clamp_max(0.1)
        object_error = relative_error(state.objects, batch.truth, weight, state.probes, batch.true_probe)
        args = frames.propagator, state.background
        modelled = modelled_frames(state.objects, state.probes, batch.positions[:, judges], *args)
        with torch.no_grad():
            # Without the noise that the measured ones have: less of it in the gradient.
            true = modelled_frames(
                batch.truth, batch.true_probe, batch.true_positions[:, judges], frames.propagator, batch.background
            )
        squares = ((modelled + 1e-6).sqrt() - (true + 1e-6).sqrt()).square()
        photon_error = torch.where(batch.mask, squares, 0).sum(dim=(1, 2, 3))
        photon_error = photon_error / torch.where(batch.mask, true, 0).sum(dim=(1, 2, 3))
        found = (object_error.detach() < LOST).float()
        share = found / found.sum().clamp_min(1)
        return {
            "object": 0.5 * (share * (object_error + LEAST_OBJECT_ERROR).log()).sum(),
            "photons": 0.5 * (share * (photon_error + LEAST_PHOTON_ERROR).log()).sum(),
        }

    def _log(self, mode: str, parts: dict[str, Tensor], size: int) -> None:
        values = {f"{mode}/loss/epoch": sum(parts.values())}
        values |= {f"{mode}/loss/{name}/epoch": part for name, part in parts.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size)

    def _generator(self, *numbers: int) -> torch.Generator:
        """What is drawn for a batch follows from its place alone, so that a resumed training draws the same."""
        seed = self.seed
        for number in numbers:
            seed = (seed * 1_000_003 + number + 1) % 2**62
        return torch.Generator().manual_seed(seed)

    def _set_rate(self, optimizer: Any, batches: float) -> None:
        """Half a cosine over all batches of the training, after a short warm-up."""
        per_epoch = -(-self.settings.scans_per_epoch // self.settings.batch_size)
        share = (self.current_epoch + batches / per_epoch) / self.settings.max_epochs
        factor = min(1.0, share / 0.03 + 1e-3) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, share)))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self.settings
        groups = [
            {"params": self.network.correction.parameters(), "lr": 0.0, "peak": settings.learning_rate},
            {"params": self.network.rates.parameters(), "lr": 0.0, "peak": settings.rates_learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
