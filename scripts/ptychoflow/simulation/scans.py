"""Scan patterns to simulate: (frames, 2) float64 (row, column) pixels about the middle of the field."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychoflow.errors import InputError


@dataclass
class ScanSettings:
    """The simulated scan.

    Parameters
    ----------
    kind : {"raster", "fermat", "spiral", "random"}
        Jittered raster, Fermat spiral, spiral of even turns, or uniformly random positions over the raster's area.
    frames : int
        Number of scan positions.
    step : float
        Mean distance of neighbouring positions in pixels.
    jitter : float
        Largest random displacement of the raster along each axis, as a fraction of the step.
    position_error : float
        By how many pixels, root mean square along each axis, the positions that are written down are wrong at random.
    position_drift : tuple of float
        By how many (row, column) pixels more they are wrong at the end of the scan than at its beginning.
    """

    kind: Literal["raster", "fermat", "spiral", "random"] = "raster"
    frames: int = 1024
    step: float = 6.0
    jitter: float = 0.3
    position_error: float = 0.0
    position_drift: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise InputError(f"scan.frames is {self.frames}: expected at least 2")
        if not self.step > 0:
            raise InputError(f"scan.step is {self.step}: expected a positive number of pixels")
        if not 0 <= self.jitter < float("inf"):
            raise InputError(f"scan.jitter is {self.jitter}: expected a fraction of the step of at least 0")
        if not 0 <= self.position_error < float("inf"):
            raise InputError(f"scan.position_error is {self.position_error}: expected at least 0 pixels")
        self.position_drift = tuple(self.position_drift)
        if not np.isfinite(self.position_drift).all():
            raise InputError(f"scan.position_drift is {list(self.position_drift)}: expected two numbers of pixels")


def make_scan(settings: ScanSettings, random: np.random.Generator) -> np.ndarray:
    """Draw the scan positions, (frames, 2) float64 pixels about the middle of the field."""
    frames, step = settings.frames, settings.step
    rows = int(np.ceil(np.sqrt(frames)))
    if settings.kind == "fermat":
        # Golden-angle spiral (Huang et al., Opt. Express 22, 12634, 2014); step²  is the area for each position.
        turn = np.arange(frames)
        radius, angle = step * np.sqrt(turn / np.pi), turn * np.pi * (3 - np.sqrt(5))
        return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    if settings.kind == "spiral":
        # Archimedes' spiral whose turns, and positions along them, are a step apart: step² is the area for each.
        angle = 2 * np.sqrt(np.pi * np.arange(frames))
        radius = step * angle / (2 * np.pi)
        return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    if settings.kind == "random":
        half = step * np.sqrt(frames) / 2
        return random.uniform(-half, half, (frames, 2))
    index = np.arange(frames)
    grid = np.stack([index // rows, index % rows], axis=1) - (rows - 1) / 2
    return step * (grid + random.uniform(-settings.jitter, settings.jitter, (frames, 2)))


def position_errors(settings: ScanSettings, random: np.random.Generator) -> np.ndarray:
    """Draw by how far the positions that are written down are wrong, (frames, 2) float64 pixels, 0 on average."""
    drift = np.linspace(-0.5, 0.5, settings.frames)[:, None] * np.array(settings.position_drift)
    errors = drift + settings.position_error * random.standard_normal((settings.frames, 2))
    return errors - errors.mean(axis=0)
