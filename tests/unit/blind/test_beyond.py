"""Light that falls beyond the detector, of frames that a finer model made and a detector cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychoflow.blind.beyond import LEAST_EDGE, beyond_doubts, edge_light
from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

SIZE, FINE, PHOTONS = 16, 4, 3e6


def cut(image: np.ndarray) -> np.ndarray:
    """What the detector of SIZE pixels sees of a far field (FINE SIZE, FINE SIZE) with its zero frequency centred."""
    before = (FINE - 1) * SIZE // 2
    return image[before : before + SIZE, before : before + SIZE]


def scan(sharp: bool) -> Dataset:
    """A disk over blocks with sharp edges, or blurred so that nothing falls beyond, on pixels FINE times as fine."""
    random, wide = np.random.default_rng(5), FINE * SIZE
    axis = np.arange(wide) - wide // 2
    radius = np.hypot(axis[:, None], axis)
    probe = (radius < 0.2 * wide) * np.exp(8j * (radius / wide) ** 2)
    blocks = np.exp(3j * random.random((22, 22)).repeat(6, 0).repeat(6, 1))
    if not sharp:
        frequency = np.fft.fftfreq(wide)
        window = np.exp(-((8 * FINE * np.hypot(frequency[:, None], frequency)) ** 2) / 8)
        probe = np.fft.ifft2(np.fft.fft2(probe) * window)
        big = np.fft.fftfreq(len(blocks))
        smooth = np.exp(-((8 * FINE * np.hypot(big[:, None], big)) ** 2) / 8)
        blocks = np.fft.ifft2(np.fft.fft2(blocks) * smooth)
    corners = np.stack(np.meshgrid(*[np.arange(0, 63, 9)] * 2, indexing="ij"), -1).reshape(-1, 2)
    frames = []
    for row, column in corners:
        wave = probe * blocks[row : row + wide, column : column + wide]
        frames.append(cut(np.abs(np.fft.fftshift(np.fft.fft2(wave))) ** 2))
    frames = np.array(frames)
    frames = random.poisson(frames * (PHOTONS / frames.sum(axis=(1, 2)).max())).astype(np.float32)
    far = cut(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe))))
    coarse = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(far)))
    coarse *= np.sqrt(PHOTONS / np.sum(np.abs(coarse) ** 2))
    return Dataset(
        frames=frames,
        positions=corners / FINE + SIZE / 2,
        probe=coarse[None].astype(np.complex64),
        mask=np.ones((SIZE, SIZE), bool),
        object_shape=(SIZE + 16, SIZE + 16),
        energy=8000.0,
        detector_distance=1.0,
        detector_pixel_size=75e-6,
    )


@pytest.mark.parametrize("sharp", [True, False])
def test_light_beyond_the_detector_is_named_with_the_size_that_mends_it(tmp_path: Path, sharp: bool):
    write_cxi(tmp_path / "scan.cxi", scan(sharp))
    dataset = read_cxi(tmp_path / "scan.cxi")
    assert (edge_light(dataset.frames[:].mean(axis=0), dataset.mask) > LEAST_EDGE) == sharp
    settings = BlindReconstructionSettings(halves=False, probe_modes=1, iterations=8, most_iterations=8)
    record = reconstruct(dataset, tmp_path / "scan.cxi", settings).provenance
    print(record["held_out_deviance"], record["explained_share"])
    assert any("beyond the edges of the frames" in sentence for sentence in record["warnings"]) == sharp
    assert not sharp or any("(detector.size: 24)" in sentence for sentence in record["warnings"])


def test_other_faults_than_lost_light_are_not_called_so():
    """Positions that are wrong: a wider model explains such frames no better."""
    dataset = scan(sharp=True)
    moved = np.random.default_rng(1).normal(0, 1.5, dataset.positions.shape)
    network = Blind(BlindSettings()).eval()
    found = Reconstruction(
        object=np.ones(dataset.object_shape, np.complex64),
        coverage=np.ones(dataset.object_shape, np.float32),
        halves=np.ones((2, *dataset.object_shape), np.complex64),
        probe=dataset.probe,
        positions=dataset.positions,
        held_out=np.zeros(len(dataset.frames), bool),
        pixel_size=1e-8,
    )
    assert beyond_doubts(network, found, dataset)
    assert beyond_doubts(network, replace(found, positions=found.positions + moved), dataset) == []
    few = replace(found, positions=found.positions[:8])
    assert beyond_doubts(network, few, replace(dataset, frames=dataset.frames[:8], positions=few.positions)) == []
