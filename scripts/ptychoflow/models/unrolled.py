"""Learned iterations of the ptychographic iterative engine.

The probe is an input: a network trained with one serves another.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from ptychoflow.models.blocks import EncoderDecoder
from ptychoflow.physics.diffraction import exit_waves, far_field, incoherent_sum, near_side
from ptychoflow.settings import ModelSettings


class Unrolled(nn.Module):
    """From O = 1, each iteration adds the object update that the measured amplitudes imply and a learned correction.

    The update is the regularised PIE step (Maiden, Johnson and Li, Optica 4, 736, 2017); a small U-Net sees the
    object, the update and the probe. The last layer of every U-Net starts at zero: an untrained network is rPIE.
    """

    mixes_frames = False

    def __init__(self, settings: ModelSettings, channels: int) -> None:
        super().__init__()
        del channels  # The frames of a group pass through the same weights one by one.
        self.iterations = settings.iterations
        count = 1 if settings.share_weights else settings.iterations
        self.corrections = nn.ModuleList(
            EncoderDecoder(7, 2, settings.features, settings.depth, skips=True) for _ in range(count)
        )
        for correction in self.corrections:
            nn.init.zeros_(correction.exit.weight)
            nn.init.zeros_(correction.exit.bias)
        self.step_sizes = nn.Parameter(torch.ones(settings.iterations))

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that ``freeze_encoder`` keeps as they are: the encoding half of every correction."""
        return chain(*(correction.encoder_parameters() for correction in self.corrections))

    def forward(self, amplitudes: Tensor, probe: Tensor, mask: Tensor) -> Tensor:
        batch, channels, size, _ = amplitudes.shape
        amplitudes = amplitudes.reshape(-1, size, size)
        probe = probe.expand(batch, -1, -1, -1).repeat_interleave(channels, dim=0)
        mask = mask.expand(batch, -1, -1).repeat_interleave(channels, dim=0)
        illumination = incoherent_sum(probe)[:, None].sqrt()
        probe_channels = torch.cat([_real_channels(probe[:, 0]), illumination], dim=1)
        patches = torch.ones_like(amplitudes, dtype=probe.dtype)
        for iteration in range(self.iterations):
            update = exit_wave_update(patches, amplitudes, probe, mask)
            correction = self.corrections[iteration % len(self.corrections)]
            seen = torch.cat([_real_channels(patches), _real_channels(update), probe_channels], dim=1)
            # Contiguous real pairs in float32: torch has no complex bfloat16.
            learned = torch.view_as_complex(correction(seen).float().permute(0, 2, 3, 1).contiguous())
            patches = patches + self.step_sizes[iteration] * update + learned
        return patches.reshape(batch, channels, size, size)


def exit_wave_update(
    patches: Tensor, amplitudes: Tensor, probe: Tensor, mask: Tensor, regularisation: float = 0.1
) -> Tensor:
    """Object update of one rPIE step: the far field takes the measured amplitudes, and the change is led back.

    Parameters
    ----------
    patches : Tensor
        (frames, N, N) complex object patches.
    amplitudes : Tensor
        (frames, N, N) float measured amplitudes, zero frequency in the corner.
    probe : Tensor
        (frames, modes, N, N) complex.
    mask : Tensor
        (frames, N, N) bool; bad pixels keep the modelled amplitude.
    regularisation : float
        Share of the peak illumination that damps the step where little light falls.

    Returns
    -------
    Tensor
        (frames, N, N) complex.
    """
    with torch.autocast(patches.device.type, enabled=False):
        waves = far_field(exit_waves(patches, probe))
        modelled = (incoherent_sum(waves) + 1e-8).sqrt()
        ratio = torch.where(mask, amplitudes / modelled - 1, 0)
        change = near_side(ratio[:, None] * waves)
        illumination = incoherent_sum(probe)
        peak = illumination.amax(dim=(-2, -1), keepdim=True)
        denominator = (1 - regularisation) * illumination + regularisation * peak
        return (probe.conj() * change).sum(dim=1) / denominator


def _real_channels(field: Tensor) -> Tensor:
    """(frames, N, N) complex to (frames, 2, N, N) real and imaginary parts."""
    return torch.view_as_real(field).permute(0, 3, 1, 2)
