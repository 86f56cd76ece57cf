"""Scans that come in little by little under a probe that is not known: image and probe get better as they come."""

import numpy as np
import pytest
import torch
from blind_scans import correlation, harmful, likeness, plain_engine, settings_of, small_scan

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.live import blind as live_module
from ptychoflow.live.blind import ENOUGH, BlindLiveReconstruction
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.gauge import centre_of
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction.stitching import coverage_of

pytestmark = pytest.mark.slow


def live_of(
    dataset: Dataset, network: Blind | None = None, given: bool = True, **changed: object
) -> BlindLiveReconstruction:
    """Live reconstruction from the file's guess, if it has one, in the dataset's frame if that is `given`."""
    guess = torch.from_numpy(dataset.probe) if dataset.probe_known else None
    shape, mask = dataset.object_shape if given else None, torch.from_numpy(dataset.mask)
    return BlindLiveReconstruction(network or plain_engine(), settings_of(**changed), mask, guess, shape)


def feed(
    live: BlindLiveReconstruction, dataset: Dataset, at_once: int = 16, order: np.ndarray | None = None
) -> list[float]:
    """Add all frames in portions, and tell how like the true one the probe is after each from the first image on."""
    order = np.arange(len(dataset.frames)) if order is None else order
    true, likenesses = torch.from_numpy(dataset.reference_probe), []
    for some in np.split(order, range(at_once, len(order), at_once)):
        live.add(dataset.frames[some], dataset.positions[some])
        if live.begun:
            likenesses.append(likeness(live.probe, true))
    return likenesses


def found(live: BlindLiveReconstruction, dataset: Dataset) -> float:
    """Complex correlation with the truth, which stands where the true probe does."""
    probes = live.probe, torch.from_numpy(dataset.reference_probe)
    mine, true = (centre_of(incoherent_sum(probe)) for probe in probes)
    return correlation(live.object, dataset, tuple((mine - true).tolist()))


@pytest.mark.parametrize("guess", [{"defocus_factor": 0.6}, {"kind": "none"}], ids=["out of focus", "none"])
@pytest.mark.parametrize("order", ["raster", "random"])
def test_probe_and_image_are_found_while_frames_come(guess: dict, order: str):
    scan = small_scan(scan={"frames": 144}, guess=guess)
    live = live_of(scan, start="best" if guess.get("kind") else "dataset")
    likenesses = feed(live, scan, order=None if order == "raster" else np.random.default_rng(0).permutation(144))
    assert likenesses[-1] > 0.98
    assert 1 - likenesses[-1] < 0.7 * (1 - likenesses[0])
    assert found(live, scan) > 0.95


@pytest.mark.parametrize("learned", [False, True])
def test_a_frame_that_grows_holds_the_same_image(learned: bool):
    scan = small_scan(guess={"defocus_factor": 0.8})
    known, growing = live_of(scan, learned=learned), live_of(scan, given=False, learned=learned)
    # From the middle upwards and downwards, so that it grows on all sides; with no fraction of a pixel between them.
    scan.positions = scan.positions.round()
    order = np.argsort(np.abs(np.arange(64) - 28), kind="stable")
    for live in (known, growing):
        feed(live, scan, 8, order)
    assert growing.object.shape > known.object.shape
    # Both frames put the same pixel under a position.
    places = torch.from_numpy(scan.positions)
    mine, theirs = (
        extract_patches(live.object[None], (places + live.origin).float()[None], 32)[0] for live in (growing, known)
    )
    weight = incoherent_sum(known.probe)
    error = ((mine - theirs).abs().square() * weight).sum() / ((theirs - theirs.mean()).abs().square() * weight).sum()
    assert error.sqrt() < 0.05
    torch.testing.assert_close(growing.probe, known.probe, atol=0.01 * float(known.probe.abs().max()), rtol=0)


def test_frames_held_out_only_judge():
    scan = small_scan()
    clean = live_of(scan, held_out=0.2, learned=False, smoothing=False)
    feed(clean, scan)
    assert 4 <= clean.held_out.sum() <= 24
    # They are the same however the frames are delivered.
    other = live_of(scan, held_out=0.2, learned=False, smoothing=False)
    feed(other, scan, 5)
    np.testing.assert_array_equal(other.held_out, clean.held_out)
    scan.frames[clean.held_out] = np.random.default_rng(0).permuted(scan.frames[clean.held_out])
    noisy = live_of(scan, held_out=0.2, learned=False, smoothing=False)
    feed(noisy, scan)
    torch.testing.assert_close(noisy.object, clean.object)
    assert noisy.deviance() > 2 * clean.deviance()


def test_corrections_that_do_harm_fade():
    # Few photons: while more than their noise is left, no correction is made.
    scan = small_scan({"flux": 1e4})
    plain, spoiled = live_of(scan, held_out=0.1, learned=False), live_of(scan, harmful(), held_out=0.1)
    for live in (plain, spoiled):
        feed(live, scan)
    assert spoiled.gain < 0.05
    assert found(spoiled, scan) > found(plain, scan) - 0.02


def test_a_start_that_proves_wrong_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_module, "AGAIN", (96,))
    scan = small_scan(scan={"frames": 144}, guess={"kind": "none"})
    wrong = torch.zeros(1, 32, 32, dtype=torch.complex64)
    wrong[:, 4:28, 4:28] = torch.polar(torch.ones(24, 24), torch.rand(24, 24, generator=torch.Generator()) * 6)
    live = live_of(scan)
    live.add(scan.frames[:32], scan.positions[:32])
    live._settle(wrong)
    before = likeness(live.probe, torch.from_numpy(scan.reference_probe))
    likenesses = feed(live, scan, 16, np.arange(32, 144))
    assert before < 0.5
    assert likenesses[-1] > 0.95
    assert "the probe so far" in live.start.errors
    assert found(live, scan) > 0.9


def test_light_is_that_of_the_frames():
    scan = small_scan()
    scan.positions = scan.positions.round()
    live = live_of(scan, held_out=0.1)
    feed(live, scan)
    expected = coverage_of(live.probe.numpy(), scan.positions[~live.held_out], scan.object_shape)
    assert np.abs(live.coverage.numpy() - expected).max() < 0.1 * expected.max()


def test_few_frames_begin_when_they_are_told_to():
    scan = small_scan()
    live = live_of(scan)
    live.begin()
    assert not live.begun
    live.add(scan.frames[: ENOUGH - 1], scan.positions[: ENOUGH - 1])
    assert not live.begun
    live.begin()
    assert live.begun
    assert live.shown.object.shape == scan.object_shape


def shares(probe: torch.Tensor | np.ndarray) -> torch.Tensor:
    powers = torch.as_tensor(probe).abs().square().sum(dim=(-2, -1))
    return powers / powers.sum()


def test_modes_are_kept_while_the_probe_is_put_right():
    scan = small_scan(probe={"modes": 2}, scan={"frames": 144}, guess={"defocus_factor": 0.8})
    live = live_of(scan, probe_modes=2)
    likenesses = feed(live, scan)
    torch.testing.assert_close(shares(live.probe), shares(scan.reference_probe), atol=0.03, rtol=0)
    assert likenesses[-1] > 0.97
    assert found(live, scan) > 0.95


def test_waiting_makes_it_better_and_ends():
    scan = small_scan(guess={"defocus_factor": 0.8})
    live = live_of(scan, learned=False)
    assert not live.improve()
    (*_, before) = feed(live, scan)
    deviance = live.deviance()
    passes = 0
    while live.improve():
        passes += 1
    assert 0 < passes < 100
    assert live.deviance() < 0.8 * deviance
    assert likeness(live.probe, torch.from_numpy(scan.reference_probe)) > before
    live.add(scan.frames[:4], scan.positions[:4])
    assert live.improve()
