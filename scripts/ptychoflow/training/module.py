"""The Lightning module that trains any model of the registry by making its patches explain the measured photons."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ptychoflow.loading.tables import Batch
from ptychoflow.metrics.patches import lit_half, patch_scores
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.losses import LOSSES, poisson_deviance, total_variation
from ptychoflow.training.evaluation import Evaluation, Shares, normalisers
from ptychoflow.training.optimisation import scheduled_adam
from ptychoflow.training.parts import PartThreads
from ptychoflow.training.scan_network import Prediction, ScanNetwork


class BatchMetric:
    """A metric of one's own, to be subclassed: a number for each batch, which an epoch averages over its frames."""

    def __call__(self, evaluation: Evaluation, batch: Batch, module: "Reconstructor") -> Tensor:
        """Give the number, a scalar, for a batch that was reconstructed; no gradients are kept."""
        raise NotImplementedError


class Reconstructor(ScanNetwork, LightningModule):
    """Lightning's module of a network that is trained.

    Parameters
    ----------
    *arguments
        Those of `ScanNetwork`.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.own_metrics: dict[str, BatchMetric] = {}
        self.threads: PartThreads | None = None

    def use_probes(self, probes: Tensor, masks: Tensor) -> None:
        """Work on scans with these probes and masks from now on, and score where their light is."""
        super().use_probes(probes, masks)
        self.lit_half = lit_half(incoherent_sum(probes))

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Put what made this network into the checkpoint, so that it can be rebuilt from that file alone."""
        checkpoint["ptychoflow"] = self.description

    def evaluate(self, batch: Batch, shares: Shares | None = None) -> Evaluation:
        """Reconstruct one batch and compare it with the photons, or with the truth under supervised training.

        Parameters
        ----------
        batch : Batch
            The batch, or a part of one.
        shares : Shares, optional
            Of a part, see `normalisers`; the batch is whole if not given.
        """
        settings = self.training_settings
        shares = Shares.of(self.normalisers(batch)) if shares is None else shares
        patches = self(batch)
        with torch.autocast(self.device.type, enabled=False):
            merged = self.merged(patches, batch)
            intensity = self.intensity(merged, batch)
            counts, mask = batch.amplitudes.square(), self.masks[batch.scan][:, None]
            deviance = poisson_deviance(intensity, counts, mask)
            amplitude = "amplitude_mae" if settings.loss == "amplitude_mae" else "amplitude_mse"
            scale = shares.mean_count.sqrt() if amplitude == "amplitude_mae" else shares.mean_count
            parts = {
                "poisson": deviance / shares.mean_count,
                "amplitude": LOSSES[amplitude](intensity, counts, mask) / scale,
            }
            chosen, share = "poisson" if settings.loss == "poisson" else "amplitude", shares.pixels
            weight = self.illumination(batch)[:, None] if settings.supervised or settings.total_variation else None
            if settings.supervised:
                chosen, share = "supervised", shares.light
                parts[chosen] = ((patches - batch.truth).abs() * weight).sum() / weight.expand_as(counts).sum()
            loss, objective = parts[chosen], share * parts[chosen]
            if settings.total_variation:
                variation = settings.total_variation * total_variation(merged, weight)
                parts["total_variation"] = variation
                loss, objective = loss + variation, objective + shares.inner_light * variation
        parts = {name: part.detach() for name, part in parts.items()}
        return Evaluation(loss, objective, parts, deviance.detach(), patches.detach(), intensity.detach())

    def normalisers(self, batch: Batch) -> Tensor:
        """What the losses of a batch are divided by, (4,) float, see `ptychoflow.training.evaluation.normalisers`."""
        weight = self.illumination(batch)[:, None]
        return normalisers(batch.amplitudes.square(), self.masks[batch.scan][:, None], weight)

    def on_train_start(self) -> None:
        settings, processes = self.training_settings, self.trainer.world_size
        self.threads = PartThreads.for_batches(settings.batch_size, self.device, processes)

    def on_train_end(self) -> None:
        if self.threads:
            self.threads.close()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.threads:
            evaluation = self.threads.evaluate(self, batch)
        else:
            evaluation = self.evaluate(batch, self._share_of_process(batch) if self.trainer.world_size > 1 else None)
        self.log("train/loss/step", evaluation.loss, on_step=True, on_epoch=False)
        self._log_means(evaluation, batch, "train")
        return evaluation.objective

    def _share_of_process(self, batch: Batch) -> Shares:
        own = self.normalisers(batch)
        return Shares.of(own, self.trainer.strategy.reduce(own.clone(), reduce_op="mean"))

    def on_train_batch_end(self, outputs: Tensor, batch: Batch, batch_idx: int) -> None:
        if self.probe_pairs.requires_grad:
            self.keep_power()

    @torch.no_grad()
    def keep_power(self) -> None:
        """Give the probes the power that they came with, all modes of a scan together."""
        power = self.probe_pairs.square().sum(dim=(1, 2, 3, 4), keepdim=True)
        self.probe_pairs *= (self.probe_power.to(power.device) / power.clamp_min(1e-30)).sqrt()

    def validation_step(self, batch: Batch, batch_idx: int) -> Prediction:
        return self._evaluated(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> Prediction:
        return self._evaluated(batch, "test")

    def _evaluated(self, batch: Batch, mode: str) -> Prediction:
        evaluation = self.evaluate(batch)
        self._log_means(evaluation, batch, mode)
        patches = evaluation.patches[:, : batch.wanted].flatten(0, 1)
        return Prediction(batch.frames[:, : batch.wanted].flatten(), patches)

    @torch.no_grad()
    def _log_means(self, evaluation: Evaluation, batch: Batch, mode: str) -> None:
        """Log what an epoch averages, the same in every mode."""
        metrics = {"deviance": evaluation.deviance}
        if batch.truth is not None:
            with torch.autocast(self.device.type, enabled=False):
                alone, patches = batch.alone(), evaluation.patches[:, : batch.wanted].flatten(0, 1)
                metrics |= patch_scores(patches, alone.truth[:, 0], self.illumination(alone), self.lit_half)
        metrics |= {name: metric(evaluation, batch, self) for name, metric in self.own_metrics.items()}
        values = {f"{mode}/loss/epoch": evaluation.loss.detach()}
        values |= {f"{mode}/loss/{name}/epoch": part for name, part in evaluation.parts.items()}
        values |= {f"{mode}/metrics/{name}/epoch": value for name, value in metrics.items()}
        # Lightning weights by batch size and averages those sizes over the processes as integers: without the factor,
        # shares of 8 and 7 frames would count as 7.
        weight = len(batch.frames) * batch.wanted * self.trainer.world_size
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=weight)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm, as Lightning does but for fused optimisers in mixed precision, whose scaler bfloat16 lacks."""
        if gradient_clip_val:
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            torch.nn.utils.clip_grad_norm_(weights, gradient_clip_val)

    def configure_optimizers(self) -> dict:
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        physical = [weight for weight in (self.probe_pairs, self.log_flux) if weight.requires_grad]
        steps = max(1, self.trainer.estimated_stepping_batches)
        return scheduled_adam(trained, physical, self.training_settings, steps)
