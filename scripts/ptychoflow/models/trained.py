"""A trained network by itself, without the training that made it: for programs that must begin at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn

from ptychoflow.errors import InputError
from ptychoflow.models import build_model
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import BRIGHT
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings


@dataclass
class TrainedNetwork:
    """A network with the probe and the mask of the one scan that it works on.

    Parameters
    ----------
    network : nn.Module
        One of `ptychoflow.models`.
    scaled_probe : Tensor
        (modes, N, N) complex64, divided by `scale`.
    scale : Tensor
        Scalar, what amplitudes are divided by.
    flux : Tensor
        Scalar, the learned factor between modelled and measured intensities.
    mask : Tensor
        (N, N) bool, True for good pixels, zero frequency in the corner.
    propagator : Propagator
        Of the scan.
    groups : GroupSettings
        Groups that it was trained with.
    description : dict
        The ``ptychoflow`` entry of the checkpoint.
    asks_photons : bool
        Whether `scale` is still that of a file whose flux is not to be trusted: `settle` mends it.
    """

    network: nn.Module
    scaled_probe: Complex[Tensor, "modes N N"]
    scale: Float[Tensor, ""]
    flux: Float[Tensor, ""]
    mask: Bool[Tensor, "N N"]
    propagator: Propagator
    groups: GroupSettings
    description: dict[str, Any]
    asks_photons: bool = False

    def settle(self, amplitudes: Float[Tensor, "frames N N"]) -> None:
        """Take the flux from the first amplitudes (frames, N, N) float32, where the file is not to be trusted."""
        if not self.asks_photons:
            return
        light = incoherent_sum(self.propagator(self.scaled_probe))
        photons = amplitudes[:, self.mask].square().sum(dim=1).quantile(BRIGHT)
        self.scale = (photons / light[self.mask].sum()).sqrt()
        self.asks_photons = False

    @property
    def joins_frames(self) -> bool:
        """Whether any number of frames share one object."""
        return self.network.joins_frames

    @property
    def probe(self) -> Complex[Tensor, "modes N N"]:
        """(modes, N, N) complex64, Σ|P|² = photons in the empty beam."""
        return self.scaled_probe * self.scale * self.flux.sqrt()

    def tile(
        self, amplitudes: Float[Tensor, "1 C N N"], positions: Float[Tensor, "1 C 2"]
    ) -> tuple[Complex[Tensor, "H W"], Int[Tensor, "2"]]:
        """Reconstruct the object of one group, where the network joins frames; parameters as in `patches`.

        Gives the object (H, W) complex64 and (2,) int64, where its first pixel lies in the frame of the positions.
        """
        return self.network.tile(*self._given(amplitudes, positions))

    def patches(
        self, amplitudes: Float[Tensor, "batch C N N"], positions: Float[Tensor, "batch C 2"]
    ) -> Complex[Tensor, "batch C N N"]:
        """Reconstruct groups of frames.

        Parameters
        ----------
        amplitudes : Tensor
            (batch, C, N, N) float32, square roots of photon counts, zero frequency in the corner.
        positions : Tensor
            (batch, C, 2) float32, pixels of the patch centres.

        Returns
        -------
        Tensor
            (batch, C, N, N) complex64.
        """
        return self.network(*self._given(amplitudes, positions))

    def _given(self, amplitudes: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Propagator]:
        probe, mask = self.scaled_probe[None] * self.flux.sqrt(), self.mask[None]
        return amplitudes / self.scale, probe, mask, positions, self.propagator


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU without unpickling objects.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or was not written by PtychoFlow's training.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    # A damaged archive or pickle raises anything from EOFError to IndexError.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise InputError(f"{path} is not a whole checkpoint of tensors ({reason}): expected one of train.py") from None
    if not isinstance(checkpoint, dict) or not {"ptychoflow", "state_dict"} <= checkpoint.keys():
        raise InputError(f"{path} has no entries ptychoflow and state_dict: expected a checkpoint written by train.py")
    return checkpoint


def network_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the network alone, by its own names, from the state of the module that trained it."""
    prefix = "network."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def require_fit(path: Path, network: nn.Module, scans: int, trained: int, probe: str, size: int, scan: Path) -> None:
    """Refuse a scan that a trained network cannot reconstruct.

    Parameters
    ----------
    path : Path
        Checkpoint.
    network : nn.Module
        Its network.
    scans, trained : int
        Scans that it was trained on, and edge length of their frames in pixels.
    probe : {"dataset", "checkpoint"}
        Which probe is to be used.
    size : int
        Edge length of the scan's frames.
    scan : Path
        Its file.

    Raises
    ------
    InputError
        Where its frames have another size, or the checkpoint has no probe for them.
    """
    if size != trained and not network.joins_frames:
        raise InputError(f"{scan} has frames of {size} pixels: {path} was trained on {trained}")
    if probe == "checkpoint" and (scans > 1 or trained != size):
        raise InputError(f"{path} has no single probe of {size} pixels: expected --probe dataset")


def load_trained(
    path: Path,
    probe: Literal["dataset", "checkpoint"],
    dataset_probe: Complex[Tensor, "modes N N"] | None,
    mask: Bool[Tensor, "N N"],
    device: torch.device,
    scan: Path,
) -> TrainedNetwork:
    """Load a network for one scan of far fields.

    Parameters
    ----------
    path : Path
        model.ckpt of a training.
    probe : {"dataset", "checkpoint"}
        Which probe to use.
    dataset_probe : Tensor or None
        (modes, N, N) complex64, the scan's own.
    mask : Tensor
        (N, N) bool, True for good pixels, zero frequency in the centre.
    device : torch.device
        Where to put it.
    scan : Path
        The scan's file.

    Raises
    ------
    InputError
        Where the file is no checkpoint of this version of PtychoFlow, or has not the probe asked for.
    """
    checkpoint = load_checkpoint(path)
    description, state = checkpoint["ptychoflow"], checkpoint["state_dict"]
    try:
        model, training = ModelSettings(**description["model"]), TrainingSettings.of(description["training"])
        pairs, scales, flux = (state[name] for name in ("probe_pairs", "probe_scale", "log_flux"))
        network = build_model(model, pairs.shape[-2], training.groups.size)
        network.load_state_dict(network_weights(state))
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path} does not fit this version of PtychoFlow ({' '.join(str(error).split()):.200}): expected a "
            "checkpoint that it wrote"
        ) from None
    require_fit(path, network, len(pairs), pairs.shape[-2], probe, len(mask), scan)
    if probe == "dataset":
        if dataset_probe is None:
            raise InputError(f"{scan} has no probe: expected --probe checkpoint")
        scale = dataset_probe.abs().amax()
        scaled = dataset_probe / scale
    else:
        scale, scaled = scales[0], torch.view_as_complex(pairs[0].contiguous())
    return TrainedNetwork(
        network.eval().to(device),
        scaled.to(device),
        scale.to(device),
        flux.exp().to(device),
        torch.fft.ifftshift(mask).to(device),
        Propagator(len(mask)).to(device),
        training.groups,
        description,
        asks_photons=training.learn_flux and probe == "dataset",
    )
