"""No bad scan ends in a wrong image without a word: each is refused, or warned of, or gives the right image.

``PTYCHOFLOW_BAD_SCANS=500 pytest tests/unit/ingest/test_bad_scans.py`` tries 500 in place of a few.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_scans import FAULTS, BadScan, bad_scan, write
from hidden_faults import HIDDEN_FAULTS
from scipy.spatial import cKDTree

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.models.unrolled import Unrolled
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

SCANS = int(os.environ.get("PTYCHOFLOW_BAD_SCANS", str(3 * len(FAULTS))))
LEAST_LIKENESS = 0.95
"""Correlation with the right image from which on an image is right."""


@pytest.fixture(scope="module")
def scan() -> Dataset:
    settings = SimulationSettings(
        size=48, probe=ProbeSettings(flux=1e6), scan=ScanSettings(frames=100, step=4.0), seed=11
    )
    return simulate(settings).validate("scan")


def patches_of(scan: Dataset, iterations: int = 25) -> np.ndarray:
    """Patches of the object (frames, N, N) by the plain iterative engine."""
    engine = Unrolled(ModelSettings(features=1, depth=1, iterations=iterations, share_weights=True), channels=1)
    amplitudes = torch.fft.ifftshift(torch.from_numpy(np.asarray(scan.frames[:])), dim=(-2, -1)).sqrt()[None]
    mask, probe = torch.fft.ifftshift(torch.from_numpy(scan.mask))[None], torch.from_numpy(scan.probe)
    scale, places = probe.abs().amax(), torch.from_numpy(scan.positions).float()[None]
    with torch.inference_mode():
        patches = engine(amplitudes / scale, (probe / scale)[None], mask, places, Propagator(scan.size, None))
    return patches[0].numpy()


def same_frames(scan: Dataset, read: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in both of the frames that were taken at one place, whatever origin positions have."""
    best: tuple[np.ndarray, np.ndarray] = (np.zeros(0, int), np.zeros(0, int))
    for anchor in range(10):
        moved = read.positions + (scan.positions[anchor] - read.positions[0])
        apart, near = cKDTree(scan.positions).query(moved)
        if (apart < 0.05).sum() > len(best[0]):
            best = near[apart < 0.05], np.flatnonzero(apart < 0.05)
    return best


def likeness(scan: Dataset, right: np.ndarray, read: Dataset) -> float:
    """Correlation of the image of a scan with the right one where the probe has its light; 0 where no frame is."""
    numbers, own = same_frames(scan, read)
    if not len(own):
        return 0.0
    weight = np.abs(scan.probe[0]) ** 2
    one, two = right[numbers], patches_of(read)[own]
    mean = [(weight * patches).sum(axis=(1, 2), keepdims=True) / weight.sum() for patches in (one, two)]
    one, two = one - mean[0], two - mean[1]
    product, powers = (weight * one.conj() * two).sum(), [(weight * np.abs(part) ** 2).sum() for part in (one, two)]
    return float(np.abs(product) / np.sqrt(np.prod(powers)))


def outcome(number: int, scan: Dataset, right: np.ndarray, folder: Path) -> tuple[str, str]:
    """Fault of a bad scan, and what became of it: refused, warned of, right, or wrong without a word."""
    name, bad = bad_scan(scan, number)
    path, settings = write(folder, bad, scan, number)
    try:
        read = read_dataset(path, settings)
    except InputError as error:
        return name, "refused" if str(error).startswith(str(path)) else f"silent of its file: {error}"
    finally:
        path.unlink()
    if read.provenance.get("warnings"):
        return name, "warned of"
    found = likeness(scan, right, read)
    return name, "right" if found >= LEAST_LIKENESS else f"silent ({number}: {bad.fault}, likeness {found:.2f})"


def test_no_bad_scan_ends_in_a_wrong_image_without_a_word(scan: Dataset, tmp_path: Path):
    right = patches_of(scan)
    found = Counter(outcome(number, scan, right, tmp_path) for number in range(SCANS))
    print(*sorted(found.items()), sep="\n")
    assert not [key for key in found if key[1].startswith("silent")]
    # Not all is refused, nor warned of.
    assert {result for _, result in found} == {"refused", "warned of", "right"}


def test_a_scan_without_fault_is_right_and_not_warned_of(scan: Dataset, tmp_path: Path):
    right = patches_of(scan)
    for number in range(0, 4 * len(FAULTS), len(FAULTS)):
        whole = BadScan(scan.frames.astype(np.float64), scan.positions, scan.probe)
        path, settings = write(tmp_path, whole, scan, number)
        read = read_dataset(path, settings)
        assert read.provenance.get("warnings") is None
        assert likeness(scan, right, read) > 0.999


@pytest.mark.parametrize("name", HIDDEN_FAULTS)
def test_a_hidden_fault_spoils_a_copy(name: str, scan: Dataset):
    whole = BadScan(scan.frames.astype(np.float64), scan.positions.copy(), scan.probe)
    one, again = (HIDDEN_FAULTS[name](whole, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(whole.frames, scan.frames)
    np.testing.assert_array_equal(whole.positions, scan.positions)
    np.testing.assert_array_equal(one.frames, again.frames)
    held = [np.array_equal(getattr(one, part), getattr(whole, part)) for part in ("frames", "positions", "probe")]
    assert not all(held) or one.settings
