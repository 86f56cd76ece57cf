"""First test of all: what goes into stitching comes out of it."""

import numpy as np
import pytest
import torch

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.loading import true_patches
from ptychoflow.metrics.alignment import scored_area
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.probes import ProbeSettings
from ptychoflow.simulation.scans import ScanSettings
from ptychoflow.simulation.settings import SimulationSettings
from ptychoflow.stitching import stitch


def stitched(dataset: Dataset, patches: torch.Tensor, phase_iterations: int = 0) -> tuple[np.ndarray, ...]:
    positions, probe = torch.from_numpy(dataset.positions), torch.from_numpy(dataset.probe)
    result = stitch(lambda: patches.split(50), positions, probe, dataset.object_shape, phase_iterations)
    return tuple(array.numpy() for array in result)


@pytest.fixture(scope="module")
def scan() -> Dataset:
    return simulate(SimulationSettings(scan=ScanSettings(frames=256)))


@pytest.mark.parametrize("kind", ["zone_plate", "disk"])
def test_true_patches_give_the_true_object(kind: str):
    dataset = simulate(SimulationSettings(scan=ScanSettings(frames=256), probe=ProbeSettings(kind=kind)))
    canvas, coverage, _ = stitched(dataset, true_patches(dataset))
    area = scored_area(coverage, dataset.probe, dataset.positions)
    scores = similarity_scores(canvas, dataset.truth, area)
    assert scores["complex_nrmse"] < 1e-3
    assert scores["amplitude_ssim"] > 0.999
    assert scores["phase_ssim"] > 0.999


def test_patches_of_unknown_phase_are_brought_into_agreement(scan: Dataset):
    patches = true_patches(scan)
    turns = torch.rand(len(patches), generator=torch.Generator().manual_seed(0)) * 1.5
    turned = patches * torch.polar(torch.ones_like(turns), turns)[:, None, None]
    area = scored_area(stitched(scan, patches)[1], scan.probe, scan.positions)
    errors = []
    for iterations in (0, 10):
        canvas = stitched(scan, turned, iterations)[0]
        factor = np.vdot(canvas[area], scan.truth[area]) / np.vdot(canvas[area], canvas[area])
        errors.append(similarity_scores(factor * canvas, scan.truth, area)["complex_nrmse"])
    assert errors[1] < 0.05
    assert errors[0] > 3 * errors[1]


def test_the_image_does_not_depend_on_the_portions(scan: Dataset):
    patches = true_patches(scan)
    positions, probe = torch.from_numpy(scan.positions), torch.from_numpy(scan.probe)
    whole = stitch(lambda: [patches], positions, probe, scan.object_shape)[0]
    torch.testing.assert_close(torch.from_numpy(stitched(scan, patches)[0]), whole, rtol=1e-4, atol=1e-5)


def test_the_halves_are_made_of_even_and_odd_frames(scan: Dataset):
    patches = true_patches(scan)
    patches[1::2] = 5
    canvas, coverage, halves = stitched(scan, patches)
    area = coverage > 0.3 * coverage.max()
    np.testing.assert_allclose(halves[0][area], scan.truth[area], atol=0.05)
    np.testing.assert_allclose(halves[1][area], 5, atol=0.05)
    assert 1 < np.abs(canvas[area]).mean() < 5
