"""From the numbers that a detector wrote to photons."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass
class Signal:
    """What a number in a frame means.

    Parameters
    ----------
    quantity : {"amplitude", "intensity"}
        What the frames hold; amplitudes are squared.
    corner : bool
        Whether the zero frequency stands in the corner; it is brought to pixel (H // 2, W // 2).
    dark : ndarray, optional
        (H, W) float, mean counts without light, with the zero frequency in the middle.
    threshold : float
        Counts below it, after the dark ones and the pedestal are subtracted, are zero.
    photons_per_count : float
        Gain.
    pedestal : float
        Number that stands for no light, which is subtracted.
    """

    quantity: Literal["amplitude", "intensity"] = "intensity"
    corner: bool = False
    dark: np.ndarray | None = None
    threshold: float = 0.0
    photons_per_count: float = 1.0
    pedestal: float = 0.0

    @property
    def expects_noise(self) -> bool:
        """Whether it is said what becomes of numbers about zero."""
        return self.dark is not None or self.threshold > 0 or self.pedestal != 0

    @property
    def is_plain(self) -> bool:
        """Whether numbers from zero on are photons already."""
        return not self.expects_noise and self.quantity == "intensity" and self.photons_per_count == 1

    def on(self, pixels: np.ndarray) -> "Signal":
        """The same for some pixels alone, by their places in a frame that is laid out flat."""
        return replace(self, dark=None if self.dark is None else self.dark.reshape(-1)[pixels])

    def oriented(self, images: np.ndarray) -> np.ndarray:
        """Bring the zero frequency of images (..., H, W) into the middle."""
        return np.fft.fftshift(images, axes=(-2, -1)) if self.corner else images

    def photons(self, block: np.ndarray, good: np.ndarray | None = None) -> np.ndarray:
        """Turn numbers (n, …) into photons, float32, none below 0; 0 where `good` (…) is False."""
        with np.errstate(over="ignore"):
            counts = np.array(block, np.float32)
        if self.dark is not None:
            counts -= self.dark
        if self.pedestal:
            counts -= np.float32(self.pedestal)
        if block.dtype.kind != "u" or self.expects_noise:
            np.maximum(counts, 0, out=counts)
        if self.threshold:
            counts[counts < self.threshold] = 0
        if self.quantity == "amplitude":
            np.square(counts, out=counts)
        if self.photons_per_count != 1:
            counts *= np.float32(self.photons_per_count)
        if good is not None and not good.all():
            # What stands there may be NaN, which no factor makes 0.
            counts[..., ~good] = 0
        return counts
