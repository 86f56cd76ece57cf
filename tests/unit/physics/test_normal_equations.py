"""Least squares that are fed piece by piece, against those of NumPy on all data at once."""

import numpy as np
import pytest
import torch

from ptychoflow.physics.normal_equations import NormalEquations


@pytest.mark.parametrize("weighted", [False, True])
def test_pieces_tell_what_all_data_do(weighted: bool):
    random = np.random.default_rng(0)
    columns, values, home = random.normal(size=(3, 50)), random.normal(size=50), random.normal(size=3)
    weights = random.uniform(size=50) if weighted else np.ones(50)
    equations = NormalEquations()
    for some in np.split(np.arange(50), [7, 30]):
        told = (torch.from_numpy(part[..., some]) for part in (columns, values, weights))
        equations.add(*(told if weighted else list(told)[:2]))
    # A ridge is one more measurement of each parameter.
    curvature = (weights * columns**2).sum(axis=1)
    for ridge, at in (0.0, 0 * home), (0.3, 0 * home), (0.3, home):
        roots = np.sqrt(ridge * curvature)
        matrix = np.concatenate([(np.sqrt(weights) * columns).T, np.diag(roots)])
        expected = np.linalg.lstsq(matrix, np.concatenate([np.sqrt(weights) * values, roots * at]), rcond=None)[0]
        found = equations.solution(lambda seen, ridge=ridge: ridge * seen, torch.from_numpy(at) if at.any() else None)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
