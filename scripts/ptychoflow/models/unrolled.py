"""Learned iterations of the ptychographic iterative engine, on the object that all frames of a group share.

The probe is an input: a network trained with one serves another. So is the number of frames: a network trained on small
groups reconstructs a whole scan at once, and corrects its object instead of every patch by itself.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn

from ptychoflow.models.blocks import EncoderDecoder
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.object_steps import placed_frames, total_change
from ptychoflow.physics.patches import add_patches, extract_patches, fourier_shift, split_positions
from ptychoflow.physics.steps import regularised
from ptychoflow.settings.model import ModelSettings

BORDER = 2
"""Pixels round the outermost frames."""
LARGEST = 2.0
"""Largest amplitude of an object, whose transmission is 1 at most; so no iteration can run away."""


class Unrolled(nn.Module):
    """From O = 1, each iteration adds the object update that the measured amplitudes imply and a learned correction.

    The update is a regularised PIE step (Maiden, Johnson and Li, Optica 4, 736, 2017) of all frames together: their
    back-propagated changes are added up, weighted by the probe, and divided by the light that fell. A small U-Net sees
    the object, the update and the light. The last layer of every U-Net starts at zero: an untrained network is PIE.
    """

    joins_frames = True

    def __init__(self, settings: ModelSettings, channels: int) -> None:
        super().__init__()
        del channels  # Any number of frames shares one object.
        self.iterations = settings.iterations
        self.multiple = 2**settings.depth
        count = 1 if settings.share_weights else settings.iterations
        # Without normalisation a correction is the same in the middle of a large scan as in a small group.
        self.corrections = nn.ModuleList(
            EncoderDecoder(5, 2, settings.features, settings.depth, skips=True, normalise=False) for _ in range(count)
        )
        for correction in self.corrections:
            nn.init.zeros_(correction.exit.weight)
            nn.init.zeros_(correction.exit.bias)
        self.step_sizes = nn.Parameter(torch.ones(settings.iterations))

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that ``freeze_encoder`` keeps as they are: the encoding half of every correction."""
        return chain(*(correction.encoder_parameters() for correction in self.corrections))

    def forward(
        self,
        amplitudes: Float[Tensor, "batch C N N"],
        probe: Complex[Tensor, "#batch modes N N"],
        mask: Bool[Tensor, "#batch N N"],
        positions: Float[Tensor, "batch C 2"],
        propagator: Propagator,
        extent: Float[Tensor, "2"] | None = None,
    ) -> Complex[Tensor, "batch C N N"]:
        offsets = positions - positions.amin(dim=1, keepdim=True)
        places, shape = self._frame(offsets, amplitudes.shape[-1], extent)
        objects = self.objects(amplitudes, probe, mask, places, shape, propagator)
        return extract_patches(objects, places, amplitudes.shape[-1])

    def tile(
        self,
        amplitudes: Float[Tensor, "1 C N N"],
        probe: Complex[Tensor, "1 modes N N"],
        mask: Bool[Tensor, "1 N N"],
        positions: Float[Tensor, "1 C 2"],
        propagator: Propagator,
    ) -> tuple[Complex[Tensor, "H W"], Int[Tensor, "2"]]:
        """Reconstruct the object of a single group in whole pixels of the frame that its positions count in.

        Parameters are those that every model takes, of a batch of one group.

        Returns
        -------
        object : Tensor
            (H, W) complex.
        corner : Tensor
            (2,) int64, (row, column) of its first pixel in that frame, maybe outside of it.
        """
        size, low = amplitudes.shape[-1], positions.amin(dim=1, keepdim=True).floor()
        places, shape = self._frame(positions - low, size)
        (canvas,) = self.objects(amplitudes, probe, mask, places, shape, propagator)
        return canvas, low[0, 0].long() - size // 2 - BORDER

    def _frame(self, offsets: Tensor, size: int, extent: Tensor | None = None) -> tuple[Tensor, tuple[int, int]]:
        """Positions in objects that hold all patches, and their shape, from offsets (batch, C, 2) of at least 0."""
        edges = (offsets.amax(dim=(0, 1)) if extent is None else extent) + size + 2 * BORDER
        height, width = (self.multiple * -(-int(edge.ceil()) // self.multiple) for edge in edges)
        return offsets + size // 2 + BORDER, (height, width)

    def objects(
        self,
        amplitudes: Float[Tensor, "batch C N N"],
        probe: Complex[Tensor, "#batch modes N N"],
        mask: Bool[Tensor, "#batch N N"],
        positions: Float[Tensor, "batch C 2"],
        shape: tuple[int, int],
        propagator: Propagator,
    ) -> Complex[Tensor, "batch {shape[0]} {shape[1]}"]:
        """Reconstruct the object of each group.

        Parameters
        ----------
        amplitudes, probe, mask, propagator
            As every model takes them.
        positions : Tensor
            (batch, C, 2) float, (row, column) pixels of the patch centres in the object frame.
        shape : tuple of int
            (H, W) of the objects, multiples of 2**depth.

        Returns
        -------
        Tensor
            (batch, H, W) complex.
        """
        corner, fraction = split_positions(positions, amplitudes.shape[-1])
        # Moving the probe by the fraction of a pixel, once, spares moving the object in every iteration.
        probes = fourier_shift(probe[:, None], fraction[:, :, None])
        light = incoherent_sum(probes)
        peak = light.amax(dim=(1, 2, 3))[:, None, None]
        coverage = add_patches(light, corner, shape)
        illumination = (coverage / peak).clamp_max(1).sqrt()[..., None]
        objects = torch.ones(len(amplitudes), *shape, dtype=probe.dtype, device=probe.device)
        frames = tuple(placed_frames(amplitudes, probes, mask, corner, fraction, shape, propagator))
        for iteration in range(self.iterations):
            with torch.autocast(objects.device.type, enabled=False):
                update = regularised(total_change(objects, frames), coverage, peak)
            parts = torch.view_as_real(objects), torch.view_as_real(update), illumination
            correction = self.corrections[iteration % len(self.corrections)]
            # Contiguous real pairs in float32: torch has no complex bfloat16.
            learned = correction(torch.cat(parts, dim=-1).movedim(-1, 1)).float().movedim(1, -1).contiguous()
            objects = objects + self.step_sizes[iteration] * update + torch.view_as_complex(learned)
            # The amplitude itself would take several times as long.
            beyond = (incoherent_sum(objects.unsqueeze(-3)) / LARGEST**2).clamp_min(1)
            objects = objects * beyond.rsqrt()
        return objects
