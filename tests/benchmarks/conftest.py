"""Benchmarks use the whole machine, and say how much work they did."""

import os
from collections.abc import Callable
from math import log2, prod

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils.flop_counter import FlopCounterMode

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


def pytest_configure(config: pytest.Config) -> None:
    # Tests of other folders, which this is loaded with, compute on one thread each.
    if not config.getoption("benchmark_skip"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info["threads"] = torch.get_num_threads()
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Callable:
    """Time a call, and note beside it what it worked on: frames, floating-point operations, bytes."""

    def run(call: Callable[[], object], device: torch.device | None = None, **work: float) -> None:
        def whole() -> None:
            call()
            if device is not None and device.type == "cuda":
                torch.cuda.synchronize()

        whole()
        benchmark.extra_info |= {"device": device.type if device else "cpu", **work}
        benchmark(whole)

    return run


def operations_of(call: Callable[[], object]) -> dict[str, int]:
    """Count the floating-point operations of a call: those of convolutions and products, and of Fourier transforms."""
    transform = torch.ops.aten._fft_c2c
    with FlopCounterMode(display=False, custom_mapping={transform: _fourier_operations}) as counter:
        call()
    counts = counter.get_flop_counts()["Global"]
    fourier = counts.pop(transform, 0)
    return {"operations": sum(counts.values()), "fourier_operations": fourier}


def _fourier_operations(shape: tuple[int, ...], axes: list[int], *rest: object, **more: object) -> int:
    """5 n log₂ n for each transform of n points (Van Loan, Computational Frameworks for the FFT, 1992)."""
    return round(5 * prod(shape) * log2(prod(shape[axis] for axis in axes)))
