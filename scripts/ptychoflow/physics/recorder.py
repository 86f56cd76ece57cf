"""Kernels of a GPU that are recorded once and then started together (CUDA graphs).

To start a kernel takes the processor some microseconds, which is longer than one of a few frames runs. A step on a
subset has more than a hundred.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

MOST_VALUES = 2**23
"""Of what a call is given, beyond which kernels run for longer than it takes to start them."""
MOST_KEPT = 16
"""Calls that are kept, with what they work on; the one that was not asked for the longest gives way."""

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def call_directly(function: Callable[..., Result], *given: Any) -> Result:
    """Call a function, as a `Recorder` does where there is nothing to record."""
    return function(*given)


class Recorder:
    """Calls pure functions of tensors, and replays their kernels where they are given others of the same shapes again.

    What comes out is the same, and the caller's own. Functions may neither look at values nor draw random ones; they
    give a tensor, or a dataclass of tensors. What they are given beside tensors counts by identity, or by its value
    where it is a number.

    Where a GPU cannot record a function, which is warned of once, everything is called directly.
    """

    def __init__(self) -> None:
        self.kept: OrderedDict[Hashable, _Recording | None] = OrderedDict()
        self.pool = None
        self.able = True

    def __call__(self, function: Callable[..., Result], *given: Any) -> Result:
        tensors = [one for one in given if isinstance(one, Tensor)]
        if not self.able or sum(one.numel() for one in tensors) > MOST_VALUES or not _recordable(tensors):
            return function(*given)
        key = function, *((one.shape, one.dtype) if isinstance(one, Tensor) else one for one in given)
        if key not in self.kept:
            # Made ready by a call: plans of transforms, libraries.
            self._keep(key, None)
            return function(*given)
        recording = self.kept[key]
        if recording is None:
            try:
                self.pool = self.pool or torch.cuda.graph_pool_handle()
                recording = _Recording(function, given, self.pool)
            except RuntimeError as error:
                log.warning("this GPU starts its kernels one by one, which takes longer: %.200s", error)
                self.able = False
                return function(*given)
        self._keep(key, recording)
        return recording(tensors)

    def _keep(self, key: Hashable, recording: "_Recording | None") -> None:
        self.kept[key] = recording
        self.kept.move_to_end(key)
        while len(self.kept) > MOST_KEPT:
            self.kept.popitem(last=False)


class _Recording:
    """The kernels of one call, with the memory that they read and write."""

    def __init__(self, function: Callable, given: tuple[Any, ...], pool: Any) -> None:
        own = [one.clone(memory_format=torch.contiguous_format) if isinstance(one, Tensor) else one for one in given]
        self.read = [one for one in own if isinstance(one, Tensor)]
        self.graph = torch.cuda.CUDAGraph()
        # Other threads, which read files ahead, may use the GPU meanwhile.
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.written = function(*own)

    def __call__(self, tensors: Iterable[Tensor]) -> Any:
        for own, one in zip(self.read, tensors, strict=True):
            own.copy_(one)
        self.graph.replay()
        # Recordings share their memory: the next one may write where this one did.
        if isinstance(self.written, Tensor):
            return self.written.clone()
        return replace(self.written, **{name: value.clone() for name, value in vars(self.written).items()})


def recorder_for(device: torch.device) -> Callable[..., Any]:
    """What calls functions on a device: a `Recorder` on NVIDIA's and AMD's, or nothing but the call."""
    return Recorder() if device.type == "cuda" else call_directly


def _recordable(tensors: Iterable[Tensor]) -> bool:
    """Whether tensors are all on one GPU, and no derivative is asked for."""
    return not torch.is_grad_enabled() and {one.device.type for one in tensors} == {"cuda"}
