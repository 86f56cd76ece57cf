"""Blind iterations: what an untrained network does, what no photon unit may change, and what corrections may not do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blind_scans import harmful, plain_engine, settings_of, small_scan

from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import FEWEST_SUBSETS, LARGEST, Blind, Rates, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.joint_steps import modelled_frames

NEAR = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_scan()


def iterated(dataset: Dataset, passes: int = 6, network: Blind | None = None, **changed: object) -> BlindReconstruction:
    """A reconstruction after a few passes at growing progress."""
    run = BlindReconstruction(network or plain_engine(), dataset, settings_of(**{"smoothing": False, **changed}))
    # Amplitudes alone: at few photons counts of another unit are other counts.
    run.frames.unbiased = False
    with torch.no_grad():
        for number in range(passes):
            run.iterate(number / passes)
    return run


def turned_round(dataset: Dataset) -> Dataset:
    """The same scan of the conjugated object under the conjugated probe: frames turned by half a circle."""
    frames = np.roll(dataset.frames[:, ::-1, ::-1], (1, 1), axis=(1, 2))
    return replace(dataset, frames=np.ascontiguousarray(frames), probe=dataset.probe.conj())


def test_an_untrained_network_corrects_nothing_and_its_rates_know_nothing_of_the_scan(dataset: Dataset):
    run = iterated(dataset, 2)
    change = run.network.learned_change(run.state, run.frames, 0.3)
    assert change.shape == run.state.objects.shape
    assert not change.any()
    features = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    photons = torch.full((5,), 1e3)
    for rate in run.network.rates(features, photons, 0.3):
        assert rate.shape == (5, 2)
        torch.testing.assert_close(rate, rate[:1].expand_as(rate), rtol=0, atol=0)
        assert (rate > 0).all()
    assert (run.network.rates(features, photons, 0.3)[2] < 1).all()


def test_few_photons_are_damped_more_and_take_fewer_subsets():
    photons = torch.tensor([10.0, 1e3, 1e9])
    _, damping, _ = Rates()(torch.zeros(3, 4), photons, 0.0)
    torch.testing.assert_close(damping[:, 0], 0.05 + 0.3 / (1 + photons / 100))
    frames = torch.arange(400)
    counts = [len(subsets(frames, 0.0, torch.Generator().manual_seed(0), photons[i : i + 1])) for i in range(3)]
    assert counts == [4, 25, 25]
    assert len(subsets(frames, 1.0, torch.Generator().manual_seed(0), photons[1:2])) == 2


def test_the_untrained_network_is_the_plain_engine(dataset: Dataset):
    learned, plain = iterated(dataset), iterated(dataset, learned=False)
    torch.testing.assert_close(learned.state.objects, plain.state.objects, rtol=0, atol=0)
    torch.testing.assert_close(learned.state.probes, plain.state.probes, rtol=0, atol=0)


@pytest.mark.parametrize("optics", [{}, NEAR])
def test_passes_lower_the_misfit_and_the_deviance_of_frames_that_were_left_out(optics: dict):
    scan = small_scan(probe={"kind": "diffuser"} if optics else None, **optics)
    run = BlindReconstruction(plain_engine(), scan, settings_of())
    misfits, deviances = [], [run.deviance(run.state)]
    with torch.no_grad():
        for number in range(12):
            run.iterate(number / 12)
            misfits.append(float(run.state.misfit))
            deviances.append(run.deviance(run.state))
    assert misfits[11] < 0.1 * misfits[0]
    assert deviances[12] < 0.05 * deviances[0]


def test_photon_units_and_the_power_of_the_guess_do_not_matter(dataset: Dataset):
    scaled = replace(dataset, frames=7 * dataset.frames, probe=3j * dataset.probe)
    one, other = (iterated(scan, solve_background=False) for scan in (dataset, scaled))
    turn = (one.state.objects.conj() * other.state.objects).mean().sgn()
    torch.testing.assert_close(one.state.objects * turn, other.state.objects, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(one.result().probe.abs() * 7**0.5, other.result().probe.abs(), rtol=1e-3, atol=0.2)
    assert float(other.frames.scale / one.frames.scale) == pytest.approx(7**0.5)
    # Where a background is solved for, it is told how little a single photon says.
    one, other = (iterated(scan) for scan in (dataset, scaled))
    assert other.result().background == pytest.approx(7 * one.result().background, rel=0.02)


def test_a_conjugated_object_is_as_easy():
    # On whole pixels: of the highest frequency, a shift by a fraction has no conjugate.
    dataset = small_scan(scan={"step": 4.0, "jitter": 0.0})
    assert (dataset.positions == dataset.positions.round()).all()
    one, other = (iterated(scan).state for scan in (dataset, turned_round(dataset)))
    torch.testing.assert_close(one.objects, other.objects.conj(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(one.probes.abs(), other.probes.abs(), rtol=1e-3, atol=1e-2)


def test_held_out_frames_never_enter(dataset: Dataset):
    one = iterated(dataset, held_out=0.1, start="best")
    assert len(one.held_out) == 6
    frames = dataset.frames.copy()
    frames[one.held_out] = np.random.default_rng(0).poisson(1e5, (6, 32, 32))
    other = iterated(replace(dataset, frames=frames), held_out=0.1, start="best")
    torch.testing.assert_close(one.state.objects, other.state.objects, rtol=0, atol=0)
    torch.testing.assert_close(one.state.probes, other.state.probes, rtol=0, atol=0)
    assert one.start.errors == other.start.errors
    assert other.deviance(other.state) > 10 * one.deviance(one.state)
    # A frame that is used does enter.
    frames = dataset.frames.copy()
    frames[one.used[20]] = 0
    changed = iterated(replace(dataset, frames=frames), held_out=0.1, start="best")
    assert not torch.equal(one.state.objects, changed.state.objects)


def test_held_out_frames_never_move_those_that_are_used():
    dataset = small_scan(scan={"position_error": 1.0})
    one = iterated(dataset, held_out=0.1, solve_positions=True)
    frames = dataset.frames.copy()
    frames[one.held_out] = np.random.default_rng(0).poisson(1e5, (6, 32, 32))
    other = iterated(replace(dataset, frames=frames), held_out=0.1, solve_positions=True)
    assert not torch.equal(one.frames.positions, one.given)
    fitted = (0, torch.from_numpy(one.used))
    torch.testing.assert_close(one.frames.positions[fitted], other.frames.positions[fitted], rtol=0, atol=0)
    torch.testing.assert_close(one.state.objects, other.state.objects, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_image_and_another_leaves_out_others(dataset: Dataset):
    one, again = (iterated(dataset) for _ in range(2))
    torch.testing.assert_close(one.state.objects, again.state.objects, rtol=0, atol=0)
    other = BlindReconstruction(plain_engine(), dataset, settings_of(held_out=0.1), seed=5)
    first = BlindReconstruction(plain_engine(), dataset, settings_of(held_out=0.1), seed=0)
    assert set(other.held_out) != set(first.held_out)


def test_scans_side_by_side_do_not_mix(dataset: Dataset):
    network = plain_engine()
    alone = BlindReconstruction(network, dataset, settings_of())
    order = subsets(alone.fitted, 0.0, torch.Generator().manual_seed(0))
    stack = ScanFrames(
        alone.frames.amplitudes.expand(2, -1, -1, -1) * torch.tensor([1.0, 0.5])[:, None, None, None],
        alone.frames.positions.expand(2, -1, -1),
        alone.frames.mask.expand(2, -1, -1, -1),
        alone.frames.scale.expand(2),
        alone.frames.propagator,
        unbiased=alone.frames.unbiased,
    )
    both = BlindState.start(alone.state.probes.expand(2, -1, -1, -1), alone.state.objects.shape[1:])
    with torch.no_grad():
        together = network.iterate(both, stack, order, 0.0)
        single = network.iterate(alone.state, alone.frames, order, 0.0)
    for name, value in vars(together.chosen(torch.tensor([0]))).items():
        torch.testing.assert_close(value, getattr(single, name), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together.probes[0], together.probes[1], rtol=0.1)


def test_what_object_and_probe_trade_is_fixed_in_each_pass_and_at_the_end():
    run = iterated(small_scan(probe={"modes": 2}), probe_modes=3)
    light = run.state.light.clamp_max(0.1 * run.state.light.amax())
    assert float((run.state.objects.abs() * light).sum() / light.sum()) == pytest.approx(1, abs=0.02)
    for probe, most in ((run.state.probes[0], 1e-2), (run.result().probe, 1e-6)):
        flat = probe.flatten(1)
        gram = flat @ flat.mH
        powers = gram.diagonal().real
        assert (powers[:-1] >= powers[1:]).all()
        assert (gram - gram.diagonal().diag()).abs().max() < most * powers[0]


def test_gradients_of_learned_iterations_are_finite(dataset: Dataset):
    network = harmful(0.02)
    run = BlindReconstruction(network, dataset, settings_of())
    state = run.state
    for number in range(2):
        order = subsets(run.fitted, 0.5, run.generator)
        state = network.iterate(state, run.frames, order, 0.3 * number)
        state = network.corrected(state, network.learned_change(state, run.frames, 0.3 * number))
    intensity = modelled_frames(
        state.objects, state.probes, run.frames.positions, run.frames.propagator, state.background
    )
    (intensity.sqrt() - run.frames.amplitudes).square().mean().backward()
    gradients = {name: value.grad for name, value in network.named_parameters()}
    assert all(value is not None and value.isfinite().all() for value in gradients.values())
    assert any(value.any() for name, value in gradients.items() if name.startswith("rates"))
    assert gradients["correction.exit.weight"].any()


def test_no_direction_of_the_complex_plane_is_special_to_the_correction(dataset: Dataset):
    run = iterated(dataset, 3)
    network, turn = harmful(), torch.polar(torch.tensor(1.0), torch.tensor(2.1))
    turned = replace(run.state, objects=run.state.objects * turn, object_momentum=run.state.object_momentum * turn)
    with torch.no_grad():
        change, other = (network.learned_change(state, run.frames, 0.3) for state in (run.state, turned))
    assert change.abs().max() > 0.01
    torch.testing.assert_close(change * turn, other, rtol=1e-3, atol=1e-4)
    # Where no light falls nothing is known, and nothing is learned.
    assert change[run.state.light == 0].abs().sum() == 0


def test_no_correction_runs_away(dataset: Dataset):
    run = iterated(dataset, 1)
    corrected = run.network.corrected(run.state, torch.full_like(run.state.objects, 1e6j))
    torch.testing.assert_close(corrected.objects.abs(), torch.full_like(corrected.objects.abs(), LARGEST))


def test_every_pass_takes_each_frame_once_in_fewer_subsets_towards_the_end():
    frames = torch.arange(100, 300)
    counts = []
    for progress in (0.0, 0.5, 1.0):
        parts = subsets(frames, progress, torch.Generator().manual_seed(0))
        torch.testing.assert_close(torch.cat(parts).sort().values, frames)
        counts.append(len(parts))
    assert counts[0] > counts[1] > counts[2] == FEWEST_SUBSETS
    assert [len(part) for part in subsets(frames[:1], 0.0, torch.Generator())] == [1]
