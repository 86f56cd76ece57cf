"""What a blind reconstruction finds, and what it tells on its way."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ptychoflow.blind.search import Start


@dataclass
class Progress:
    """What is known after an iteration.

    Parameters
    ----------
    iteration, planned : int
        Counted from 1, and how many there will be at least.
    deviance : float
        Poisson deviance per good pixel of frames that were left out.
    seconds : float
        Since the beginning.
    gain : float
        How much of the learned correction was used, 0 to 1.
    """

    iteration: int
    planned: int
    deviance: float
    seconds: float
    gain: float


@dataclass
class BlindResult:
    """A scan, solved for.

    Parameters
    ----------
    object : Tensor
        (H, W) complex64 in the dataset's object frame, mean amplitude 1 where light fell.
    probe : Tensor
        (modes, N, N) complex64, Σ|P|² = photons of an empty beam under that object.
    background : float
        Counts in each pixel that are no diffraction.
    positions : ndarray
        (frames, 2) float64 pixels, as solved for or given.
    brightness : ndarray or None
        (frames,) float32, the light of each frame over the mean of those used; None where it was not solved for.
    used, held_out : ndarray
        Frame numbers int64.
    deviance, expected_deviance : float
        Of the held-out frames, and what a perfect model would have.
    start : Start
        Where it started.
    history : list of Progress
        Iteration by iteration.
    object_shape : tuple of int
        (H, W), the dataset's but for another orientation.
    """

    object: Tensor
    probe: Tensor
    background: float
    positions: np.ndarray
    brightness: np.ndarray | None
    used: np.ndarray
    held_out: np.ndarray
    deviance: float
    expected_deviance: float
    start: Start
    history: list[Progress] = field(default_factory=list)
    object_shape: tuple[int, int] = (0, 0)

    @property
    def brightness_rms(self) -> float | None:
        """Standard deviation of the light of the frames used over its mean; None where it was not solved for."""
        return None if self.brightness is None else float(np.std(self.brightness[self.used]))
