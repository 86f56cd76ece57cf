"""A workflow shows how far its jobs are, by their logs; those that were refused are told from those that failed."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptychoflow.running import job_logs
from ptychoflow.running.job_logs import FollowedJob, FollowedJobs, failures, last_line, was_refused


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A time that passes only when told."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(job_logs.time, "monotonic", lambda: clock.now)
    return clock


def followed(said: list[str], *jobs: FollowedJob) -> FollowedJobs:
    """Followed without a thread."""
    all_jobs = FollowedJobs(said.append)
    all_jobs.jobs = dict(enumerate(jobs))
    return all_jobs


def test_the_last_line_that_tells_progress_is_shown_every_few_seconds(tmp_path: Path, clock: SimpleNamespace):
    log, said = tmp_path / "train.log", []
    log.write_text("step 9 of 10, 90 %: of an earlier attempt\n")
    job = FollowedJob("train demo", [log])
    jobs = followed(said, job)
    with open(log, "a") as stream:
        stream.write("step 1 of 10, 10 %\nprecision 32-true: as configured\nstep 2 of 10, 2")
    clock.now += 2
    jobs.look()
    assert said == []
    clock.now += 4
    jobs.look()
    assert said == ["train demo: step 1 of 10, 10 %"]
    with open(log, "a") as stream:
        stream.write("0 %, 8 s left\n")
    clock.now += 4
    jobs.look()
    assert len(said) == 1
    clock.now += 2
    jobs.look()
    jobs.look()
    assert said[1:] == ["train demo: step 2 of 10, 20 %, 8 s left"]


def test_a_log_that_is_begun_anew_or_not_there_yet_is_followed(tmp_path: Path, clock: SimpleNamespace):
    log, said = tmp_path / "infer.log", []
    log.write_text("batch 5 of 5, 100 %\n" * 10)
    jobs = followed(said, FollowedJob("again", [log]), FollowedJob("new", [tmp_path / "new.log"]))
    log.write_text("batch 1 of 5, 20 %\n")
    (tmp_path / "new.log").write_text("epoch 1 of 5, 20 %\n")
    clock.now += 10
    jobs.look()
    assert said == ["again: batch 1 of 5, 20 %", "new: epoch 1 of 5, 20 %"]


def test_many_jobs_share_about_a_line_a_second(tmp_path: Path, clock: SimpleNamespace):
    said, logs = [], [tmp_path / f"{number}.log" for number in range(50)]
    jobs = followed(said, *(FollowedJob(log.stem, [log]) for log in logs))
    for step in range(100):
        for log in logs:
            with open(log, "a") as stream:
                stream.write(f"step {step} of 100, {step} %\n")
        clock.now += 1
        jobs.look()
    assert 50 <= len(said) <= 110


def test_a_thread_shows_what_comes_until_the_job_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(job_logs, "READ_EVERY", 0.02)
    monkeypatch.setattr(job_logs, "SECONDS", 0.0)
    log, said = tmp_path / "solve.log", []
    jobs = FollowedJobs(said.append)
    jobs.begin(3, "solve", [str(log)])
    log.write_text("epoch 1 of 5, 20 %\n")
    deadline = time.monotonic() + 20
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said == ["solve: epoch 1 of 5, 20 %"]
    assert jobs.end(3).name == "solve"
    assert jobs.end(3) is None
    jobs.stop()
    jobs.thread.join(timeout=20)
    assert not jobs.thread.is_alive()


@pytest.mark.parametrize(
    ("ending", "refused"),
    [
        ("train.py: error: seed is -1: expected a number from 0 on\n", True),
        ("Traceback (most recent call last):\nRuntimeError: CUDA error: the launch timed out\n", False),
        ("step 3 of 10, 30 %\n", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_from_what_may_pass(ending: str, refused: bool, tmp_path: Path):
    log = tmp_path / "train.log"
    log.write_text("train.py: error: of an earlier attempt\n")
    job = FollowedJob("train", [log])
    with open(log, "a") as stream:
        stream.write(ending)
    job.news()
    assert was_refused(job) is refused
    assert last_line(tmp_path / "nowhere.log") == ""


def test_a_failure_names_its_log_only_where_it_was_written(tmp_path: Path):
    log = tmp_path / "train.log"
    log.write_text("step 1 of 9\ntrain.py: error: seed is -1\n\n")
    snakemake = tmp_path / "snakemake.log"
    lines = ("message: {}", "jobid: 3", "log: {} (check log file(s) for error details)", "shell:")
    error = "\n    ".join(("Error in rule {}:", *lines)) + "\n"
    snakemake.write_text(
        "[Fri Nov 27]\n"
        + 2 * (error.format("train", "None", log) + "[Fri Nov 27]\n")
        + error.format("infer", "SLURM refused the job", tmp_path / "infer.log")
        + "Error in group pictures:\n    jobs:\n        rule evaluate:\n            jobid: 4\n"
    )
    assert failures([str(snakemake)]) == [
        f"train failed, see {log}: train.py: error: seed is -1",
        f"infer failed before it wrote a log: see the messages above and {snakemake}",
        f"pictures failed before it wrote a log: see the messages above and {snakemake}",
    ]
    snakemake.write_text("nothing of the kind\n")
    assert failures([str(snakemake)]) == ["Something failed: see the messages above."]
