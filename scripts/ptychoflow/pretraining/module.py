"""The Lightning module that trains blind iterations: corrections from states on the way, rates from the endings."""

import math
from typing import Any

import torch
from torch import Tensor

from ptychoflow.models.blind import Blind
from ptychoflow.pretraining.corrections import CorrectionTraining
from ptychoflow.pretraining.scans import TrainingScan
from ptychoflow.pretraining.states import Ending, States, reconstruct
from ptychoflow.settings.blind import BlindSettings, PretrainingSettings

LEAST_RATIO = 0.05
"""Share of an error below which a correction that leaves less of it counts no more."""
LARGEST_GAIN = 1.0
"""Bound of what a scan says of the rates: one that one trial found and the other lost says enough."""


class BlindTraining(CorrectionTraining):
    """Training of a blind network.

    Corrections are judged by how much of the object's error they leave, in states that the network itself came through:
    no gradient goes through the physics. Rates are judged by how reconstructions end: each scan is reconstructed twice,
    with rates a little off to either side, and the difference tells the slope (Salimans et al., arXiv:1703.03864).

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
        super().__init__(Blind(model), settings, seed)
        self.network.rates.requires_grad_(False)
        # Mean and mean square of the slopes, as Adam keeps them.
        self.register_buffer("slope_mean", torch.zeros(6, 5))
        self.register_buffer("slope_square", torch.zeros(6, 5))

    def collect(self, batches: list[TrainingScan] | Any, epoch: int) -> States:
        """Reconstruct the scans of an epoch, step the rates, and give the states on the way.

        Parameters
        ----------
        batches : iterable of TrainingScan
            Scans, some at once.
        epoch : int
            From 0.
        """
        slope, states, endings = torch.zeros(6, 5, device=self.device), [], []
        for number, batch in enumerate(batches):
            batch = TrainingScan(*(part.to(self.device) for part in batch))
            seed = self._seed(epoch, number)
            random = torch.Generator().manual_seed(seed)
            spread = self.settings.rates_spread * torch.randn(len(batch.scale), 6, 5, generator=random).to(self.device)
            losses = []
            for sign in (1, -1):
                # The same draws for both: they differ in their rates alone.
                generator = torch.Generator().manual_seed(seed)
                ending, some = reconstruct(
                    self.network,
                    batch,
                    self.settings,
                    generator,
                    rates_offset=sign * spread,
                    kept=self.settings.states_per_scan,
                )
                losses.append(ending.loss)
                states.append(some)
                endings.append(ending)
            gain = (losses[0] - losses[1]).nan_to_num(0.0).clamp(-LARGEST_GAIN, LARGEST_GAIN)
            slope += (gain[:, None, None] * spread).sum(dim=0) / (2 * self.settings.rates_spread**2)
        self._step_rates(slope / self.settings.scans_per_epoch, epoch)
        self.endings = _means(endings)
        return States.joined(states)

    def _step_rates(self, slope: Tensor, epoch: int) -> None:
        """Adam's step (Kingma and Ba, arXiv:1412.6980)."""
        self.slope_mean.lerp_(slope, 0.2)
        self.slope_square.lerp_(slope.square(), 0.05)
        mean = self.slope_mean / (1 - 0.8 ** (epoch + 1))
        square = self.slope_square / (1 - 0.95 ** (epoch + 1))
        share = 0.5 + 0.5 * math.cos(math.pi * epoch / self.settings.max_epochs)
        step = -share * self.settings.rates_learning_rate * mean / (square.sqrt() + 1e-8)
        layer = self.network.rates.layer
        layer.weight += step[:, :4]
        layer.bias += step[:, 4]

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        seen, level, truth, weight = batch
        turned = torch.view_as_complex(seen[:, :2].permute(0, 2, 3, 1).contiguous())
        corrected = turned + self.network.learned(seen, level)
        before, after = (_squares(one, truth, weight) for one in (turned, corrected))
        ratio = after / (before + 1e-8 * weight.sum(dim=(-2, -1)) + 1e-12)
        loss = (ratio + LEAST_RATIO).log().mean()
        self.log("train/loss/step", loss, on_step=True, on_epoch=False)
        values = {"train/loss/epoch": loss, "train/metrics/error_left/epoch": ratio.clamp_max(2).mean()}
        values |= {f"train/metrics/{name}/epoch": value for name, value in self.endings.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(seen))
        return loss

    def validation_step(self, batch: TrainingScan, batch_idx: int) -> None:
        size, most = len(batch.scale), self.settings.iterations[1]
        for name, learned in (("learned", True), ("plain", False)):
            generator = torch.Generator().manual_seed(self._seed(2**20, batch_idx))
            ending, _ = reconstruct(self.network, batch, self.settings, generator, learned, iterations=most)
            values = {f"val/metrics/{key}_{name}/epoch": value for key, value in _means([ending]).items()}
            if learned:
                values["val/loss/epoch"] = ending.loss.mean()
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=size)

    def _seed(self, *numbers: int) -> int:
        """What is drawn for a batch follows from its place alone, so that a resumed training draws the same."""
        seed = self.seed
        for number in numbers:
            seed = (seed * 1_000_003 + number + 1) % 2**62
        return seed


def _squares(objects: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Σ w |O − T|² of each, (batch,) float."""
    return (weight * (objects - truth).abs().square()).sum(dim=(-2, -1))


def _means(endings: list[Ending]) -> dict[str, float]:
    """Half the mean logarithms of the errors."""
    objects = torch.cat([ending.object_error for ending in endings])
    photons = torch.cat([ending.photon_error for ending in endings])
    return {
        "object_error": float(0.5 * (objects + 1e-4).log().mean()),
        "photon_error": float(0.5 * (photons + 1e-6).log().mean()),
    }
