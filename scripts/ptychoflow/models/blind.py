"""Blind learned iterations: object, probe modes and background are all solved for, by steps on subsets of the frames.

One iteration is a pass over all frames. Each subset makes a regularised step of the ptychographic iterative engine on
object and probe together (Maiden, Johnson and Li, Optica 4, 736, 2017); its sizes, damping and momentum are told by a
small network from how far the reconstruction is, how many photons fell and how much the frames overlap. After the pass
a U-Net adds a correction of the object. What object and probe may trade is fixed each time.

The last layers start at zero: an untrained network is the plain engine.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from ptychoflow.models.blind_state import BlindState, doubt, per_scan, photons_per_pixel
from ptychoflow.models.blocks import EncoderDecoder, real_channels
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.gauge import balance, mix_modes, orthogonal_modes
from ptychoflow.settings.blind import BlindSettings

CHANNELS = 8
"""What the correction sees: object, its momentum, relative light, level of doubt, misfit, progress."""
MOST_SUBSETS, FEWEST_SUBSETS = 25, 2
"""Of a pass, at the beginning and at the end: many steps find the way, few do not follow the noise of a subset."""
FRAMES_OF_A_SUBSET = 8
BEGINNING_SUBSETS, PHOTONS_OF_A_SUBSET = 4, 15
"""Subsets at the beginning at the least, and photons on a pixel that one is worth."""
OBJECT_STEP, PROBE_STEP, DAMPING = 1.0, 0.8, 0.05
"""Sizes of the plain engine's steps at the beginning, and the share of the largest light that damps them."""
LARGEST = 3.0
"""Largest amplitude of an object whose mean is 1; so no correction can run away."""


def left_of_steps(progress: float) -> float:
    """Size of the plain engine's steps over that at the beginning: half in the end."""
    return 1 - 0.5 * progress


class Rates(nn.Module):
    """Sizes, damping and momentum of the steps on object and probe, from what is known of a scan.

    (batch, 4) features to (batch, 6) logarithms of the factors of the plain engine's rates, none at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(
        self,
        features: Float[Tensor, "batch 4"],
        photons: Float[Tensor, "batch"],
        progress: float,
        offset: Float[Tensor, "batch 6 5"] | None = None,
        used: bool = True,
    ) -> tuple[Float[Tensor, "batch 2"], Float[Tensor, "batch 2"], Float[Tensor, "batch 2"]]:
        """Give sizes, damping and momentum of object and probe, each (batch, 2).

        Photons (batch,) are those that fell on a pixel of the object. The offset (batch, 6, 5), if given, is added to
        weight and bias scan by scan: so training tries others. Where they are not `used`, the plain engine's come out.
        """
        learned = self.layer(features) * used
        if offset is not None:
            known = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
            learned = learned + (offset @ known[:, :, None])[..., 0]
        learned = 2 * torch.tanh(learned / 2)
        size = features.new_tensor([OBJECT_STEP, PROBE_STEP]) * left_of_steps(progress) * torch.exp(learned[:, 0:2])
        # Where few photons fell, more damping keeps their noise out.
        noise = 0.3 / (1 + photons[:, None] / 100)
        damping = (DAMPING + noise) * torch.exp(learned[:, 2:4])
        # An odds of 1.5 is a momentum of 0.6.
        odds = 1.5 * torch.exp(learned[:, 4:6])
        return size, damping, odds / (1 + odds)


class Blind(nn.Module):
    """Iterations on objects, probes and background; see the module.

    Parameters
    ----------
    settings : BlindSettings
        Features and depth of the U-Net.
    """

    def __init__(self, settings: BlindSettings) -> None:
        super().__init__()
        self.multiple = 2**settings.depth
        self.rates = Rates()
        self.correction = EncoderDecoder(CHANNELS, 2, settings.features, settings.depth, skips=True, normalise=False)
        nn.init.zeros_(self.correction.exit.weight)
        nn.init.zeros_(self.correction.exit.bias)

    def iterate(
        self,
        state: BlindState,
        frames: ScanFrames,
        order: Sequence[Int[Tensor, "_"]],
        progress: float,
        solve_background: bool = True,
        rates_offset: Float[Tensor, "batch 6 5"] | None = None,
        learned_rates: bool = True,
    ) -> BlindState:
        """Make a pass over subsets of the frames.

        Parameters
        ----------
        state : BlindState
            Where to go on.
        frames : ScanFrames
            All frames.
        order : sequence of Tensor
            Frame numbers (chosen,) int64 of each subset, see `subsets`.
        progress : float
            0 at the beginning of a reconstruction, 1 at its end.
        solve_background : bool
            Whether the background is solved for as well.
        rates_offset : Tensor, optional
            (batch, 6, 5), see `Rates`.
        learned_rates : bool
            Whether rates are those that training has found, or the plain engine's.
        """
        features, photons = self._features(state, frames, progress), photons_per_pixel(state, frames)
        sizes, damping, momentum = self.rates(features, photons, progress, rates_offset, learned_rates)
        objects, probes, background = state.objects, state.probes, state.background
        light, misfit, noise = torch.zeros_like(state.light), 0.0, 0.0
        for chosen in order:
            change = frames.change(objects, probes, background, chosen, solve_background)
            objects = change.stepped_objects(objects, sizes[:, 0], damping[:, 0])
            probes = change.stepped_probes(probes, sizes[:, 1], damping[:, 1])
            if solve_background:
                background = (background + 0.5 * change.background_step).clamp_min(0)
            light = light + change.light
            misfit, noise = misfit + change.misfit, noise + change.noise
        factor = balance(objects, light)
        unitary = orthogonal_modes(probes)
        object_momentum = per_scan(momentum[:, 0], 2) * state.object_momentum + objects - state.objects
        probe_momentum = per_scan(momentum[:, 1], 3) * state.probe_momentum + probes - state.probes
        objects = objects + per_scan(momentum[:, 0], 2) * object_momentum
        probes = probes + per_scan(momentum[:, 1], 3) * probe_momentum
        return BlindState(
            objects=objects / per_scan(factor, 2),
            probes=mix_modes(probes * per_scan(factor, 3), unitary),
            background=background,
            object_momentum=object_momentum / per_scan(factor, 2),
            probe_momentum=mix_modes(probe_momentum * per_scan(factor, 3), unitary),
            light=light * per_scan(factor, 2) ** 2,
            misfit=misfit / noise,
        )

    def learned_change(self, state: BlindState, frames: ScanFrames, progress: float) -> Complex[Tensor, "batch H W"]:
        """Correction (batch, H, W) complex64 of the objects that training has found to help."""
        seen, turn, level = correction_input(state, frames, progress)
        return frames.call(self.learned, seen, level) * turn.conj()

    def learned(
        self, seen: Float[Tensor, "batch channels H W"], level: Float[Tensor, "batch H W"]
    ) -> Complex[Tensor, "batch H W"]:
        """Correction (batch, H, W) complex64 of turned objects, from what `correction_input` gives."""
        height, width = level.shape[-2:]
        missing = [-width % self.multiple, -height % self.multiple]
        padded = nn.functional.pad(seen, [0, missing[0], 0, missing[1]], mode="replicate")
        change = self.correction(padded)[..., :height, :width].float().permute(0, 2, 3, 1).contiguous()
        return torch.view_as_complex(change) * level

    def corrected(self, state: BlindState, change: Complex[Tensor, "batch H W"]) -> BlindState:
        """Add a correction (batch, H, W) to the objects, no amplitude beyond `LARGEST`."""
        objects = state.objects + change
        return replace(state, objects=objects * (LARGEST / objects.abs().clamp_min(LARGEST)))

    @staticmethod
    def _features(state: BlindState, frames: ScanFrames, progress: float) -> Tensor:
        """(batch, 4): progress, photons that fell on a pixel, frames that lit it, and misfit."""
        photons = photons_per_pixel(state, frames)
        peak = state.probes.detach().abs().square().sum(dim=1).amax(dim=(-2, -1))
        told = [
            torch.full_like(state.misfit, progress),
            torch.log10(1 + photons) / 3 - 1,
            torch.log10(photons / (peak * frames.scale**2)),
            state.misfit.clamp(0.1, 1e3).log10() / 2,
        ]
        return torch.stack(told, dim=1)


def correction_input(
    state: BlindState, frames: ScanFrames, progress: float
) -> tuple[Float[Tensor, "batch channels H W"], Complex[Tensor, "batch 1 1"], Float[Tensor, "batch H W"]]:
    """What a correction is told.

    Returns
    -------
    seen : Tensor
        (batch, CHANNELS, H, W) float32: object and momentum, relative light, photons, misfit and progress.
    turn : Tensor
        (batch, 1, 1) complex64 of modulus 1, that takes the mean phase out of the objects: no direction of the complex
        plane is special.
    level : Tensor
        (batch, H, W) float32, what an object may be wrong by for want of photons or by what the model does not
        explain; 0 where no light fell. A correction is told in units of it, so that it vanishes with the doubt.
    """
    objects = state.objects
    light = state.light / state.light.amax(dim=(-2, -1), keepdim=True)
    turn = (objects * light).sum(dim=(-2, -1), keepdim=True)
    turn = turn.conj() / turn.abs().clamp_min(1e-12)
    level = doubt(state, frames)
    misfit = state.misfit.clamp(0.1, 1e3)
    told = torch.stack([misfit.log10(), torch.full_like(misfit, progress)], dim=1)
    seen = torch.cat(
        [
            real_channels(objects * turn),
            real_channels(state.object_momentum * turn),
            light.sqrt()[:, None],
            level[:, None].clamp_min(1e-4).log10() / 2,
            told[:, :, None, None].expand(-1, -1, *objects.shape[-2:]),
        ],
        dim=1,
    )
    return seen, turn, level


def subsets(
    frames: Int[Tensor, "frames"],
    progress: float,
    generator: torch.Generator,
    photons: Float[Tensor, "batch"] | None = None,
) -> list[Int[Tensor, "_"]]:
    """Draw the subsets of a pass, frame numbers int64 each; their number falls to `FEWEST_SUBSETS` at the end.

    Parameters
    ----------
    frames : Tensor
        (frames,) int64, all that may be used.
    progress : float
        0 to 1.
    generator : torch.Generator
        On the CPU, so that the draw does not depend on the device.
    photons : Tensor, optional
        (batch,) float, those that fell on a pixel of the object: where they are few, so are the subsets, each of which
        would follow its own noise.
    """
    most = min(MOST_SUBSETS, len(frames) // FRAMES_OF_A_SUBSET)
    if photons is not None:
        most = min(most, int(photons.log().mean().exp() / PHOTONS_OF_A_SUBSET))
    count = max(FEWEST_SUBSETS, round(max(BEGINNING_SUBSETS, most) * (1 - progress)))
    order = torch.randperm(len(frames), generator=generator).to(frames.device)
    return list(frames[order].tensor_split(min(count, len(frames))))
