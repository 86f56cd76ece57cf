"""Batches hold what the dataset holds, in the detector's corner order, for one scan and for several."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ptychoflow.dataset.cxi import read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.groups import nearest_frames, pieces_of_groups
from ptychoflow.loading.loaders import GroupLoader, TileLoader, read_ahead
from ptychoflow.loading.tables import Batch, FrameTable, StoredTable
from ptychoflow.loading.tiles import make_tiles
from ptychoflow.loading.truth import true_patches
from ptychoflow.settings.training import GroupSettings

CPU = torch.device("cpu")


def single_frames(table: FrameTable, **settings: object) -> GroupLoader:
    neighbours = torch.arange(len(table.positions))[:, None]
    return GroupLoader(table, neighbours, GroupSettings(size=1, per_anchor=2), batch_size=9, **settings)


def test_the_direct_beam_moves_from_the_centre_to_the_corner(small_dataset: Dataset):
    frames = np.zeros_like(small_dataset.frames)
    frames[:, 16, 16], frames[:, 17, 15] = 49, 16
    table = FrameTable.of([dataclasses.replace(small_dataset, frames=frames)], CPU)
    assert torch.all(table.amplitudes[:, 0, 0] == 7)
    assert torch.all(table.amplitudes[:, 1, -1] == 4)
    assert torch.count_nonzero(table.amplitudes) == 2 * len(frames)


def test_the_dataset_is_left_as_it_was(small_dataset: Dataset):
    before = small_dataset.frames.copy()
    FrameTable.of([small_dataset], CPU)
    np.testing.assert_array_equal(small_dataset.frames, before)


def test_true_patches_at_whole_pixels_are_slices_of_the_truth(small_dataset: Dataset):
    positions = small_dataset.positions.round()
    patches = true_patches(dataclasses.replace(small_dataset, positions=positions))
    for patch, (row, column) in zip(patches, positions.astype(int), strict=True):
        expected = small_dataset.truth[row - 16 : row + 16, column - 16 : column + 16]
        np.testing.assert_allclose(patch, expected, atol=2e-6)


def test_true_patches_explain_the_frames(small_dataset: Dataset):
    patches = true_patches(small_dataset).numpy().astype(complex)
    expected = np.abs(np.fft.fft2(small_dataset.probe * patches, norm="ortho")) ** 2
    counts = np.fft.ifftshift(small_dataset.frames, axes=(1, 2))
    bright = expected > 5
    assert ((counts - expected)[bright] / np.sqrt(expected[bright])).std() == pytest.approx(1, abs=0.05)


def test_a_measured_scan_has_no_true_patches(small_dataset: Dataset):
    with pytest.raises(InputError, match="needs the true object"):
        true_patches(dataclasses.replace(small_dataset, truth=None))


def test_scans_stand_end_to_end_and_keep_their_number(small_dataset: Dataset):
    short = dataclasses.replace(
        small_dataset, frames=small_dataset.frames[:10], positions=small_dataset.positions[:10] + 1
    )
    table = FrameTable.of([small_dataset, short], CPU, with_truth=True)
    assert table.scan.tolist() == [0] * 64 + [1] * 10
    batch = table.batch(torch.tensor([[63, 2], [64, 66]]), reach=5)
    assert batch.scan.tolist() == [0, 1]
    np.testing.assert_allclose(batch.positions[1], short.positions[[0, 2]], rtol=1e-6)
    torch.testing.assert_close(batch.truth[0], true_patches(small_dataset)[[63, 2]])
    torch.testing.assert_close(batch.truth[1], true_patches(short)[[0, 2]])


def test_scans_of_different_frame_sizes_are_refused(small_dataset: Dataset):
    larger = dataclasses.replace(small_dataset, frames=np.ones((64, 48, 48), np.float32))
    with pytest.raises(InputError, match=r"frames of \[32, 48\] pixels"):
        FrameTable.of([small_dataset, larger], CPU)


def test_without_an_epoch_each_frame_comes_once_and_in_order(small_dataset: Dataset):
    loader = single_frames(FrameTable.of([small_dataset], CPU))
    frames = [batch.frames[:, 0] for batch in loader]
    assert torch.cat(frames).tolist() == list(range(64))
    assert len(frames) == len(loader) == 8
    assert loader.reach == 0


def test_with_an_epoch_each_anchor_comes_as_often_as_asked(small_dataset: Dataset):
    loader = single_frames(FrameTable.of([small_dataset], CPU), epoch=lambda: 4)
    frames = torch.cat([batch.frames[:, 0] for batch in loader])
    assert torch.bincount(frames).tolist() == [2] * 64
    assert not torch.equal(frames, frames.sort().values)


def test_processes_without_an_epoch_miss_no_frame(small_dataset: Dataset):
    table = FrameTable.of([small_dataset], CPU)
    loaders = [single_frames(table, rank=rank, replicas=3) for rank in range(3)]
    shares = [torch.cat([batch.frames[:, 0] for batch in loader]) for loader in loaders]
    assert [len(share) for share in shares] == [22, 21, 21]
    assert sorted(torch.cat(shares).tolist()) == list(range(64))
    assert [len(loader) for loader in loaders] == [len(list(loader)) for loader in loaders]


def test_the_reach_is_the_farthest_neighbour_along_an_axis():
    positions = torch.tensor([[0.0, 0.0], [3.2, -6.4], [10.0, 1.0]])
    table = FrameTable(torch.zeros(3, dtype=torch.long), torch.ones(3, 8, 8), positions)
    neighbours = torch.tensor([[0, 1], [1, 0], [2, 1]])
    # From (10, 1) to (3.2, −6.4) it is 7.4 columns.
    assert GroupLoader(table, neighbours, GroupSettings(size=2, neighbours=2), 2).reach == 8


@pytest.fixture
def stored(small_cxi: Path) -> StoredTable:
    return FrameTable.of([read_cxi(small_cxi, frames_in_memory=0)] * 2, CPU, with_truth=True)


def assert_same(batch: Batch, expected: Batch) -> None:
    for name in ("frames", "scan", "amplitudes", "positions", "truth"):
        assert torch.equal(getattr(batch, name), getattr(expected, name))
    assert batch.wanted == expected.wanted


def test_batches_from_a_file_are_those_from_memory(small_dataset: Dataset, stored: StoredTable):
    memory = FrameTable.of([small_dataset] * 2, CPU, with_truth=True)
    groups = torch.tensor([[100, 3, 64], [7, 7, 63]])
    assert_same(stored.batch(groups, reach=9), memory.batch(groups, reach=9))
    tiles = make_tiles(small_dataset.positions, 20, margin=5)
    for batch, expected in zip(TileLoader(stored, tiles), TileLoader(memory, tiles), strict=True):
        assert_same(batch, expected)


@pytest.mark.parametrize("replicas", [1, 3])
def test_an_epoch_from_a_file_has_all_groups_and_reads_each_piece_once(
    small_dataset: Dataset, stored: StoredTable, replicas: int, monkeypatch: pytest.MonkeyPatch
):
    everything, settings = np.arange(64), GroupSettings(size=2, neighbours=4)
    neighbours = nearest_frames(small_dataset.positions, everything, everything, settings)
    pieces = torch.from_numpy(pieces_of_groups(small_dataset.positions, neighbours, 24))
    assert pieces.max() >= 3
    read = []
    monkeypatch.setattr(stored, "piece", lambda frames: read.append(frames) or StoredTable.piece(stored, frames))

    def batches(rank: int, epoch: int) -> list[Batch]:
        share = {"rank": rank, "replicas": replicas, "pieces": pieces, "epoch": lambda: epoch}
        loader = GroupLoader(stored, torch.from_numpy(neighbours), settings, 5, **share)
        found = list(loader)
        assert len(found) == len(loader)
        assert sum(len(batch.frames) for batch in found) == loader.groups_here
        return found

    shares = [batches(rank, epoch=0) for rank in range(replicas)]
    assert len({len(share) for share in shares}) == 1
    anchors = torch.cat([batch.frames[:, 0] for share in shares for batch in share])
    assert len(anchors.unique()) == len(anchors) > 64 - replicas * len(pieces.unique())
    assert len(read) == replicas * len(pieces.unique())
    for batch in shares[0]:
        assert len(pieces[batch.frames[:, 0]].unique()) == 1
        assert_same(batch, FrameTable.of([small_dataset] * 2, CPU, with_truth=True).batch(batch.frames, batch.reach))
    again, other = batches(0, epoch=0), batches(0, epoch=1)
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(shares[0], again, strict=True))
    assert not torch.equal(shares[0][0].frames, other[0].frames)


def test_the_next_piece_is_read_while_one_is_in_use(stored: StoredTable):
    reading = threading.Event()
    pieces = [torch.arange(3), torch.arange(3, 9), torch.arange(9, 12)]

    class Table:
        def piece(self, frames: torch.Tensor) -> FrameTable:
            if frames[0] == 3:
                reading.set()
            return stored.piece(frames)

    for frames, table in read_ahead(pieces, Table()):
        assert torch.equal(table.numbers, frames)
        assert reading.wait(timeout=10)
