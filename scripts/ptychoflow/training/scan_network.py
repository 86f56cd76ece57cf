"""A network from frames to object patches, with the probes and masks of the scans that it works on: torch alone.

Programs that only reconstruct begin with it at once; what trains it is `ptychoflow.training.module`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ptychoflow.loading.tables import Batch
from ptychoflow.models import build_model
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.physics.tiles import ObjectTile, cut_tile
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import TrainingSettings


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


class ScanNetwork(nn.Module):
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
        self.description: dict = {}

    def use_probes(self, probes: Tensor, masks: Tensor) -> None:
        """Work on scans with these probes (scans, modes, N, N) and masks (scans, N, N) from now on.

        A probe that is trained keeps its power, which it might trade with the object.
        """
        self.probe_scale = probes.abs().amax(dim=(-3, -2, -1)).to(self.masks.device)
        self.masks = masks.to(self.masks.device)
        scaled = torch.view_as_real(probes.to(self.masks.device) / self.probe_scale[:, None, None, None])
        self.probe_pairs = nn.Parameter(scaled.clone(), requires_grad=self.training_settings.train_probe)
        self.probe_power = self.probe_pairs.detach().square().sum(dim=(1, 2, 3, 4), keepdim=True)

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

    def illumination(self, batch: Batch) -> Tensor:
        """(batch, N, N) float32 intensity of the probe, in units of the largest max|P|²."""
        return incoherent_sum(self.scaled_probes.detach()[batch.scan])

    def predict(self, batch: Batch) -> Prediction | ObjectTile:
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
