"""Sparse scans: how they are told, and object and probe together by least squares."""

from dataclasses import replace

import pytest
import torch
from blind_scans import correlation, plain_engine, settings_of, small_scan

from ptychoflow.blind.reconstruction import as_reconstruction
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.blind.sparse import judged_least_squares, lie_apart, overlap_little
from ptychoflow.models.blind_state import BlindState
from ptychoflow.reconstruction.scoring import score

SPARSE = {"frames": 49, "step": 8.0}


def begun(iterations: int = 6, **changed: object) -> BlindReconstruction:
    """A sparse scan after a few iterations by the plain engine."""
    run = BlindReconstruction(plain_engine(), small_scan(scan=SPARSE, **changed), settings_of(learned=False))
    with torch.no_grad():
        for number in range(iterations):
            run.iterate(number / 30)
    return run


@pytest.mark.parametrize(("scan", "little"), [({}, False), (SPARSE, True)])
def test_they_are_made_where_frames_overlap_little(scan: dict, little: bool):
    run = BlindReconstruction(plain_engine(), small_scan(scan=scan), settings_of())
    assert overlap_little(run.state, run.frames) == little


def test_one_step_explains_frames_better_than_an_iteration():
    run = begun()
    with torch.no_grad():
        state, before = run.state, run.deviance(run.state)
        found, told = judged_least_squares(state, run.frames, run.fitted, run.deviance)
        assert told == run.deviance(found)
        iterated = run.network.iterate(state, run.frames, [run.fitted], 0.3, learned_rates=False)
        assert told < 0.8 * before
        assert told < run.deviance(iterated)


def test_a_step_is_taken_only_where_frames_that_were_left_out_bear_it():
    run = begun()
    told = []

    def deviance(state: BlindState) -> float:
        told.append(1.0 if state is run.state else 2.0)
        return told[-1]

    with torch.no_grad():
        kept, before = judged_least_squares(run.state, run.frames, run.fitted, deviance)
    assert kept is run.state
    assert before == 1.0
    # The whole step, a half and a quarter of it.
    assert told == [1.0, 2.0, 2.0, 2.0]


def test_a_state_that_explains_all_photons_stays_whatever_the_light_of_each_frame_and_the_background():
    run = begun()
    with torch.no_grad():
        photons = run.frames.scale**2
        brightness = torch.linspace(0.5, 1.5, run.frames.positions.shape[1])[None]
        background = torch.tensor([3.0]) / photons
        everything = torch.arange(brightness.shape[1])
        exact = run.frames.modelled(run.state.objects, run.state.probes, torch.zeros(1), everything)
        seen = (brightness[..., None, None] * exact + background[:, None, None, None]).sqrt()
        frames = replace(run.frames, amplitudes=seen, brightness=brightness)
        state = replace(run.state, background=background)
        found, _ = judged_least_squares(state, frames, run.fitted, lambda one: -float(one is not state))
    assert (found.objects - state.objects).norm() < 1e-3 * state.objects.norm()


def test_a_sparse_scan_is_found():
    dataset = small_scan(scan=SPARSE)
    assert correlation(BlindReconstruction(plain_engine(), dataset, settings_of()).run().object, dataset) > 0.97


@pytest.mark.parametrize(("step", "apart"), [(3.0, False), (10.0, True)])
def test_frames_lie_apart_under_a_guess_by_its_light_not_by_its_peak(step: float, apart: bool):
    run = BlindReconstruction(plain_engine(), small_scan(scan={"step": step}), settings_of())
    probe = run.state.probes[0]
    assert lie_apart(probe, run.frames) == apart
    assert lie_apart(30 * probe, run.frames) == apart
    # A spark of a twentieth of the light makes the peak many times as bright.
    spark = probe.clone()
    spark[0, 16, 16] = (0.05 * probe.abs().square().sum()).sqrt()
    assert overlap_little(replace(run.state, probes=spark[None]), run.frames)
    assert lie_apart(spark, run.frames) == apart


@pytest.mark.parametrize(
    ("step", "flux", "fitted"), [(14.0, 1e7, True), (14.0, 2e3, False), (10.0, 1e7, False), (3.0, 1e7, False)]
)
def test_fitted_frames_decide_only_where_they_hardly_overlap_and_hold_photons(step: float, flux: float, fitted: bool):
    dataset = small_scan({"flux": flux}, {"frames": 49, "step": step}, {"defocus_factor": 0.9})
    run = BlindReconstruction(plain_engine(), dataset, settings_of())
    found = run.run()
    assert (run.deciding is run.fitted_judges) == fitted
    assert set(run.fitted_judges.tolist()) <= set(found.used.tolist())
    # What is shown and recorded is what frames that were left out say, whoever decided.
    assert (found.history[-1].deviance > 2 * run.deviance(run.state)) == fitted
    assert found.deviance == pytest.approx(run.deviance(run.state, torch.from_numpy(found.held_out)), rel=0.1)


@pytest.mark.parametrize("most", [0.0, 1e9], ids=["refused", "smoothed"])
def test_what_an_iteration_tells_is_what_the_frames_that_decide_say_of_its_state(
    most: float, monkeypatch: pytest.MonkeyPatch
):
    run = BlindReconstruction(plain_engine(), small_scan(scan={"frames": 49, "step": 14.0}), settings_of())
    run.run()
    own = run.deviance
    # Frames that were left out say how far the object may be smoothed, and decide nothing else.
    monkeypatch.setattr(run, "deviance", lambda state, frames=None: own(state, frames) if frames is None else most)
    with torch.no_grad():
        told = run.iterate(0.9)
        assert run.deciding is run.fitted_judges
        assert told == own(run.state)


def test_fitted_frames_find_what_others_do_not_see(monkeypatch: pytest.MonkeyPatch):
    dataset = small_scan(scan={"frames": 49, "step": 14.0}, guess={"defocus_factor": 0.8})

    def phases() -> float:
        image = as_reconstruction(BlindReconstruction(plain_engine(), dataset, settings_of()).run(), 1e-8)
        return score(image, dataset)[0]["phase_ssim"]

    found = phases()
    monkeypatch.setattr("ptychoflow.blind.solve.tell_by_themselves", lambda *_: False)
    assert found > phases() + 0.05
