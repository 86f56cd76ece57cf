"""Networks from diffraction amplitudes and a probe to object patches, in a registry by name.

Every model is a `torch.nn.Module` with the same call, so one Lightning module trains them all::

    patches = model(amplitudes, probe, mask, positions, propagator)

amplitudes : (batch, C, N, N) float, square roots of photon counts, zero frequency or middle in the corner.
probe : (batch or 1, modes, N, N) complex.
mask : (batch or 1, N, N) bool, True for good detector pixels.
positions : (batch, C, 2) float, (row, column) pixels of the patch centres.
propagator : Propagator, of the far field or of a near one.
patches : (batch, C, N, N) complex, dimensionless.

``model.joins_frames`` says whether the patches of a group are cut from one object, which any number of frames may
share; ``model.tile(...)`` gives that object itself, of one group. Such a model takes one more, ``extent``: (2,) float,
pixels that the positions of the widest group span along either axis, where that group may be in another process's share
of the batch. Otherwise each group has as many frames as in
training, and their patches need not agree.
``model.encoder_parameters()`` gives what stays as it is when only the decoder is fine-tuned.

Amplitudes and probe are both divided by max|P|, so a network never meets photon numbers.
"""

from collections.abc import Callable

from torch import nn

from ptychoflow.errors import InputError
from ptychoflow.models.autoencoder import Autoencoder
from ptychoflow.models.unet import UNet
from ptychoflow.models.unrolled import Unrolled
from ptychoflow.settings.model import ModelSettings

MODELS: dict[str, Callable[..., nn.Module]] = {"autoencoder": Autoencoder, "unet": UNet, "unrolled": Unrolled}


def build_model(settings: ModelSettings, size: int, channels: int) -> nn.Module:
    """Build the network that the settings name.

    Parameters
    ----------
    settings : ModelSettings
        Name and dimensions.
    size : int
        Edge length N of a frame in pixels.
    channels : int
        Frames C of a group.

    Raises
    ------
    InputError
        For a frame size that the network cannot halve as often as it must, or one that is too small.
    """
    if size % 2**settings.depth or size < 4 * 2**settings.depth:
        raise InputError(
            f"frame size {size} does not suit model.depth {settings.depth}: expected a multiple of {2**settings.depth} "
            f"of at least {4 * 2**settings.depth} pixels"
        )
    return MODELS[settings.name](settings, channels)
