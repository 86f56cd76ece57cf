"""First test of all: what goes into stitching comes out of it."""

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.truth import true_patches
from ptychoflow.metrics.alignment import scored_area
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.reconstruction import pieces
from ptychoflow.reconstruction.pieces import stitch_file
from ptychoflow.reconstruction.stitching import Portion, coverage_of, stitch
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate


def portions(patches: torch.Tensor, count: int) -> list[Portion]:
    """Patches in the order of the frames, `count` at a time."""
    return list(map(Portion, torch.arange(len(patches)).split(count), patches.split(count)))


def stitched(dataset: Dataset, patches: torch.Tensor, phase_iterations: int = 0) -> tuple[np.ndarray, ...]:
    positions, probe = torch.from_numpy(dataset.positions), torch.from_numpy(dataset.probe)
    result = stitch(lambda: portions(patches, 50), positions, probe, dataset.object_shape, phase_iterations)
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
    whole = stitch(lambda: portions(patches, 1000), positions, probe, scan.object_shape)[0]
    torch.testing.assert_close(torch.from_numpy(stitched(scan, patches)[0]), whole, rtol=1e-4, atol=1e-5)


def test_the_halves_are_made_of_even_and_odd_frames(scan: Dataset):
    patches = true_patches(scan)
    patches[1::2] = 5
    canvas, coverage, halves = stitched(scan, patches)
    area = coverage > 0.3 * coverage.max()
    np.testing.assert_allclose(halves[0][area], scan.truth[area], atol=0.05)
    np.testing.assert_allclose(halves[1][area], 5, atol=0.05)
    assert 1 < np.abs(canvas[area]).mean() < 5


def test_halves_are_made_of_their_own_patches_where_there_are_some(scan: Dataset):
    patches = true_patches(scan)
    positions, probe = torch.from_numpy(scan.positions), torch.from_numpy(scan.probe)
    portion = Portion(torch.arange(256), patches, 2 * patches)
    canvas, coverage, halves = stitch(lambda: [portion], positions, probe, scan.object_shape)
    area = coverage > 0.3 * coverage.max()
    truth = torch.from_numpy(scan.truth)[area]
    torch.testing.assert_close(canvas[area], truth, atol=0.02, rtol=0)
    torch.testing.assert_close(halves[:, area], 2 * truth.expand(2, -1), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    "settings", [{"object": ObjectSettings(kind="siemens_star")}, {"probe": ProbeSettings(modes=2)}]
)
def test_other_objects_and_several_modes_come_out_as_well(settings: dict):
    dataset = simulate(SimulationSettings(scan=ScanSettings(frames=256), **settings))
    canvas, coverage, _ = stitched(dataset, true_patches(dataset))
    area = scored_area(coverage, dataset.probe, dataset.positions)
    assert area.sum() > 5000
    assert similarity_scores(canvas, dataset.truth, area)["complex_nrmse"] < 2e-3


def test_the_order_of_the_frames_does_not_matter(scan: Dataset):
    patches, order = true_patches(scan), torch.randperm(256, generator=torch.Generator().manual_seed(0))
    shuffled = dataclasses.replace(scan, positions=scan.positions[order.numpy()])
    for one, other in zip(stitched(scan, patches)[:2], stitched(shuffled, patches[order])[:2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_frames_may_come_one_by_one(scan: Dataset):
    patches, positions, probe = (
        true_patches(scan)[:9],
        torch.from_numpy(scan.positions)[:9],
        torch.from_numpy(scan.probe),
    )
    whole = stitch(lambda: portions(patches, 1000), positions, probe, scan.object_shape, phase_iterations=1)
    single = stitch(lambda: portions(patches, 1), positions, probe, scan.object_shape, phase_iterations=1)
    for one, other in zip(whole, single, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_where_no_light_fell_the_object_is_one(scan: Dataset):
    canvas, coverage, _ = stitched(scan, true_patches(scan))
    assert np.all(canvas[coverage == 0] == 1)
    assert (coverage == 0).any()


def patches_file(path: Path, scan: Dataset) -> Path:
    with h5py.File(path, "w") as file:
        file["patches"], file["positions"], file["probe"] = true_patches(scan).numpy(), scan.positions, scan.probe
        file["held_out"], file["trained"], file["frames_asked"] = np.zeros(256, bool), np.zeros(256, bool), 256
        file["object_shape"] = np.array(scan.object_shape)
        file["pixel_size"], file["frames"] = scan.pixel_size, np.arange(256)
        file.attrs["provenance"] = json.dumps({"method": "truth", "data": {"program": "simulate.py"}})
    return path


def test_a_file_is_stitched_like_patches_in_memory(scan: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "PATCHES_AT_ONCE", 100)
    read = stitch_file(patches_file(tmp_path / "patches.h5", scan))
    canvas, coverage, halves = stitched(scan, true_patches(scan))
    np.testing.assert_allclose(read.object, canvas, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(read.coverage, coverage, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(read.halves, halves, rtol=1e-3, atol=1e-4)
    assert read.provenance["method"] == "truth"
    assert read.provenance["data"] == {"program": "simulate.py"}
    assert read.provenance["stitching_seconds"] > 0


@pytest.mark.parametrize("key", [*pieces.KEYS, "patches"])
def test_a_file_without_a_key_is_refused(key: str, scan: Dataset, tmp_path: Path):
    path = patches_file(tmp_path / "patches.h5", scan)
    with h5py.File(path, "r+") as file:
        del file[key]
    with pytest.raises(InputError, match=rf"patches\.h5 has no {key}"):
        stitch_file(path)


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "notes.h5").write_text("no patches")
    for name in ("notes.h5", "nowhere.h5"):
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            stitch_file(tmp_path / name)


def test_no_frames_leave_no_light_and_an_empty_object(scan: Dataset):
    nowhere = np.zeros((0, 2))
    assert not coverage_of(scan.probe, nowhere, scan.object_shape).any()
    patches = true_patches(scan)
    positions, probe = torch.from_numpy(scan.positions), torch.from_numpy(scan.probe)
    empty = Portion(torch.arange(0), patches[:0])
    with_empty = stitch(lambda: [empty, *portions(patches, 100)], positions, probe, scan.object_shape, 1)
    without = stitch(lambda: portions(patches, 100), positions, probe, scan.object_shape, 1)
    for one, other in zip(with_empty, without, strict=True):
        torch.testing.assert_close(one, other)
    for source in ([], [empty]):
        canvas, coverage, _ = stitch(lambda source=source: source, positions, probe, scan.object_shape, 1)
        assert (canvas == 1).all()
        assert not coverage.any()
