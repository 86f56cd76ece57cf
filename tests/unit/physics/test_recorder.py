"""Tests of `ptychoflow.physics.recorder` without a GPU: when a call is recorded, kept and given up; see tests/gpu."""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from ptychoflow.physics import recorder
from ptychoflow.physics.recorder import MOST_KEPT, MOST_VALUES, Recorder, call_directly, recorder_for


@dataclass
class Pair:
    total: Tensor
    double: Tensor


def pair(one: Tensor, other: Tensor, factor: float) -> Pair:
    return Pair(one + other, factor * one)


class Replayed:
    """In place of a recording: notes what was recorded, and replays by calling."""

    made: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, function: Any, given: tuple[Any, ...], pool: Any) -> None:
        self.function, self.given = function, given
        self.made.append(tuple(one.shape if isinstance(one, Tensor) else one for one in given))

    def __call__(self, tensors: list[Tensor]) -> Any:
        fresh = iter(tensors)
        return self.function(*(next(fresh) if isinstance(one, Tensor) else one for one in self.given))


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A recorder that takes the CPU for a GPU."""
    monkeypatch.setattr(recorder, "_recordable", lambda tensors: True)
    monkeypatch.setattr(recorder, "_Recording", Replayed)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(Replayed, "made", [])
    return Recorder()


def test_on_a_cpu_it_only_calls():
    assert recorder_for(torch.device("cpu")) is call_directly
    assert isinstance(recorder_for(torch.device("cuda")), Recorder)
    one = torch.arange(3.0)
    record = Recorder()
    for _ in range(3):
        assert torch.equal(record(pair, one, one, 2.0).double, 2 * one)
    assert not record.kept


def test_the_second_call_of_a_kind_is_recorded_and_later_ones_replay_it(recording: Recorder):
    for value in range(4):
        one = torch.full((3,), float(value))
        found = recording(pair, one, one + 1, 2.0)
        assert torch.equal(found.total, 2 * one + 1)
        assert torch.equal(found.double, 2 * one)
    assert Replayed.made == [((3,), (3,), 2.0)]
    # Other shapes and other numbers are other calls.
    recording(pair, torch.ones(4), torch.ones(4), 2.0)
    assert float(recording(pair, torch.ones(3), torch.ones(3), 5.0).double[0]) == 5
    assert len(Replayed.made) == 1
    assert float(recording(pair, torch.ones(3), torch.ones(3), 5.0).double[0]) == 5
    assert len(Replayed.made) == 2


def test_what_is_large_is_called(recording: Recorder):
    large = torch.ones(MOST_VALUES // 2 + 1)
    for _ in range(3):
        recording(pair, large, large, 1.0)
    assert not Replayed.made


def test_only_the_latest_are_kept(recording: Recorder):
    often = torch.ones(1)
    for size in range(2, 40):
        for _ in range(2):
            recording(pair, torch.ones(size), torch.ones(size), 1.0)
            recording(pair, often, often, 1.0)
    assert len(recording.kept) == MOST_KEPT
    assert Replayed.made.count(((1,), (1,), 1.0)) == 1
    recording(pair, torch.ones(2), torch.ones(2), 1.0)
    recording(pair, torch.ones(2), torch.ones(2), 1.0)
    assert Replayed.made.count(((2,), (2,), 1.0)) == 2


def test_a_gpu_that_cannot_record_is_told_of_once(
    recording: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*given: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorder, "_Recording", refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert float(recording(pair, torch.ones(1), torch.ones(1), 3.0).double) == 3
    assert [record.message for record in caplog.records] == [
        "this GPU starts its kernels one by one, which takes longer: operation not permitted when stream is capturing"
    ]
