"""A training shows that it lives, in a log too, without filling it."""

import logging
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ptychoflow.running import progress
from ptychoflow.running.progress import PROGRESS_LINE, ProgressLog, duration
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.progress import ProgressLines


def lines_of(
    steps: int, seconds: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, begun: int = 0
) -> list[tuple[float, str]]:
    """Lines of a training of so many steps, each of so many seconds, with the time when they came."""
    caplog.set_level(logging.INFO)
    clock, lines, callback = SimpleNamespace(now=1000.0), [], ProgressLines()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    trainer = SimpleNamespace(global_step=begun, is_global_zero=True, estimated_stepping_batches=steps)
    trainer.current_epoch, trainer.max_epochs = 2, 5
    callback.on_train_start(trainer, None)
    while trainer.global_step < steps:
        clock.now += seconds
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, None, {"loss": torch.tensor(0.25)}, None, 0)
        lines += [(clock.now - 1000.0, message) for message in caplog.messages]
        caplog.clear()
    return lines


def test_lines_tell_step_loss_and_time_left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    lines = lines_of(60, 1.0, monkeypatch, caplog)
    assert lines[:2] == [
        (1.0, "step 1 of 60, 1 %: epoch 3 of 5, loss 0.25"),
        (6.0, "step 6 of 60, 10 %, 54 s left: epoch 3 of 5, loss 0.25"),
    ]
    assert [when for when, _ in lines] == [*range(1, 61, 5), 60]
    assert all(PROGRESS_LINE.search(line) for _, line in lines)


def test_the_time_left_of_a_training_that_goes_on_is_that_of_its_own_steps(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    assert lines_of(60, 5.0, monkeypatch, caplog, begun=50)[1] == (
        10.0,
        "step 52 of 60, 86 %, 40 s left: epoch 3 of 5, loss 0.25",
    )


def test_a_long_training_does_not_fill_its_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    week = 7 * 24 * 3600
    lines = lines_of(week // 20, 20.0, monkeypatch, caplog)
    assert len(lines) < 450
    times = [when for when, _ in lines]
    assert max(later - earlier for earlier, later in pairwise(times)) < week / 40
    assert "h left:" in lines[-20][1]
    assert lines[-1][1].startswith(f"step {week // 20} of {week // 20}, 100 %: ")


@pytest.mark.parametrize(("seconds", "words"), [(3.2, "3 s"), (119, "119 s"), (150, "2 min"), (9000, "2.5 h")])
def test_times_are_readable(seconds: float, words: str):
    assert duration(seconds) == words


def test_a_detail_is_asked_for_only_where_a_line_is_written(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    told, asked = ProgressLog("round", 1000), []
    for done in range(1, 900):
        told.tell(done, lambda: asked.append(1) or "far")
    assert caplog.messages == ["round 1 of 1000, 0 %: far"]
    assert len(asked) == 1


@pytest.mark.parametrize("quiet", [False, True])
def test_a_training_without_a_terminal_says_its_progress_unless_it_is_quiet(
    quiet: bool, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    settings = TrainingSettings(max_epochs=1, batch_size=8, accelerator="cpu", groups=GroupSettings(size=2))
    model = ModelSettings(features=4, depth=1, iterations=2)
    TrainingRun([small_cxi], tmp_path, tmp_path / "run", model, settings, seed=0, quiet=quiet).run()
    said = [message for message in caplog.messages if message.startswith("step 1 of 8, 12 %: epoch 1 of 1, loss ")]
    assert len(said) == (0 if quiet else 1)
    assert any(message.startswith("epoch 1/1") for message in caplog.messages)
