"""The networks that are trained for one experiment."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ptychoflow.settings.values import Count, Settings


@dataclass
class ModelSettings(Settings):
    """The network.

    Parameters
    ----------
    name : {"unrolled", "unet", "autoencoder"}
        Architecture: learned PIE iterations, a U-Net on amplitudes, or the plain encoder-decoder of PtychoPINN.
    features : int
        Channels at full resolution; they double with each halving of the resolution.
    depth : int, optional
        How often the resolution is halved; if not given, once in `unrolled` and twice in the others.
    iterations : int
        Learned iterations of `unrolled`; the other models ignore it.
    share_weights : bool
        Whether all iterations of `unrolled` use one set of weights.
    """

    section: ClassVar[str] = "model"
    name: Literal["unrolled", "unet", "autoencoder"] = "unrolled"
    features: Count = 12
    depth: Count | None = None
    iterations: Count = 10
    share_weights: bool = False

    def settle(self) -> None:
        if self.depth is None:
            self.depth = 1 if self.name == "unrolled" else 2

    @property
    def joins_frames(self) -> bool:
        """Whether the network reconstructs any number of frames together, as patches of one object."""
        return self.name == "unrolled"
