"""Least squares for a few parameters, fed with some of what they are to explain at a time."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


class NormalEquations:
    """Sums over all data that came, in double precision."""

    def __init__(self) -> None:
        self.normal: Tensor | float = 0.0
        self.right: Tensor | float = 0.0

    def add(
        self,
        columns: Float[Tensor, "parameters data"],
        values: Float[Tensor, "data"],
        weights: Float[Tensor, "data"] | None = None,
    ) -> None:
        """Add data.

        Parameters
        ----------
        columns : Tensor
            (parameters, data) float derivatives.
        values : Tensor
            (data,) float that they are to explain.
        weights : Tensor, optional
            (data,) float, all 1 if not given.
        """
        weighted = columns if weights is None else columns * weights
        self.normal = self.normal + (weighted @ columns.mT).double()
        self.right = self.right + (weighted @ values).double()

    def solution(
        self,
        ridge: Callable[[Float[Tensor, "parameters"]], Float[Tensor, "parameters"]],
        home: Float[Tensor, "parameters"] | None = None,
    ) -> Float[Tensor, "parameters"]:
        """Parameters (parameters,) float64, each held by a ridge, told from its curvature, where it is at home.

        Home is 0 if not given.
        """
        normal, right = torch.nan_to_num(self.normal), torch.nan_to_num(self.right)
        held = ridge(normal.diagonal())
        return torch.linalg.solve(normal + held.diag(), right if home is None else right + held * home)
