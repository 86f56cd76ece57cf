"""Groups hold near frames, the anchor first, and are drawn from the seed alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.groups import (
    draw_anchors,
    draw_groups,
    frames_in_region,
    nearest_frames,
    pieces_of_groups,
    split_frames,
)
from ptychoflow.loading.loaders import GroupLoader
from ptychoflow.loading.module import ScanDataModule
from ptychoflow.loading.tables import FrameTable
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.settings.training import GroupSettings, RegionSettings, TrainingSettings


@pytest.fixture
def positions() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (60, 2))


def loader(dataset: Dataset, groups: GroupSettings, **settings: object) -> GroupLoader:
    frames = np.arange(len(dataset.frames))
    neighbours = torch.from_numpy(nearest_frames(dataset.positions, frames, frames, groups))
    return GroupLoader(FrameTable.of([dataset], torch.device("cpu")), neighbours, groups, 10, **settings)


def test_neighbours_are_the_nearest_by_brute_force(positions: np.ndarray):
    everyone = np.arange(60)
    found = nearest_frames(positions, everyone, everyone, GroupSettings(size=4, neighbours=6))
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(np.argsort(distance, axis=1)[:, :6], axis=1))
    np.testing.assert_array_equal(found[:, 0], everyone)


def test_an_anchor_outside_the_candidates_comes_first_all_the_same(positions: np.ndarray):
    anchors, candidates = np.array([3, 7]), np.setdiff1d(np.arange(60), [3, 7])
    found = nearest_frames(positions, anchors, candidates, GroupSettings(size=3, neighbours=5))
    assert found.shape == (2, 5)
    np.testing.assert_array_equal(found[:, 0], anchors)
    assert not np.isin(found[:, 1:], anchors).any()


def test_frames_at_one_position_do_not_lose_their_anchor():
    everyone = np.arange(5)
    found = nearest_frames(np.zeros((5, 2)), everyone, everyone, GroupSettings(size=2, neighbours=3))
    np.testing.assert_array_equal(found[:, 0], everyone)
    assert all(len(set(row)) == 3 for row in found.tolist())


def test_a_group_repeats_no_frame_and_uses_all_neighbours_in_time():
    neighbours = torch.arange(40).reshape(8, 5)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(50):
        groups = draw_groups(neighbours, 3, generator)
        assert torch.equal(groups[:, 0], neighbours[:, 0])
        assert all(len(set(row)) == 3 for row in groups.tolist())
        seen |= set(groups[0].tolist())
    assert seen == set(range(5))


def test_the_region_is_a_share_of_the_extent(positions: np.ndarray):
    chosen = frames_in_region(positions, RegionSettings(columns=(0.0, 0.5)))
    middle = positions[:, 1].min() + np.ptp(positions[:, 1]) / 2
    np.testing.assert_array_equal(chosen, np.flatnonzero(positions[:, 1] <= middle))


def test_the_split_is_disjoint_complete_and_repeatable():
    training, validation = split_frames(np.arange(100), 0.1, seed=3)
    assert len(validation) == 10
    assert sorted([*training, *validation]) == list(range(100))
    np.testing.assert_array_equal(validation, split_frames(np.arange(100), 0.1, seed=3)[1])
    assert not np.array_equal(validation, split_frames(np.arange(100), 0.1, seed=4)[1])
    assert len(draw_anchors(training, 7, 0)) == 7
    assert len(draw_anchors(training, 1000, 0)) == 90
    with pytest.raises(InputError, match="too few"):
        split_frames(np.arange(1), 0.1, seed=0)


def test_a_part_of_a_scan_holds_out_what_is_held_out_of_the_whole():
    _, whole = split_frames(np.arange(200), 0.1, seed=3)
    part = np.arange(60, 180)
    training, validation = split_frames(np.arange(200), 0.1, 3, part)
    np.testing.assert_array_equal(validation, np.intersect1d(whole, part))
    np.testing.assert_array_equal(training, np.setdiff1d(part, whole))
    # A part that the draw spares gives one frame all the same, and none where none is asked for.
    spared = np.setdiff1d(np.arange(200), whole)[:7]
    assert len(split_frames(np.arange(200), 0.1, 3, spared)[1]) == 1
    assert len(split_frames(np.arange(200), 0.0, 3, spared)[1]) == 0
    with pytest.raises(InputError, match="1 frames are too few"):
        split_frames(np.arange(200), 0.1, 3, spared[:1])


def test_network_and_solver_leave_out_the_same_frames(small_dataset: Dataset):
    _, solver = split_frames(np.arange(64), SolverSettings(held_out=0.2).held_out, 5)
    longer = replace(small_dataset, positions=np.concatenate([small_dataset.positions] * 2))
    settings = TrainingSettings(validation_fraction=0.2)
    for scans in ([small_dataset], [longer, small_dataset], [small_dataset, small_dataset]):
        np.testing.assert_array_equal(ScanDataModule(scans, settings, seed=5).validation[-1], solver)
    region = RegionSettings(columns=(0.0, 0.5))
    left = ScanDataModule([small_dataset], replace(settings, region=region), seed=5)
    inside = frames_in_region(small_dataset.positions, region)
    np.testing.assert_array_equal(left.validation[0], np.intersect1d(solver, inside))


def test_every_frame_is_an_anchor_once_in_an_epoch(small_dataset: Dataset):
    batches = list(loader(small_dataset, GroupSettings(size=4), epoch=lambda: 0))
    assert sorted(torch.cat([batch.frames[:, 0] for batch in batches]).tolist()) == list(range(64))
    assert [len(batch.frames) for batch in batches] == [10] * 6 + [4]


def test_a_batch_holds_the_amplitudes_of_its_frames(small_dataset: Dataset):
    batch = next(iter(loader(small_dataset, GroupSettings(size=4), epoch=lambda: 0)))
    counts = np.fft.ifftshift(small_dataset.frames[batch.frames.numpy()], axes=(2, 3))
    np.testing.assert_allclose(batch.amplitudes.numpy() ** 2, counts, rtol=1e-4, atol=1e-4)
    distance = (batch.positions - batch.positions[:, :1]).abs().max()
    assert distance <= batch.reach


def test_order_and_groups_follow_from_seed_and_epoch(small_dataset: Dataset):
    def frames(seed: int, epoch: int) -> list:
        made = loader(small_dataset, GroupSettings(size=4), seed=seed, epoch=lambda: epoch)
        return [batch.frames.tolist() for batch in made]

    assert frames(0, 3) == frames(0, 3)
    assert frames(0, 3) != frames(0, 4)
    assert frames(0, 3) != frames(1, 3)


@pytest.mark.parametrize("replicas", [2, 3, 7])
def test_processes_share_each_batch_of_one_process(small_dataset: Dataset, replicas: int):
    groups = GroupSettings(size=4)
    shares = [
        list(loader(small_dataset, groups, epoch=lambda: 2, rank=rank, replicas=replicas)) for rank in range(replicas)
    ]
    alone = loader(small_dataset, groups, epoch=lambda: 2)
    alone.batch_size *= replicas
    for batch, *parts in zip(alone, *shares, strict=replicas < 7):
        assert sorted(torch.cat([part.frames for part in parts]).tolist()) == sorted(batch.frames.tolist())
        spans = [part.positions.amax(dim=1) - part.positions.amin(dim=1) for part in parts]
        assert all(torch.equal(part.extent, torch.cat(spans).amax(dim=0)) for part in parts)
    # 64 groups are seven each for nine batches and one that is too few for seven processes.
    assert len(torch.cat([part.frames[:, 0] for share in shares for part in share]).unique()) == 64


def test_a_single_shot_group_is_its_anchor(positions: np.ndarray):
    found = nearest_frames(positions, np.array([4, 9]), np.arange(60), GroupSettings(size=1))
    assert found.tolist() == [[4], [9]]
    assert draw_groups(torch.from_numpy(found), 1, torch.Generator()).tolist() == [[4], [9]]


def test_fewer_candidates_than_a_group_needs_are_refused(positions: np.ndarray):
    with pytest.raises(InputError, match="3 frames cannot form groups of 4"):
        nearest_frames(positions, np.arange(3), np.arange(3), GroupSettings(size=4))


def test_more_neighbours_than_candidates_are_all_of_them(positions: np.ndarray):
    found = nearest_frames(positions, np.arange(5), np.arange(5), GroupSettings(size=2, neighbours=50))
    assert [sorted(row) for row in found.tolist()] == [list(range(5))] * 5


def test_members_of_a_group_are_drawn_evenly():
    neighbours = torch.arange(5).repeat(6000, 1)
    groups = draw_groups(neighbours, 3, torch.Generator().manual_seed(0))
    # Two of four neighbours: each is drawn in half of the groups, by ± 0.5/√6000.
    shares = torch.bincount(groups[:, 1:].flatten(), minlength=5)[1:] / 6000
    np.testing.assert_allclose(shares, 0.5, atol=0.03)


def test_a_region_in_both_directions_and_the_whole_of_it(positions: np.ndarray):
    assert len(frames_in_region(positions, RegionSettings())) == 60
    quarter = frames_in_region(positions, RegionSettings(rows=(0.5, 1.0), columns=(0.0, 0.5)))
    low, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    expected = [i for i, (r, c) in enumerate((positions - low) / extent) if r >= 0.5 and c <= 0.5]
    assert quarter.tolist() == expected


def test_a_line_scan_has_no_extent_across_and_is_used_all_the_same():
    line = np.stack([np.full(10, 30.0), np.arange(10.0)], axis=1)
    assert frames_in_region(line, RegionSettings(columns=(0.0, 0.5))).tolist() == [0, 1, 2, 3, 4]


def test_nothing_is_held_out_where_nothing_is_asked():
    training, validation = split_frames(np.arange(10), 0.0, seed=0)
    assert training.tolist() == list(range(10))
    assert len(validation) == 0
    assert len(split_frames(np.arange(10), 0.01, seed=0)[1]) == 1


def test_anchors_are_drawn_without_repetition_by_the_seed():
    frames = np.arange(100, 200)
    assert draw_anchors(frames, None, 0).tolist() == frames.tolist()
    first, again, other = (draw_anchors(frames, 20, seed) for seed in (0, 0, 1))
    assert len(np.unique(first)) == 20
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("most", [40, 60, 1000])
def test_groups_of_a_piece_share_few_frames(most: int):
    positions = np.random.default_rng(0).uniform(0, (300, 100), (400, 2))
    everything = np.arange(400)
    neighbours = nearest_frames(positions, everything, everything, GroupSettings(size=4, neighbours=9))
    pieces = pieces_of_groups(positions, neighbours, most)
    members = [np.unique(neighbours[pieces == piece]) for piece in range(pieces.max() + 1)]
    assert max(map(len, members)) <= most
    # Pieces are compact: their borders repeat few frames.
    assert sum(map(len, members)) < 3 * 400
    assert (len(members) == 1) == (most == 1000)
