"""What source and detector of a simulation do wrong: pixels without counts, and light that flickers."""

import numpy as np


def draw_mask(size: int, dead_pixels: float, beam_stop: float, random: np.random.Generator) -> np.ndarray:
    """Draw which pixels count, (N, N) bool.

    Parameters
    ----------
    size : int
        Edge length N in pixels.
    dead_pixels : float
        Share of pixels that are dead, at random places.
    beam_stop : float
        Diameter of the stop in the middle as a fraction of N.
    random : numpy.random.Generator
        Source of randomness.
    """
    mask = random.uniform(size=(size, size)) >= dead_pixels
    axis = np.arange(size) - size // 2
    return mask & (np.hypot(axis[:, None], axis[None, :]) >= beam_stop * size / 2)


def draw_brightness(frames: int, flicker: float, random: np.random.Generator) -> np.ndarray:
    """Draw the factor of each frame's light, (frames,) float64: log-normal of mean 1 and relative rms `flicker`."""
    spread = np.sqrt(np.log1p(flicker**2))
    return np.exp(spread * random.standard_normal(frames) - spread**2 / 2)
