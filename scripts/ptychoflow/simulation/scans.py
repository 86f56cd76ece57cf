"""Scan patterns to simulate: (frames, 2) float64 (row, column) pixels about the middle of the field."""

import numpy as np

from ptychoflow.settings.simulation import ScanSettings


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
