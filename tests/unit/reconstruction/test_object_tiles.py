"""Tiles of an object, put where they belong and lit by their frames, are the object."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import accumulate_patches
from ptychoflow.physics.tiles import ObjectTile, light_of_frames, placed
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, write_reconstruction
from ptychoflow.reconstruction.pieces import portions_of, write_tile
from ptychoflow.reconstruction.stitching import stitch
from ptychoflow.settings.simulation import ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate


@pytest.fixture(scope="module")
def scan() -> Dataset:
    return simulate(SimulationSettings(scan=ScanSettings(frames=144)))


def true_tile(scan: Dataset, frames: np.ndarray, turn: float = 0.0, outside: int = 0) -> ObjectTile:
    """The true object round some frames under a phase, reaching over the frame's edge by some pixels."""
    truth = torch.from_numpy(scan.truth) * np.exp(1j * turn)
    padded = torch.nn.functional.pad(truth, [outside] * 4, value=7)
    return ObjectTile(torch.from_numpy(frames), padded, torch.tensor([-outside, -outside]))


def stitched(scan: Dataset, tiles: list[ObjectTile], rounds: int) -> tuple[np.ndarray, ...]:
    places, probe = torch.from_numpy(scan.positions), torch.from_numpy(scan.probe)
    return tuple(part.numpy() for part in stitch(lambda: tiles, places, probe, scan.object_shape, rounds))


def test_light_is_the_coverage_of_patches(scan: Dataset):
    positions, weight = torch.from_numpy(scan.positions).float(), incoherent_sum(torch.from_numpy(scan.probe))
    patches = torch.ones(1, len(positions), scan.size, scan.size, dtype=torch.complex64)
    expected = accumulate_patches(patches, weight[None, None], positions[None], scan.object_shape)[1][0]
    torch.testing.assert_close(light_of_frames(positions, weight, scan.object_shape), expected, rtol=1e-5, atol=1e-5)
    assert not light_of_frames(positions[:0], weight, scan.object_shape).any()


@pytest.mark.parametrize("outside", [0, 5])
def test_tiles_of_different_phase_become_the_object(scan: Dataset, outside: int):
    halves = np.array_split(np.argsort(scan.positions[:, 0]), 2)
    tiles = [true_tile(scan, np.sort(half), turn, outside) for half, turn in zip(halves, (0.0, 0.9), strict=True)]
    canvas, coverage, parts = stitched(scan, tiles, rounds=50)
    area = coverage > 0.2 * coverage.max()
    factor = np.vdot(canvas[area], scan.truth[area]) / np.vdot(canvas[area], canvas[area])
    np.testing.assert_allclose(factor * canvas[area], scan.truth[area], atol=0.02)
    # All frames made each tile, so that halves of them would agree with themselves.
    assert np.isnan(parts).all()
    assert np.abs(stitched(scan, tiles, rounds=0)[0][area]).min() < 0.95 * np.abs(canvas[area]).min()


def test_tiles_of_all_frames_alone_have_no_halves_and_those_take_no_room(scan: Dataset, tmp_path: Path):
    canvas, coverage, parts = stitched(scan, [true_tile(scan, np.arange(len(scan.frames)))], rounds=0)
    assert np.isfinite(canvas).all()
    file = tmp_path / "image.h5"
    image = Reconstruction(
        object=canvas,
        coverage=coverage,
        halves=parts,
        probe=scan.probe,
        positions=scan.positions,
        held_out=np.zeros(len(scan.positions), bool),
        pixel_size=scan.pixel_size,
    )
    write_reconstruction(file, image)
    halves = read_reconstruction(file).halves
    assert np.isnan(halves).all()
    assert halves.shape == (2, *canvas.shape)
    assert file.stat().st_size < 1.5 * canvas.nbytes + scan.probe.nbytes + scan.positions.nbytes + 20_000


def test_halves_are_made_of_their_own_objects_and_frames(scan: Dataset):
    whole = true_tile(scan, np.arange(144))
    twice, thrice = ((factor * whole.object[4:, 4:], torch.tensor([4, 4])) for factor in (2, 3))
    canvas, coverage, parts = stitched(scan, [whole._replace(halves=(twice, thrice))], rounds=0)
    area = coverage > 0.3 * coverage.max()
    area[:8] = area[:, :8] = False
    for found, factor in ((canvas, 1), (parts[0], 2), (parts[1], 3)):
        np.testing.assert_allclose(found[area], factor * scan.truth[area], atol=0.05)
    lonely = ObjectTile(torch.tensor([2]), whole.object, whole.corner, (twice, None))
    assert (stitched(scan, [lonely], rounds=1)[2][1] == 1).all()


def test_a_tile_is_read_as_it_was_written(scan: Dataset, tmp_path: Path):
    tile = true_tile(scan, np.arange(9), outside=2)
    written = [tile, tile._replace(halves=((tile.object[1:], tile.corner + 1), None))]
    with h5py.File(tmp_path / "tiles.h5", "w") as file:
        for number, one in enumerate(written):
            write_tile(file.create_group(f"tiles/{number}"), one)
        for one, read in zip(written, portions_of(file), strict=True):
            torch.testing.assert_close(read.object, one.object, rtol=2**-17, atol=0)
            torch.testing.assert_close(read._replace(object=one.object), one, rtol=2**-13, atol=0)


def test_a_tile_lies_where_both_the_frame_and_itself_reach():
    there, here = placed(torch.tensor([-2, 3]), (6, 10), (5, 8))
    assert there == (slice(0, 4), slice(3, 8))
    assert here == (slice(2, 6), slice(0, 5))
