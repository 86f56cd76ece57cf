"""Small scans to be reconstructed blindly, and how much of their truth is found."""

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import GuessSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate


def small_scan(
    probe: dict | None = None, scan: dict | None = None, guess: dict | None = None, **changed: object
) -> Dataset:
    """64 frames of 32×32 pixels under a curved disk with overlap and light enough."""
    settings = {
        "size": 32,
        "probe": ProbeSettings(
            **{"kind": "disk", "disk_diameter": 0.5, "disk_curvature": 3.0, "flux": 1e7, **(probe or {})}
        ),
        "scan": ScanSettings(**{"frames": 64, "step": 3.0, **(scan or {})}),
        "guess": GuessSettings(**(guess or {})),
        "seed": 3,
    }
    return simulate(SimulationSettings(**settings | changed)).validate("small")


def plain_engine() -> Blind:
    """The smallest network, untrained."""
    torch.manual_seed(0)
    return Blind(BlindSettings(features=4, depth=1))


def harmful(size: float = 0.3) -> Blind:
    """A network whose corrections are noise."""
    network = plain_engine()
    with torch.no_grad():
        for value in network.correction.parameters():
            value.normal_(0, 0.3)
        network.correction.exit.bias.fill_(size)
    return network


def settings_of(**changed: object) -> BlindReconstructionSettings:
    """One mode from the file's probe, if nothing else is said."""
    return BlindReconstructionSettings(**{"probe_modes": 1, "start": "dataset", **changed})


def correlation(found: torch.Tensor | np.ndarray, dataset: Dataset, shift: tuple[float, float] = (0.0, 0.0)) -> float:
    """Complex correlation of an object with the true one, moved by whole or broken pixels, within the scanned field."""
    low, high = (edge.astype(int) for edge in (dataset.positions.min(axis=0), dataset.positions.max(axis=0)))
    field = (slice(low[0], high[0]), slice(low[1], high[1]))
    rows, columns = (np.fft.fftfreq(length) for length in dataset.object_shape)
    ramp = np.exp(-2j * np.pi * (shift[0] * rows[:, None] + shift[1] * columns))
    truth = np.fft.ifft2(ramp * np.fft.fft2(dataset.truth))[field]
    found = np.asarray(found)[field]
    found, truth = found - found.mean(), truth - truth.mean()
    return float(abs(np.vdot(truth, found)) / np.linalg.norm(truth) / np.linalg.norm(found))


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    """Complex correlation of two probes (modes, N, N), of their first modes."""
    one, other = one[0].flatten(), other[0].flatten()
    return float((one.conj() @ other).abs() / one.norm() / other.norm())


def right_image(dataset: Dataset) -> Reconstruction:
    """The truth itself, under the dataset's probe."""
    return Reconstruction(
        object=dataset.truth,
        coverage=np.ones(dataset.object_shape, np.float32),
        halves=np.stack([dataset.truth] * 2),
        probe=dataset.probe,
        positions=dataset.positions,
        held_out=np.zeros(len(dataset.frames), bool),
        pixel_size=1e-8,
    )
