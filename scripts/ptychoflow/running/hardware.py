"""What the machine at hand can do, asked once: precision of a training, threads of any program.

A setting that was good on one machine may be many times slower on the next. Here each is compared with the processor
itself, never with a stopwatch, so that two runs on one machine are always the same.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Literal

import torch

from ptychoflow.errors import InputError
from ptychoflow.running.cores import usable_cores

log = logging.getLogger(__name__)


def uses_gpu(accelerator: Literal["auto", "cpu", "gpu", "cuda"]) -> bool:
    """Whether Lightning takes a CUDA GPU for this accelerator."""
    return accelerator != "cpu" and torch.cuda.is_available()


def chosen_device(accelerator: str) -> torch.device:
    """Device by Lightning's name of an accelerator: a GPU where one is asked for, or there is one and any will do.

    Raises
    ------
    InputError
        Where a GPU is asked for and none can be used, or something else altogether.
    """
    if accelerator not in ("auto", "cpu", "gpu", "cuda"):
        raise InputError(f"accelerator {accelerator} cannot be used here: expected auto, cpu, gpu or cuda")
    if accelerator in ("gpu", "cuda") and not uses_gpu(accelerator):
        raise InputError(f"accelerator {accelerator} cannot be used here: torch finds no CUDA GPU")
    return torch.device("cuda" if uses_gpu(accelerator) else "cpu")


def device_name(device: torch.device) -> str:
    """What a device is called: the GPU's product name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def computes_bfloat16(on_gpu: bool) -> bool:
    """Whether the processor has instructions for products of bfloat16, instead of emulating them by float32.

    On x86 those are AVX-512-BF16 or AMX. Other CPUs are taken for unable: none was measured.
    """
    if on_gpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # oneDNN, which does the convolutions, may have been told to leave instructions unused (ONEDNN_MAX_CPU_ISA).
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    # torch 2.9 has a function for each; every processor with AMX multiplies bfloat16 by it.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def use_threads(threads: int | None) -> None:
    """Let torch compute with so many CPU threads, and never with more than there are cores for.

    More threads than cores wait for each other, and are far slower than one.

    Parameters
    ----------
    threads : int, optional
        As many as the environment says if not given.
    """
    cores = usable_cores()
    if threads is not None and threads > cores:
        log.warning("threads is %d, but there are cores for %d: no more are used", threads, cores)
    asked = torch.get_num_threads() if threads is None else threads
    if threads is not None or asked > cores:
        torch.set_num_threads(min(asked, cores))


def threads_apart(count: int) -> ThreadPoolExecutor:
    """Threads of Python, each of which computes with its share of those that torch has here.

    Parameters
    ----------
    count : int
        Of them, no more than torch has.
    """
    threads, begun = torch.get_num_threads(), Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(threads // count)
        # A thread takes what was set last, here or elsewhere, when it is asked for the first time, and keeps that.
        torch.get_num_threads()
        begun.wait()

    pool = ThreadPoolExecutor(count, initializer=begin)
    for _ in range(count):
        pool.submit(torch.get_num_threads)
    begun.wait()
    torch.set_num_threads(threads)
    return pool
