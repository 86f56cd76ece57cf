"""A batch in parts, each evaluated with its gradients by a thread of its own; they wait for each other at the end only.

Threads that share one operation wait for each other some thousand times in a training step, oneDNN's in a loop that
keeps their core busy; where other programs hold a core, all of them wait for the thread that has none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ptychoflow.loading.tables import Batch
from ptychoflow.running.hardware import threads_apart
from ptychoflow.training.evaluation import Evaluation, Shares

if TYPE_CHECKING:
    from ptychoflow.training.module import Reconstructor

MOST = 4
"""Parts of a batch: more threads would wait for Python itself, which lets one run at a time."""

Gradients = tuple[Tensor | None, ...]


class PartThreads:
    """Threads that evaluate the parts of a batch.

    Sums are in the order of the parts, so that a training is the same to the last bit whichever thread is first; with
    another number of threads it is the same up to rounding.

    Parameters
    ----------
    parts : int
        Into which a batch is cut.
    """

    def __init__(self, parts: int) -> None:
        self.parts, self.pool = parts, threads_apart(parts)

    @classmethod
    def for_batches(cls, groups: int, device: torch.device, processes: int) -> "PartThreads | None":
        """For batches of so many groups: none on a GPU, beside other processes, or where one thread is all there is."""
        parts = min(groups, torch.get_num_threads(), MOST)
        return None if parts < 2 or device.type != "cpu" or processes > 1 else cls(parts)

    def evaluate(self, module: "Reconstructor", batch: Batch) -> Evaluation:
        """Reconstruct and compare a batch; the objective has the gradients by all weights that are trained."""
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        parts = batch.parts(self.parts)
        own = [module.normalisers(part) for part in parts]
        mean = torch.stack(own).mean(dim=0)
        shares = [Shares.of(each, mean) for each in own]
        # Each thread has an autocast of its own.
        autocast = {"dtype": torch.get_autocast_dtype("cpu"), "enabled": torch.is_autocast_enabled("cpu")}

        def evaluate(part: Batch, share: Shares) -> tuple[Evaluation, Gradients]:
            with torch.autocast("cpu", **autocast):
                evaluation = module.evaluate(part, share)
            return evaluation, torch.autograd.grad(evaluation.objective, weights, allow_unused=True)

        evaluations, gradients = zip(*self.pool.map(evaluate, parts, shares), strict=True)
        whole = Evaluation.of_parts(evaluations)
        return whole._replace(objective=_Mean.apply(whole.objective, gradients, *weights))

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


class _Mean(torch.autograd.Function):
    """The mean of values whose gradients by the weights are known already, or None where one does not depend on it."""

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, gradients: Sequence[Gradients], *weights: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, change: Tensor) -> tuple[Tensor | None, ...]:
        share = change / len(ctx.gradients)
        of_weights = zip(*ctx.gradients, strict=True)
        return None, None, *(None if own[0] is None else sum(own[1:], own[0]) * share for own in of_weights)
