"""Modes of a probe by themselves: the light that each has, and steps among a few patterns."""

from dataclasses import replace

import pytest
import torch
from blind_scans import plain_engine, settings_of, small_scan

from ptychoflow.blind.modes import enough_frames, judged_mixture, judged_modes
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.models.blind_state import BlindState

pytestmark = pytest.mark.slow


def begun(iterations: int, modes: int, probe: dict | None = None, **changed: object) -> BlindReconstruction:
    """A scan under two modes, of which one is known, after a few iterations by the plain engine."""
    scan = small_scan({"modes": 2} | (probe or {}), guess={"modes": 1}, **changed)
    run = BlindReconstruction(plain_engine(), scan, settings_of(probe_modes=modes, learned=False))
    with torch.no_grad():
        for number in range(iterations):
            run.iterate(number / 30)
            run.history.append(None)
    return run


@pytest.mark.parametrize(
    ("frames", "size", "expected"),
    [(380, 64, 16), (5000, 32, 16), (12, 64, 12), (107, 128, 10), (60, 128, 6), (19, 512, 4), (2, 512, 2)],
)
def test_few_frames_are_asked_for_the_modes(frames: int, size: int, expected: int):
    assert enough_frames(frames, size) == expected


def test_modes_are_mixed_only_where_frames_that_were_left_out_bear_it():
    run = begun(12, 2)
    with torch.no_grad():
        state, before = run.state, run.deviance(run.state)
        weak = replace(state, probes=state.probes * torch.tensor([1.0, 0.1])[:, None, None])
        found, told = judged_mixture(weak, run.frames, run.fitted, run.deviance)
        assert told == run.deviance(found) < run.deviance(weak)
        assert told == pytest.approx(before, rel=0.1)
        gram = torch.einsum("ahw,bhw->ab", found.probes[0], found.probes[0].conj()).abs()
        assert gram[0, 0] > gram[1, 1] > 1e3 * gram[0, 1]
        kept, told = judged_mixture(state, run.frames, run.fitted, lambda one: 1.0 if one is state else 2.0)
        assert kept is state
        assert told == 1.0


def test_steps_among_patterns_give_a_mode_the_light_that_another_has_too_much():
    # The other is the first one's derivative along the other axis, of which the source has nothing.
    run = begun(9, 3, {"kind": "zone_plate", "flux": 1e6}, size=64, scan={"frames": 64, "step": 6.0})
    with torch.no_grad():
        state = before = run.state.strongest(3)
        told = first = run.deviance(state)
        for _ in range(3):
            state, told = judged_modes(state, run.frames, run.fitted, run.deviance, told)
            assert told == run.deviance(state)
    assert told < first
    gram = torch.einsum("ahw,bhw->ab", state.probes[0], state.probes[0].conj()).abs()
    assert gram[0, 0] > gram[1, 1] > gram[2, 2] > 1e3 * gram.triu(1).max()
    second = [float(one.probes[0, 1].abs().square().sum() / one.probes.abs().square().sum()) for one in (before, state)]
    # The truth is a third, which the object, as it is, does not yet bear.
    assert second[0] < 0.8 * second[1]
    assert second[1] < 0.34


def test_a_step_among_patterns_is_taken_only_where_frames_that_were_left_out_bear_it():
    run = begun(4, 2)
    told = []

    def deviance(state: BlindState) -> float:
        told.append(2.0)
        return told[-1]

    with torch.no_grad():
        kept, after = judged_modes(run.state, run.frames, run.fitted, deviance, 1.0)
    assert kept is run.state
    assert after == 1.0
    # The whole step, a half and a quarter of it.
    assert len(told) == 3
