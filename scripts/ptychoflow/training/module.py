"""The Lightning module that trains any model of the registry by making its patches explain the measured photons."""

import math

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from ptychoflow.data.loading import Batch
from ptychoflow.models import build_model
from ptychoflow.physics.diffraction import diffraction, incoherent_sum
from ptychoflow.physics.losses import LOSSES, masked_mean, poisson_deviance
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.settings import ModelSettings, TrainingSettings


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
    """

    def __init__(self, model: ModelSettings, training: TrainingSettings, probes: Tensor, masks: Tensor) -> None:
        super().__init__()
        self.model_settings = model
        self.training_settings = training
        self.network = build_model(model, probes.shape[-1], training.groups.size)
        # Probes are kept divided by max|P|, as real pairs: every optimiser and every collective takes those.
        self.register_buffer("probe_scale", torch.empty(len(probes)))
        self.register_buffer("masks", torch.empty_like(masks))
        self.probe_pairs = nn.Parameter(torch.empty(*probes.shape, 2), requires_grad=training.train_probe)
        self.log_flux = nn.Parameter(torch.zeros(()), requires_grad=training.learn_flux)
        self.use_probes(probes, masks)
        self.description: dict = {}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Put what made this network into the checkpoint, so that it can be rebuilt from that file alone."""
        checkpoint["ptychoflow"] = self.description

    def use_probes(self, probes: Tensor, masks: Tensor) -> None:
        """Work on scans with these probes (scans, modes, N, N) and masks (scans, N, N) from now on."""
        self.probe_scale = probes.abs().amax(dim=(-3, -2, -1)).to(self.device)
        self.masks = masks.to(self.device)
        scaled = torch.view_as_real(probes.to(self.device) / self.probe_scale[:, None, None, None])
        self.probe_pairs = nn.Parameter(scaled.clone(), requires_grad=self.training_settings.train_probe)

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
        scale = self.probe_scale[batch.scan][:, None, None, None]
        # The network takes the probe as it is: only the diffraction model moves it.
        probe = self.scaled_probes.detach()[batch.scan]
        return self.network(batch.amplitudes / scale, probe, self.masks[batch.scan])

    def merged(self, patches: Tensor, batch: Batch) -> Tensor:
        """Cut the patches of each group anew from their common, probe-weighted average: the overlap constraint."""
        if patches.shape[1] == 1:
            return patches
        edge = patches.shape[-1] + 2 * (batch.reach + 1)
        positions = batch.positions - batch.positions[:, :1] + edge // 2
        weight = incoherent_sum(self.scaled_probes.detach()[batch.scan])[:, None]
        objects = weighted_mean(*accumulate_patches(patches, weight, positions, (edge, edge)))
        return extract_patches(objects, positions, patches.shape[-1])

    def intensity(self, patches: Tensor, batch: Batch) -> Tensor:
        """Photons per pixel that the patches (batch, C, N, N) would diffract, float32 of the same shape."""
        return diffraction(patches, self.probes[batch.scan][:, None])

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss and its companions for one batch.

        Returns
        -------
        dict
            ``loss`` to minimise (photon losses are divided by the mean count, so one learning rate serves every dose;
            the supervised loss is the mean absolute error of the complex patches where the probe shines), and
            ``deviance``, Poisson, per good pixel.
        """
        patches = self(batch)
        with torch.autocast(self.device.type, enabled=False):
            intensity = self.intensity(self.merged(patches, batch), batch)
            counts, mask = batch.amplitudes.square(), self.masks[batch.scan][:, None]
            deviance = poisson_deviance(intensity, counts, mask)
            if self.training_settings.supervised:
                weight = incoherent_sum(self.scaled_probes.detach()[batch.scan])[:, None]
                loss = ((patches - batch.truth).abs() * weight).sum() / weight.expand_as(counts).sum()
            else:
                loss = LOSSES[self.training_settings.loss](intensity, counts, mask) / self._loss_scale(counts, mask)
        return {"loss": loss, "deviance": deviance.detach()}

    def _loss_scale(self, counts: Tensor, mask: Tensor) -> Tensor:
        mean = masked_mean(counts, mask)
        return mean.sqrt() if self.training_settings.loss == "amplitude_mae" else mean

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._logged_loss(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._logged_loss(batch, "val")

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Frame numbers (batch,) and the patches (batch, N, N) complex64 of each group's anchor."""
        return batch.frames[:, 0], self(batch)[:, 0]

    def _logged_loss(self, batch: Batch, mode: str) -> Tensor:
        values = self.losses(batch)
        part = "supervised" if self.training_settings.supervised else self.training_settings.loss
        epoch = {
            f"{mode}/loss/epoch": values["loss"],
            f"{mode}/loss/{part}/epoch": values["loss"],
            f"{mode}/metrics/deviance/epoch": values["deviance"],
        }
        if mode == "train":
            self.log("train/loss/step", values["loss"], on_step=True, on_epoch=False)
        self.log_dict(epoch, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.frames))
        return values["loss"]

    def on_train_epoch_end(self) -> None:
        """Log what the optimiser was set to in this epoch."""
        group = self.optimizers().param_groups[0]
        self.log_dict({"train/lr": group["lr"], "train/beta1": group["betas"][0], "train/beta2": group["betas"][1]})

    def configure_optimizers(self) -> dict:
        """AdamW with a warm-up and a half cosine for the network; the probe waits until the network means something."""
        settings = self.training_settings
        total = max(1, self.trainer.estimated_stepping_batches)

        def network_rate(step: int) -> float:
            share = step / total
            if share < settings.warmup:
                return (step + 1) / (settings.warmup * total + 1)
            return 1.0 if settings.schedule == "constant" else 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))

        def probe_rate(step: int) -> float:
            return network_rate(step) if step >= settings.probe_delay * total else 0.0

        groups = [{"params": self.network.parameters(), "lr": settings.learning_rate}]
        rates = [network_rate]
        extra = [p for p in (self.probe_pairs, self.log_flux) if p.requires_grad]
        if extra:
            groups.append({"params": extra, "lr": settings.probe_learning_rate, "weight_decay": 0.0})
            rates.append(probe_rate)
        optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
