"""Beams whose two foci lie on either side of the sample: their shadows are mirrored as positions may be."""

import numpy as np
import pytest
import torch
from blind_scans import plain_engine

import ptychoflow.blind.start as start_module
from ptychoflow.blind.candidates import GIVEN, Candidate, saddle_like
from ptychoflow.blind.pupils import defocused
from ptychoflow.blind.search import Start
from ptychoflow.dataset.position_axes import turned
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.gauge import centre_of

SIZE, DEFOCUS = 64, 60.0
SPOT = (0.125, -0.0625)
"""Cycles per pixel in rows and columns, where a narrow pupil lets light through."""


def spot() -> torch.Tensor:
    frequency = torch.fft.fftfreq(SIZE)
    rows, columns = frequency[:, None] - SPOT[0], frequency - SPOT[1]
    return torch.exp(-(rows**2 + columns**2) / (2 * 0.03**2))


def place(probe: torch.Tensor) -> np.ndarray:
    return centre_of(probe.abs().square()).numpy()


@pytest.mark.parametrize("orientation", [1, 2, 4, 7])
def test_light_goes_where_mirrored_positions_would_have_it(orientation: int):
    one_focus = defocused(spot(), DEFOCUS)
    found = Candidate("mirrored", one_focus[None], orientation, DEFOCUS)
    saddle = saddle_like(found, spot())
    assert saddle.orientation == 0
    assert np.abs(place(one_focus)).min() > 3
    both = np.stack([place(one_focus), -place(one_focus)])
    np.testing.assert_allclose(place(saddle.probe[0]), turned(both, orientation)[0], atol=0.05)


@pytest.mark.parametrize(("orientation", "defocus"), [*((number, DEFOCUS) for number in (0, 3, 5, 6)), (1, None)])
def test_no_saddle_looks_like_turned_positions_or_a_disk(orientation: int, defocus: float | None):
    assert saddle_like(Candidate("turned", spot()[None], orientation, defocus), spot()) is None


def test_a_saddle_that_wins_leaves_what_was_found_of_the_others(monkeypatch: pytest.MonkeyPatch):
    """The error of the file's probe is what tells that it is wrong."""
    probe = defocused(spot(), DEFOCUS)[None]
    mirrored = Start(Candidate("mirrored", probe, 1, DEFOCUS), probe, {GIVEN: 0.3, "mirrored": 0.1})
    answers = [lambda tried: mirrored, lambda tried: Start(tried[1], probe, {"mirrored": 0.09, tried[1].name: 0.01})]
    monkeypatch.setattr(start_module, "search", lambda *args: answers.pop(0)(args[5]))
    counts, mask = spot().square().expand(4, -1, -1), torch.ones(SIZE, SIZE, dtype=torch.bool)
    args = plain_engine(), counts, np.zeros((4, 2)), mask, counts[0], Propagator(SIZE), None
    found = start_module.find_start(*args, every_orientation=True)
    assert found.candidate.orientation == 0
    assert found.errors == {GIVEN: 0.3, "mirrored": 0.09, found.candidate.name: 0.01}
