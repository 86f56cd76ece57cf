"""What is asked of a machine: bfloat16, cores; faked processors and control groups stand for others."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from ptychoflow.running import cores
from ptychoflow.running.cores import usable_cores
from ptychoflow.running.hardware import computes_bfloat16, threads_apart, use_threads
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.training.trainer import settle


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the CPU, and the GPU where there is one, can do this."""

    def pretend(capabilities: dict[str, bool], allowed: bool = True, gpu: bool | None = None) -> None:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: allowed, raising=False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or gpu)

    return pretend


@pytest.mark.parametrize(
    ("capabilities", "allowed", "able"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True, True),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, True, False),
        ({"avx2": True}, False, False),
        ({"avx512_bf16": True}, False, False),
        ({"neon": True, "bf16": True}, True, False),
    ],
    ids=["avx512_bf16", "amx", "avx512 alone", "avx2", "oneDNN held back", "arm"],
)
def test_auto_is_bfloat16_where_the_cpu_has_instructions_for_it(
    capabilities: dict, allowed: bool, able: bool, processor, caplog: pytest.LogCaptureFixture
):
    processor(capabilities, allowed)
    caplog.set_level(logging.INFO)
    settings = TrainingSettings(accelerator="cpu")
    assert computes_bfloat16(on_gpu=False) is able
    assert settle(settings).precision == ("bf16-mixed" if able else "32-true")
    assert settings.precision == "auto"
    (line,) = caplog.messages
    assert line.startswith(f"precision {'bf16-mixed' if able else '32-true'}: this CPU has ")


@pytest.mark.parametrize(("avx512", "amx"), [(True, False), (False, True), (False, False)])
def test_torch_of_before_capabilities_is_asked_of_each(
    avx512: bool, amx: bool, processor, monkeypatch: pytest.MonkeyPatch
):
    processor({})
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert computes_bfloat16(on_gpu=False) is (avx512 or amx)


def test_a_gpu_trains_in_float32_and_what_it_emulates_is_warned_of(processor, caplog: pytest.LogCaptureFixture):
    processor({"avx512_bf16": True}, gpu=True)
    assert settle(TrainingSettings(accelerator="auto")).precision == "32-true"
    assert settle(TrainingSettings(accelerator="cpu")).precision == "bf16-mixed"
    assert settle(TrainingSettings(accelerator="auto", precision="bf16-mixed")).precision == "bf16-mixed"
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]
    # Emulation does not count.
    processor({"avx512_bf16": True}, gpu=False)
    settle(TrainingSettings(accelerator="auto", precision="bf16-mixed"))
    assert "this GPU can only emulate" in caplog.text


def test_several_nodes_come_to_one_answer(processor):
    processor({"avx512_bf16": True})
    assert settle(TrainingSettings(num_nodes=2)).precision == "32-true"


def test_what_is_configured_stays_and_emulation_is_warned_of(processor, caplog: pytest.LogCaptureFixture):
    processor({"avx512_bf16": False})
    assert settle(TrainingSettings(precision="bf16-mixed")).precision == "bf16-mixed"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "this CPU can only emulate" in warning
    caplog.clear()
    processor({"avx512_bf16": True})
    assert settle(TrainingSettings(precision="bf16-mixed")).precision == "bf16-mixed"
    assert settle(TrainingSettings(precision="32-true")).precision == "32-true"
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pretend to run on 8 cores within a control group whose files hold this."""

    def pretend(membership: str, files: dict[str, str]) -> None:
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "groups" / name).write_text(text)
        monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(cores, "CGROUPS", tmp_path / "groups")
        for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))

    return pretend


UNLIMITED = {"cpu.max": "max 100000\n"}
LEGACY = "3:cpuset:/\n1:cpu,cpuacct:/job\n0::/\n"


def legacy(quota: str) -> dict[str, str]:
    """Files of version 1 of control groups."""
    return {"cpu,cpuacct/job/cpu.cfs_quota_us": quota, "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", UNLIMITED, 8),
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/slurm/job/step\n", UNLIMITED | {"slurm/job/cpu.max": "400000 100000\n"}, 4),
        ("0::/docker/abc\n", {"cpu.max": "200000 100000\n"}, 2),
        (LEGACY, legacy("500000\n"), 5),
        (LEGACY, legacy("-1\n"), 8),
    ],
)
def test_cores_are_those_that_the_control_group_leaves(membership: str, files: dict, expected: int, container):
    container(membership, files)
    assert usable_cores() == expected


def test_cores_are_those_that_the_process_is_bound_to(container, monkeypatch: pytest.MonkeyPatch):
    container("0::/\n", {"cpu.max": "600000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 5})
    assert usable_cores() == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_CPUS_ON_NODE": "4"}, 4),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "2"}, 2),
        ({"SLURM_CPUS_PER_TASK": "64"}, 6),
        ({"SLURM_CPUS_ON_NODE": ""}, 6),
    ],
)
def test_cores_are_those_that_slurm_gave(
    variables: dict[str, str], expected: int, container, monkeypatch: pytest.MonkeyPatch
):
    container("0::/\n", {"cpu.max": "600000 100000\n"})
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert usable_cores() == expected


@pytest.fixture
def torch_threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The threads of a torch that is not really there, 16 at first."""
    threads = {"set": 16}
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads["set"])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: threads.update(set=number))
    return threads


@pytest.mark.parametrize(("asked", "used", "warned"), [(2, 2, False), (3, 3, False), (4, 3, True), (None, 3, False)])
def test_threads_are_no_more_than_the_cores(
    asked: int | None, used: int, warned: bool, container, torch_threads: dict, caplog: pytest.LogCaptureFixture
):
    container("0::/\n", {"cpu.max": "300000 100000\n"})
    use_threads(asked)
    assert torch_threads["set"] == used
    expected = ["threads is 4, but there are cores for 3: no more are used"]
    assert caplog.messages == (expected if warned else [])


def test_what_the_environment_says_stays_where_there_are_cores_for_it(container, torch_threads: dict):
    container("0::/\n", UNLIMITED)
    torch_threads["set"] = 5
    use_threads(None)
    assert torch_threads["set"] == 5


def test_tests_compute_on_one_thread():
    # They run several at once, and threads that wait for each other take many times as long.
    assert torch.get_num_threads() == 1


def test_threads_apart_share_those_of_torch():
    torch.set_num_threads(4)
    try:
        with threads_apart(2) as pool:
            together = Barrier(2, timeout=60)
            assert list(pool.map(lambda _: (together.wait(), torch.get_num_threads())[1], range(2))) == [2, 2]
            assert torch.get_num_threads() == 4
            with ThreadPoolExecutor(1) as later:
                assert later.submit(torch.get_num_threads).result() == 4
    finally:
        torch.set_num_threads(1)


def test_every_program_with_threads_sets_them_in_the_one_place():
    scripts = Path(__file__).parents[3] / "scripts"
    programs = [path for path in scripts.glob("*.py") if "threads: PositiveInt" in path.read_text()]
    assert len(programs) >= 10
    for path in programs:
        assert "use_threads(threads)" in path.read_text(), path.name
    elsewhere = [path for path in scripts.rglob("*.py") if "set_num_threads" in path.read_text()]
    assert [path.name for path in elsewhere] == ["hardware.py"]
