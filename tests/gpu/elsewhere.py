"""A second device that is the CPU and behaves like a GPU: what mixes tensors of two devices is refused.

Tensors that are moved to `ELSEWHERE`, torch's device `meta`, keep their values here, but may not meet those of the CPU
other than as single numbers, nor become an array before they are moved back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")
INDEXING = ("aten.index.Tensor", "aten.index_put", "aten._index_put_impl_", "aten._unsafe_index")
COPYING = ("aten.copy_", "aten._to_copy")
AT_ONCE = {
    torch.ops.aten._conj.default: torch.ops.aten._conj_physical.default,
    torch.ops.aten._neg_view.default: torch.ops.aten.neg.default,
}


class Away(Tensor):
    """A tensor elsewhere.

    Parameters
    ----------
    values : Tensor
        What it holds, on the CPU.
    """

    @staticmethod
    def __new__(cls, values: Tensor) -> "Away":
        return Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=ELSEWHERE,
            requires_grad=values.requires_grad,
        )

    def __init__(self, values: Tensor) -> None:
        self.values_here = values

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        # Both are done by torch before it asks which tensor it is.
        if func is Tensor.new_tensor:
            return Away(torch.tensor(args[1], dtype=args[0].dtype))
        if func is Tensor.tolist:
            return args[0].values_here.tolist()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return dispatched(func, args, kwargs or {})

    def __repr__(self, **options: Any) -> str:
        return f"Away({self.values_here!r})"


class Numbers(TorchFunctionMode):
    """Takes numbers of Python to `ELSEWHERE`, which torch does by itself without asking anybody."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        options = kwargs or {}
        if func is torch.tensor and options.get("device") == ELSEWHERE:
            return Away(func(*args, **options | {"device": CPU}))
        return func(*args, **options)


class Elsewhere(TorchDispatchMode):
    """Makes tensors that are asked for on `ELSEWHERE`."""

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return dispatched(func, args, kwargs or {})


def dispatched(func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Do on the CPU what is asked for, unless a GPU would refuse it."""
    name = str(func)
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    asked = kwargs.get("device")
    if not name.startswith(COPYING):
        require_one_device(name, args, tensors)
    wrapped = {id(one.values_here): one for one in tensors if isinstance(one, Away)}
    away = bool(wrapped) if asked is None else torch.device(asked) == ELSEWHERE
    if name.startswith("aten.copy_"):
        away = isinstance(args[0], Away)

    def here(one: Any) -> Any:
        return one.values_here if isinstance(one, Away) else one

    options = tree_map(here, kwargs)
    if asked is not None:
        options["device"] = CPU
    # Marks that a tensor is a conjugate or a negative are not looked at here: it is made one.
    made = AT_ONCE.get(func, func)(*tree_map(here, args), **options)

    def back(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        # What is changed in place, or written to, is the tensor that it was.
        return wrapped[id(one)] if id(one) in wrapped else Away(one) if away else one

    return tree_map(back, made)


def require_one_device(name: str, args: tuple, tensors: list[Tensor]) -> None:
    """Refuse an operation on tensors of both devices, but for single numbers, and indices of the CPU."""
    indices: list[Tensor] = []
    if name.startswith(INDEXING):
        indices = [one for one in tree_leaves(args[1:2]) if isinstance(one, Tensor)]
        tensors = [one for one in tensors if not any(one is index for index in indices)]
    devices = {isinstance(one, Away) for one in tensors if one.dim() > 0}
    if devices == {False} and any(isinstance(one, Away) for one in indices):
        devices = {True, False}
    if len(devices) > 1:
        raise RuntimeError(f"{name} takes tensors on the CPU and elsewhere")


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Give the second device, while its tensors can be made."""
    swapped, autocast = torch.__future__.get_swap_module_params_on_conversion(), torch.autocast
    torch.__future__.set_swap_module_params_on_conversion(True)

    def cast(device: str, *arguments: Any, **options: Any) -> Any:
        return nullcontext() if device == ELSEWHERE.type else autocast(device, *arguments, **options)

    try:
        with patch("torch.autocast", cast), Numbers(), Elsewhere():
            yield ELSEWHERE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapped)
