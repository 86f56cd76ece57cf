"""The Lightning module that trains any model of the registry by making its patches explain the measured photons."""

from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from ptychoflow.loading.tables import Batch
from ptychoflow.metrics.patches import lit_half, patch_scores
from ptychoflow.models import build_model
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.losses import LOSSES, poisson_deviance, total_variation
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.physics.tiles import ObjectTile, cut_tile
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.training.evaluation import Evaluation, Shares
from ptychoflow.training.optimisation import scheduled_adam


class BatchMetric:
    """A metric of one's own, to be subclassed: a number for each batch, which an epoch averages over its frames."""

    def __call__(self, evaluation: Evaluation, batch: Batch, module: "Reconstructor") -> Tensor:
        """Give the number, a scalar, for a batch that was reconstructed; no gradients are kept."""
        raise NotImplementedError


class Prediction(NamedTuple):
    """What validation, test and prediction give for the wanted frames of a batch.

    Parameters
    ----------
    frames : Tensor
        (wanted,) int64, frame numbers.
    patches : Tensor
        (wanted, N, N) complex64.
    half_patches : Tensor or None
        The same from every second frame alone, the even ones for even frames and the odd ones for odd frames.
    """

    frames: Tensor
    patches: Tensor
    half_patches: Tensor | None = None


class Reconstructor(LightningModule):
    """A network from frames to object patches, with the probes and masks of the scans that it works on.

    Parameters
    ----------
    model : ModelSettings
        The network.
    training : TrainingSettings
        Loss, optimiser and groups.
    probes : Tensor
        (scans, modes, N, N) complex64, Σ|P|² = photons in the empty beam.
    masks : Tensor
        (scans, N, N) bool, True for good pixels.
    fresnel_number : float, optional
        Of a pixel in the near field that all scans have; the far field if not given.
    """

    def __init__(
        self,
        model: ModelSettings,
        training: TrainingSettings,
        probes: Tensor,
        masks: Tensor,
        fresnel_number: float | None = None,
    ) -> None:
        super().__init__()
        self.model_settings = model
        self.training_settings = training
        self.network = build_model(model, probes.shape[-1], training.groups.size)
        if training.freeze_encoder:
            for parameter in self.network.encoder_parameters():
                parameter.requires_grad_(False)
        # Probes are kept divided by max|P|, as real pairs: every optimiser and every collective takes those.
        self.register_buffer("probe_scale", torch.empty(len(probes)))
        self.register_buffer("masks", torch.empty_like(masks))
        self.propagator = Propagator(probes.shape[-1], fresnel_number)
        self.probe_pairs = nn.Parameter(torch.empty(*probes.shape, 2), requires_grad=training.train_probe)
        # An object that is iterated takes any factor as its own, and leaves none to learn.
        learns_flux = training.learn_flux and not self.network.joins_frames
        self.log_flux = nn.Parameter(torch.zeros(()), requires_grad=learns_flux)
        self.use_probes(probes, masks)
        self.predicts_tiles, self.cuts_patches, self.predicts_halves = False, False, False
        self.own_metrics: dict[str, BatchMetric] = {}
        self.description: dict = {}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Put what made this network into the checkpoint, so that it can be rebuilt from that file alone."""
        checkpoint["ptychoflow"] = self.description

    def use_probes(self, probes: Tensor, masks: Tensor) -> None:
        """Work on scans with these probes (scans, modes, N, N) and masks (scans, N, N) from now on.

        A probe that is trained keeps its power, which it might trade with the object.
        """
        self.probe_scale = probes.abs().amax(dim=(-3, -2, -1)).to(self.device)
        self.masks = masks.to(self.device)
        scaled = torch.view_as_real(probes.to(self.device) / self.probe_scale[:, None, None, None])
        self.probe_pairs = nn.Parameter(scaled.clone(), requires_grad=self.training_settings.train_probe)
        self.probe_power = self.probe_pairs.detach().square().sum(dim=(1, 2, 3, 4), keepdim=True)
        self.lit_half = lit_half(incoherent_sum(probes))

    @property
    def scaled_probes(self) -> Tensor:
        """(scans, modes, N, N) complex64, divided by max|P| of the probe first given."""
        return torch.view_as_complex(self.probe_pairs)

    @property
    def probes(self) -> Tensor:
        """(scans, modes, N, N) complex64, Σ|P|² = photons in the empty beam, the learned flux included."""
        scale = self.probe_scale * torch.exp(self.log_flux / 2)
        return self.scaled_probes * scale[:, None, None, None]

    def forward(self, batch: Batch) -> Tensor:
        """Reconstruct object patches, (batch, C, N, N) complex64, dimensionless."""
        given = self._given(batch)
        if self.network.joins_frames and batch.extent is not None:
            return self.network(*given, batch.extent)
        return self.network(*given)

    def _given(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Propagator]:
        """What the network takes of a batch."""
        scale = self.probe_scale[batch.scan][:, None, None, None]
        # The network takes probe and flux as they are: only the diffraction model moves them.
        probe = (self.scaled_probes * torch.exp(self.log_flux / 2)).detach()[batch.scan]
        return batch.amplitudes / scale, probe, self.masks[batch.scan], batch.positions, self.propagator

    def merged(self, patches: Tensor, batch: Batch) -> Tensor:
        """Cut the patches of each group anew from their common, probe-weighted average: the overlap constraint.

        Patches that a network has cut from one object meet it already.
        """
        if patches.shape[1] == 1 or self.network.joins_frames:
            return patches
        edge = patches.shape[-1] + 2 * (batch.reach + 1)
        positions = batch.positions - batch.positions[:, :1] + edge // 2
        weight = incoherent_sum(self.scaled_probes.detach()[batch.scan])[:, None]
        objects = weighted_mean(*accumulate_patches(patches, weight, positions, (edge, edge)))
        return extract_patches(objects, positions, patches.shape[-1])

    def intensity(self, patches: Tensor, batch: Batch) -> Tensor:
        """Photons per pixel that the patches (batch, C, N, N) would diffract, float32 of the same shape."""
        return self.propagator.intensity(patches, self.probes[batch.scan][:, None])

    def evaluate(self, batch: Batch, shared: bool = False) -> Evaluation:
        """Reconstruct one batch and compare it with the photons, or with the truth under supervised training.

        A batch may be this process's share of one that is ``shared`` by all; they evaluate theirs at the same time.
        """
        settings = self.training_settings
        patches = self(batch)
        with torch.autocast(self.device.type, enabled=False):
            merged = self.merged(patches, batch)
            intensity = self.intensity(merged, batch)
            counts, mask = batch.amplitudes.square(), self.masks[batch.scan][:, None]
            weight = self.illumination(batch)[:, None]
            shares = Shares.of(counts, mask, weight, self.trainer.strategy if shared else None)
            deviance = poisson_deviance(intensity, counts, mask)
            amplitude = "amplitude_mae" if settings.loss == "amplitude_mae" else "amplitude_mse"
            scale = shares.mean_count.sqrt() if amplitude == "amplitude_mae" else shares.mean_count
            parts = {
                "poisson": deviance / shares.mean_count,
                "amplitude": LOSSES[amplitude](intensity, counts, mask) / scale,
            }
            chosen, share = "poisson" if settings.loss == "poisson" else "amplitude", shares.pixels
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

    def illumination(self, batch: Batch) -> Tensor:
        """(batch, N, N) float32 intensity of the probe, in units of the largest max|P|²."""
        return incoherent_sum(self.scaled_probes.detach()[batch.scan])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        evaluation = self.evaluate(batch, shared=self.trainer.world_size > 1)
        self.log("train/loss/step", evaluation.loss, on_step=True, on_epoch=False)
        self._log_means(evaluation, batch, "train")
        return evaluation.objective

    def on_train_batch_end(self, outputs: Tensor, batch: Batch, batch_idx: int) -> None:
        if self.probe_pairs.requires_grad:
            self.keep_power()

    @torch.no_grad()
    def keep_power(self) -> None:
        """Give the probes the power that they came with, all modes of a scan together."""
        power = self.probe_pairs.square().sum(dim=(1, 2, 3, 4), keepdim=True)
        self.probe_pairs *= (self.probe_power.to(power.device) / power.clamp_min(1e-30)).sqrt()

    def validation_step(self, batch: Batch, batch_idx: int) -> "Prediction":
        return self._evaluated(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> "Prediction":
        return self._evaluated(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> "Prediction | ObjectTile":
        """Reconstruct patches, or the tile that a batch is where ``predicts_tiles``, cut up where ``cuts_patches``."""
        if not self.predicts_tiles:
            patches = self(batch)[:, : batch.wanted].flatten(0, 1)
            return Prediction(batch.frames[:, : batch.wanted].flatten(), patches)
        tile = self.tile(batch)
        if not self.cuts_patches:
            return tile
        return Prediction(tile.frames, *cut_tile(tile, batch.positions[0, : batch.wanted], self.masks.shape[-1]))

    def tile(self, batch: Batch) -> ObjectTile:
        """Reconstruct the object of a batch of one group, and its halves apart where ``predicts_halves``."""
        (frames,), halves = batch.frames, None
        if self.predicts_halves:
            own = (torch.nonzero(frames % 2 == parity)[:, 0] for parity in range(2))
            halves = tuple(self.network.tile(*self._given(batch.members(some))) if len(some) else None for some in own)
        return ObjectTile(frames[: batch.wanted], *self.network.tile(*self._given(batch)), halves)

    def _evaluated(self, batch: Batch, mode: str) -> "Prediction":
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
