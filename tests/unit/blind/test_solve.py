"""Whole blind reconstructions of tiny scans: what is found, when they end, and what they do with impossible ones."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from blind_scans import correlation, harmful, plain_engine, settings_of, small_scan

from ptychoflow.blind.judged import (
    at_home,
    judged_correction,
    judged_smoothing,
    settled,
    wandered,
)
from ptychoflow.blind.positions import lost_frames
from ptychoflow.blind.result import BlindResult, Progress
from ptychoflow.blind.search import Start
from ptychoflow.blind.solve import FADED, PATIENCE, BlindReconstruction
from ptychoflow.blind.verdicts import Verdict
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.iterative.refinement import position_error
from ptychoflow.models.blind import Blind
from ptychoflow.models.blind_state import doubt
from ptychoflow.physics.gauge import centre_of

pytestmark = pytest.mark.slow

NEAR = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}
SETTINGS = {
    "from the file": {},
    "everything": {"start": "best", "solve_positions": True, "probe_modes": 3},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_scan()


@pytest.fixture(scope="module")
def faint() -> Dataset:
    """So few photons that an image soon leaves no more than their noise."""
    return small_scan({"flux": 1e4})


@pytest.fixture(scope="module")
def solved(dataset: Dataset) -> BlindResult:
    return reconstruct(dataset)


def reconstruct(dataset: Dataset, network: Blind | None = None, **changed: object) -> BlindResult:
    return BlindReconstruction(network or plain_engine(), dataset, settings_of(**changed)).run()


def test_object_and_probe_are_found(dataset: Dataset, solved: BlindResult):
    assert solved.object.shape == dataset.truth.shape == solved.object_shape
    assert correlation(solved.object, dataset) > 0.98
    assert solved.probe.shape == (1, 32, 32)
    truth = torch.from_numpy(dataset.probe).flatten()
    found = solved.probe.flatten()
    assert (truth.conj() @ found).abs() > 0.98 * truth.norm() * found.norm()
    np.testing.assert_allclose(solved.positions, dataset.positions, atol=1e-5)
    assert sorted([*solved.used, *solved.held_out]) == list(range(64))
    assert len(solved.held_out) == 3
    # The probe is in photons: it has those of a frame under an object of mean amplitude 1.
    assert float(solved.probe.abs().square().sum()) == pytest.approx(dataset.frames.sum(axis=(1, 2)).mean(), rel=0.2)


def test_nothing_at_all_is_enough():
    dataset = small_scan(guess={"kind": "none"})
    found = reconstruct(dataset, start="best")
    assert correlation(found.object, dataset) > 0.98
    assert not found.start.candidate.given


def test_another_orientation_of_the_positions_is_found_and_its_object_s_frame_with_it():
    dataset = small_scan()
    part = dataset.positions[:, 0] < np.median(dataset.positions[:, 0])
    half = replace(dataset, frames=dataset.frames[part], positions=dataset.positions[part])
    exchanged = replace(half, positions=half.positions[:, ::-1].copy(), object_shape=half.object_shape[::-1])
    found = reconstruct(exchanged, start="best", orientation=True)
    assert found.start.candidate.orientation == 4
    height, width = found.object_shape
    assert height < width
    assert found.object.shape == (height, width)
    offset = (found.positions - half.positions).mean(axis=0)
    np.testing.assert_allclose(found.positions, half.positions + offset, atol=1e-3)
    padded = np.pad(found.object.numpy(), 40, constant_values=1)
    row, column = (40 + offset).round().astype(int)
    moved = padded[row:, column:][: dataset.object_shape[0], : dataset.object_shape[1]]
    assert correlation(moved, half, tuple(-(offset - offset.round()))) > 0.97


def test_positions_are_solved_for():
    dataset = small_scan(scan={"position_error": 1.0})
    before = position_error(dataset.positions, dataset.true_positions)[0]
    found = reconstruct(dataset, solve_positions=True)
    assert before > 0.9
    assert position_error(found.positions, dataset.true_positions)[0] < 0.2
    left = reconstruct(dataset)
    assert found.deviance < 0.2 * left.deviance


def test_frames_that_no_step_brings_home_are_looked_for():
    dataset = small_scan(scan={"position_error": 0.3})
    wrong = dataset.positions.copy()
    lost = [20, 37, 50]
    wrong[lost] += [[5.0, 3.0], [-6.0, 1.0], [2.0, -6.0]]
    found = reconstruct(replace(dataset, positions=wrong), solve_positions=True)
    away = found.positions - dataset.true_positions
    away = np.linalg.norm(away - np.median(away, axis=0), axis=1)
    assert away[lost].max() < 0.3
    assert np.median(away) < 0.1


def test_a_lost_frame_is_found_to_a_pixel_anywhere_within_the_bound(dataset: Dataset):
    run = BlindReconstruction(plain_engine(), dataset, settings_of(iterations=12, most_iterations=12))
    run.run()
    frame, right = 27, run.frames.positions
    parts = run.fitted, torch.from_numpy(run.held_out)
    squares = torch.ones(len(dataset.frames))
    squares[frame] = torch.inf
    for away in [(1.53, 6.72), (-5.0, 5.0), (0.0, 7.9), (3.0, -1.0)]:
        given = right.clone()
        given[0, frame] -= torch.tensor(away)
        run.frames.positions = given
        with torch.no_grad():
            lost, jump = lost_frames(run.state, run.frames, given, parts, 8.0, squares)
        assert lost.tolist() == [frame]
        assert (given[0, frame] + jump[0] - right[0, frame]).abs().max() < 0.75


def test_no_frame_leaves_its_bound():
    dataset = small_scan(scan={"position_error": 2.0})
    found = reconstruct(dataset, solve_positions=True, position_bound=0.5, iterations=12, most_iterations=12)
    moved = np.linalg.norm(found.positions - dataset.positions, axis=1)
    assert 0.45 < moved.max() < 0.51


@pytest.mark.parametrize("background", [100.0, 1000.0])
def test_a_background_is_solved_for(background: float):
    dataset = small_scan(background=background)
    found, without = reconstruct(dataset), reconstruct(dataset, solve_background=False)
    assert found.background == pytest.approx(background, rel=0.1)
    assert without.background == 0
    assert found.deviance < 0.5 * without.deviance


def test_modes_are_found_ordered_and_orthogonal():
    dataset = small_scan(probe={"modes": 2})
    found, single = reconstruct(dataset, probe_modes=2), reconstruct(dataset, probe_modes=1)
    assert correlation(found.object, dataset) > 0.98
    assert found.deviance < 0.5 * single.deviance
    powers = found.probe.abs().square().sum(dim=(1, 2))
    assert powers[0] > powers[1]
    assert (found.probe[0].conj() * found.probe[1]).sum().abs() < 1e-5 * powers[0]
    true_modes = torch.from_numpy(dataset.probe).flatten(1)
    expected = torch.linalg.eigvalsh(true_modes @ true_modes.mH).flip(0)
    torch.testing.assert_close(powers / powers.sum(), expected / expected.sum(), rtol=0.1, atol=0.02)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_second_mode_is_found_along_whichever_axis_the_source_is_wide(axis: int):
    # What is looked for begins as the derivative along the rows.
    scan = small_scan({"modes": 2}, guess={"modes": 1})
    true_modes = torch.from_numpy(scan.reference_probe)
    if axis == 0:
        shape = scan.object_shape[::-1]
        scan = replace(
            scan,
            frames=scan.frames.transpose(0, 2, 1).copy(),
            mask=scan.mask.T.copy(),
            positions=scan.positions[:, ::-1].copy(),
            probe=scan.probe.transpose(0, 2, 1).copy(),
            truth=None,
            object_shape=shape,
        )
        true_modes = true_modes.mT
    found = reconstruct(scan, probe_modes=2)
    assert found.probe.shape[0] == 2
    spanned = torch.linalg.qr(found.probe.flatten(1).mT).Q
    second = torch.linalg.svd(true_modes.flatten(1), full_matrices=False).Vh[1]
    assert float((spanned.mH @ second).norm()) > 0.95


@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_there_are_never_more_modes_than_asked_for(iterations: int):
    scan = small_scan(guess={"modes": 1})
    found = reconstruct(scan, probe_modes=2, iterations=iterations, most_iterations=iterations)
    assert found.probe.shape[0] == 2


@pytest.mark.parametrize("shift", [(1.6, -2.3), (-0.4, 0.7)])
def test_the_object_lies_where_the_guessed_probe_puts_it(shift: tuple[float, float]):
    dataset = small_scan(guess={"shift": shift})
    found = reconstruct(dataset)
    here, home = correlation(found.object, dataset, shift), correlation(found.object, dataset)
    assert here > 0.98
    assert here > home


def test_an_object_and_its_probe_that_wander_off_together_are_brought_home(dataset: Dataset):
    run = BlindReconstruction(plain_engine(), dataset, settings_of())
    with torch.no_grad():
        for number in range(5):
            run.iterate(number / 5)
        before = run.result()
        state = run.state
        moved = {
            name: getattr(state, name).roll((2, -3), (-2, -1))
            for name in ("objects", "probes", "object_momentum", "probe_momentum", "light")
        }
        run.state = at_home(replace(state, **moved), run.home)
        torch.testing.assert_close(run.state.objects, state.objects, rtol=0, atol=0)
        # By a fraction of a pixel it may be off on its way, but not in the result.
        run.state = replace(state, **moved)
        torch.testing.assert_close(run.result().object[20:-20, 20:-20], before.object[20:-20, 20:-20])
        run.state = replace(state, **moved)
        run.iterate(0.2)
        away = centre_of(run.state.probes.abs().square().sum(dim=1))[0] - run.home
        assert away.abs().max() < 0.6


def test_what_lies_across_the_edge_of_the_frame_is_not_far_from_home(dataset: Dataset):
    run = BlindReconstruction(plain_engine(), dataset, settings_of())
    moved = replace(run.state, probes=run.state.probes.roll((15, 0), (-2, -1)))
    home = run.home - torch.tensor([15.0, 0.0])
    # By 30 of 32 pixels one way is by 2 the other way.
    torch.testing.assert_close(wandered(moved, home), torch.tensor([-2.0, 0.0]), atol=0.1, rtol=0)


def test_the_image_that_is_kept_explains_held_out_frames_best(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    run = BlindReconstruction(
        plain_engine(), dataset, settings_of(iterations=6, most_iterations=30, learned=False, smoothing=False)
    )
    told, states = iter([5.0, 3.0, 2.0, 2.5, 2.2, 2.4, *[9.0] * 30]), []

    def deviance(state: object, frames: object = None) -> float:
        states.append(state)
        return next(told)

    monkeypatch.setattr(run, "deviance", deviance)
    monkeypatch.setattr(Verdict, "unfinished", False)
    shown: list[Progress] = []
    run.run(shown.append)
    assert run.state is states[2]
    assert [one.deviance for one in shown[:6]] == [5.0, 3.0, 2.0, 2.5, 2.2, 2.4]
    # Three in vain had passed when what was planned was done.
    assert len(shown) == 6


def test_it_goes_on_while_held_out_frames_are_explained_better(dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    settings = settings_of(iterations=3, most_iterations=12, learned=False, smoothing=False)
    falling = [1 / number for number in range(1, 8)]
    for told, expected in ((falling + [1.0] * 20, 7 + PATIENCE), ([0.9**n for n in range(50)], 12), ([1.0] * 50, 4)):
        run = BlindReconstruction(plain_engine(), dataset, settings)
        sequence = iter(told)
        monkeypatch.setattr(run, "deviance", lambda state, frames=None, sequence=sequence: next(sequence))
        monkeypatch.setattr(Verdict, "unfinished", False)
        assert len(run.run().history) == expected


def test_a_fraction_of_a_pixel_is_moved_unless_frames_are_then_explained_worse(dataset: Dataset):
    run = BlindReconstruction(plain_engine(), dataset, settings_of())
    home = run.home + torch.tensor([0.4, -0.3])
    there = settled(run.state, home, lambda state: 1.005 - 0.005 * (state is run.state))
    torch.testing.assert_close(wandered(there, home), torch.zeros(2), atol=0.02, rtol=0)
    left = settled(run.state, home, lambda state: 1.02 - 0.02 * (state is run.state))
    assert left.objects is run.state.objects
    torch.testing.assert_close(wandered(left, home), wandered(run.state, home))


@pytest.mark.parametrize("probe", [{"disk_diameter": 1.0}, {"kind": "diffuser"}], ids=["disk", "diffuser"])
def test_the_frames_of_a_near_field_tell_where_its_light_is_whatever_the_file_says(probe: dict):
    scan = small_scan(probe, **NEAR)
    settings = settings_of(start="photons", iterations=12, most_iterations=12)
    beside = replace(scan, probe=np.roll(scan.probe, (3, -2), (-2, -1)))
    found, other = (BlindReconstruction(plain_engine(), one, settings).run() for one in (scan, beside))
    torch.testing.assert_close(other.object, found.object)
    # What is handed on is what was judged.
    reached = min(one.deviance for one in found.history)
    assert found.deviance == pytest.approx(reached, rel=1e-3)


def test_a_start_that_has_wandered_is_brought_to_the_middle_where_no_probe_is_known():
    scan, truth = small_scan(guess={"kind": "none"}), torch.from_numpy(small_scan().probe)
    start = Start.given(truth.roll((6, -5), (-2, -1)))
    run = BlindReconstruction(plain_engine(), scan, settings_of(), start=start)
    found = run.run()
    assert centre_of(found.probe.abs().square().sum(dim=0)).abs().max() < 0.1
    # So the image lies where the positions say.
    assert correlation(found.object, scan) > 0.98


@pytest.mark.parametrize(
    ("rounds", "expected", "kept"), [([8, 4, 3.9], 9, 8), ([8, 7.9], 6, 5), ([8, 9], 6, 2), ([8, 4, 2, 1], 12, 11)]
)
def test_it_begins_anew_while_much_is_left_and_that_helps(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, rounds: list[float], expected: int, kept: int
):
    settings = settings_of(iterations=3, most_iterations=12, learned=False, smoothing=False)
    run = BlindReconstruction(plain_engine(), dataset, settings)
    progress, states = [], []

    def iterate(share: float) -> float:
        progress.append(share)
        run.state = replace(run.state)
        states.append(run.state)
        # The last but one iteration of each round is its best.
        return rounds[(len(progress) - 1) // 3] + (len(progress) % 3 != 2)

    monkeypatch.setattr(run, "iterate", iterate)
    monkeypatch.setattr("ptychoflow.blind.solve.PATIENCE", 0)
    monkeypatch.setattr(Verdict, "unfinished", True)
    history = run.run().history
    assert [one.iteration for one in history] == list(range(1, expected + 1))
    assert progress == [0.0, 1 / 3, 2 / 3] * (expected // 3)
    assert run.state is states[kept - 1]


def test_progress_is_shown_as_it_is_made(dataset: Dataset, solved: BlindResult):
    shown: list[Progress] = []
    run = BlindReconstruction(plain_engine(), dataset, settings_of(iterations=4, most_iterations=4))
    result = run.run(shown.append)
    assert shown == result.history
    assert [one.iteration for one in shown] == [1, 2, 3, 4]
    assert all(one.seconds < two.seconds for one, two in pairwise(shown))
    assert solved.deviance == pytest.approx(min(one.deviance for one in solved.history), rel=0.1)
    assert solved.deviance > 0.9 * solved.expected_deviance


def test_corrections_that_hurt_are_faded_out(faint: Dataset):
    spoiled, plain = reconstruct(faint, harmful()), reconstruct(faint, learned=False)
    assert min(spoiled.history[number].gain for number in range(3)) <= 0.5
    assert FADED / 2 <= spoiled.history[-1].gain < FADED
    assert spoiled.deviance <= 1.01 * plain.deviance
    assert correlation(spoiled.object, faint) > correlation(plain.object, faint) - 0.01


def test_no_correction_is_made_while_more_than_noise_is_left(dataset: Dataset, faint: Dataset):
    asked = []
    network = plain_engine()
    network.learned_change = lambda state, *args: asked.append(run.verdict(state)) or torch.zeros_like(state.objects)
    for scan, photons_are_few in ((faint, True), (dataset, False)):
        run = BlindReconstruction(network, scan, settings_of())
        asked.clear()
        with torch.no_grad():
            for number in range(4):
                run.iterate(number / 30)
        assert bool(asked) == photons_are_few
        assert run.verdict(run.state).misfits != photons_are_few
        assert not any(verdict.misfits for verdict in asked)


def test_where_no_correction_is_made_the_image_is_that_of_plain_iterations():
    # Frames that differ by no more than noise can judge nothing.
    scan = small_scan({"flux": 1e2})
    run = BlindReconstruction(harmful(), scan, settings_of(iterations=6, most_iterations=6))
    image = run.run().object
    assert run.corrections == 0
    torch.testing.assert_close(image, reconstruct(scan, iterations=6, most_iterations=6, learned=False).object)


def test_a_faded_correction_is_not_asked_for(faint: Dataset):
    asked = []
    for gain in (FADED, 0.99 * FADED):
        run = BlindReconstruction(plain_engine(), faint, settings_of())
        own = run.network.learned_change
        run.network.learned_change = lambda *args, gain=gain, own=own: asked.append(gain) or own(*args)
        with torch.no_grad():
            run.iterate(0.0)
            asked.clear()
            run.gain = gain
            run.iterate(1 / 30)
        assert asked == ([] if gain < FADED else [FADED])


def test_a_correction_is_taken_only_where_it_helps_frames_that_were_left_out(faint: Dataset):
    run = BlindReconstruction(plain_engine(), faint, settings_of())
    with torch.no_grad():
        for number in range(4):
            run.iterate(number / 30)
        state, before = run.state, run.deviance(run.state)
        run.gain = 0.25
        toward = reconstruct(faint).object
        wide = torch.nn.functional.pad(toward, [run.border] * 4, value=1.0)[None]
        helpful = 0.5 * (wide * (state.objects * wide.conj()).sum().sgn() - state.objects)
        for change, taken in ((helpful, True), (-helpful, False)):
            run.network.learned_change = lambda *_, change=change: change
            gain = run.gain
            args = run.network, state, run.frames, 0.1, gain, run.verdict
            found, run.gain, told = judged_correction(*args)
            assert told == pytest.approx(run.deviance(found), rel=1e-5)
            assert (told < before) == taken
            assert (found is state) == (not taken)
            assert run.gain == pytest.approx(gain * (1.5 if taken else 0.5))


def test_an_object_is_smoothed_only_as_far_as_frames_that_were_left_out_bear_it(dataset: Dataset):
    run = BlindReconstruction(plain_engine(), dataset, settings_of(iterations=12, most_iterations=12))
    with torch.no_grad():
        run.run()
        sharp, before = run.state, run.deviance(run.state)
        noise = torch.randn(sharp.objects.shape, generator=torch.Generator().manual_seed(0))
        noisy = replace(sharp, objects=sharp.objects + 0.05 * noise)
        # Noise is taken out where there is some; where there is none, strong smoothing is refused.
        level = 0.05 / float(doubt(noisy, run.frames).max())
        found, following, told = judged_smoothing(noisy, run.frames, level, run.deviance)
        assert told == run.deviance(found)
        assert before < told < run.deviance(noisy)
        assert following in (level, 2 * level)
        found, following, told = judged_smoothing(sharp, run.frames, 20 * level, run.deviance, most=before)
        assert told == before
        assert found is sharp
        assert following == 10 * level


def test_few_photons_make_a_better_image_with_smoothing():
    scan = small_scan({"flux": 2e3})
    images = {}
    for smoothing in (False, True):
        settings = settings_of(learned=False, smoothing=smoothing, held_out=0.1)
        images[smoothing] = BlindReconstruction(plain_engine(), scan, settings).run()
    assert correlation(images[True].object, scan) > correlation(images[False].object, scan) + 0.01
    assert images[True].deviance < images[False].deviance


def test_frames_that_stay_in_a_file_give_the_same(dataset: Dataset, solved: BlindResult):
    class Stored:
        shape, dtype = dataset.frames.shape, dataset.frames.dtype

        def __len__(self) -> int:
            return len(dataset.frames)

        def __getitem__(self, some: object) -> np.ndarray:
            return dataset.frames[some]

    stored = reconstruct(replace(dataset, frames=Stored()))
    torch.testing.assert_close(stored.object, solved.object)
    assert stored.deviance == pytest.approx(solved.deviance, rel=1e-4)


def some(dataset: Dataset, frames: slice | np.ndarray) -> Dataset:
    return replace(dataset, frames=dataset.frames[frames], positions=dataset.positions[frames])


def dark(dataset: Dataset, frames: slice | np.ndarray) -> Dataset:
    counts = dataset.frames.copy()
    counts[frames] = 0
    return replace(dataset, frames=counts)


def with_good(dataset: Dataset, count: int) -> Dataset:
    good = np.zeros(dataset.mask.size, bool)
    good[np.random.default_rng(0).permutation(good.size)[:count]] = True
    return replace(dataset, mask=good.reshape(dataset.mask.shape))


def single_photon(dataset: Dataset) -> Dataset:
    frames = np.zeros_like(dataset.frames)
    frames[5, 16, 16] = 1
    return replace(dataset, frames=frames)


def near_field() -> Dataset:
    return small_scan(probe={"kind": "diffuser"}, scan={"frames": 36}, **NEAR)


ODD: dict[str, Callable[[Dataset], Dataset]] = {
    "one frame": lambda scan: some(scan, slice(20, 21)),
    "two frames": lambda scan: some(scan, slice(20, 22)),
    "three frames": lambda scan: some(scan, slice(20, 23)),
    "one position": lambda scan: replace(scan, positions=scan.positions[:1].repeat(36, axis=0)),
    "half of the frames dark": lambda scan: dark(scan, slice(0, 18)),
    "all but one frame dark": lambda scan: dark(scan, np.arange(36) != 20),
    "a single photon": single_photon,
    "one pixel in a hundred": lambda scan: with_good(scan, 10),
    "one pixel": lambda scan: with_good(scan, 1),
    "1e12 counts": lambda scan: replace(scan, frames=scan.frames * np.float32(1e12 / scan.frames.max())),
    "1e30 counts": lambda scan: replace(scan, frames=scan.frames * np.float32(1e30 / scan.frames.max())),
    "1e-6 counts": lambda scan: replace(scan, frames=scan.frames * np.float32(1e-6 / scan.frames.max())),
    "a probe of 1e25": lambda scan: replace(scan, probe=scan.probe * np.complex64(1e25)),
    "a probe of 1e-25": lambda scan: replace(scan, probe=scan.probe * np.complex64(1e-25)),
    "a mode without light": lambda scan: replace(scan, probe=np.concatenate([scan.probe, 0 * scan.probe])),
    "equal frames": lambda scan: replace(scan, frames=scan.frames[:1].repeat(36, axis=0)),
    "even frames": lambda scan: replace(scan, frames=np.full_like(scan.frames, 10)),
    "frames of 8 pixels": lambda _: small_scan(probe={"disk_diameter": 0.6}, scan={"frames": 36, "step": 1.0}, size=8),
    "a long scan": lambda scan: some(scan, scan.positions[:, 0] < np.median(scan.positions[:, 0])),
    "a near field of one frame": lambda _: some(near_field(), slice(3, 4)),
    "a near field, mostly dark": lambda _: dark(near_field(), slice(0, 30)),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("how", SETTINGS)
def test_scans_that_tell_little_give_finite_images(name: str, how: str):
    scan = ODD[name](small_scan(scan={"frames": 36})).validate(name)
    found = reconstruct(scan, iterations=3, most_iterations=3, **SETTINGS[how])
    for array in (found.object, found.probe, torch.from_numpy(found.positions)):
        assert array.isfinite().all()
    assert found.object.shape == tuple(found.object_shape)
    assert np.isfinite([found.deviance, found.expected_deviance, found.background]).all()
    assert found.probe.abs().max() > 0


def test_scans_without_a_photon_where_it_is_needed_are_refused(dataset: Dataset):
    held_out = reconstruct(dataset, iterations=1, most_iterations=1).held_out
    only = dark(dataset, ~np.isin(np.arange(64), held_out))
    with pytest.raises(InputError, match=r"^none of the 61 frames to be fitted has a photon on a good pixel, of 64 .*"):
        reconstruct(only)
    wide = small_scan(scan={"frames": 144})
    middle = np.abs(wide.positions - np.median(wide.positions, axis=0)).max(axis=1).argsort()[:90]
    assert torch.isfinite(reconstruct(dark(wide, middle), iterations=2, most_iterations=2).object).all()
    with pytest.raises(InputError, match=r"^none of the 64 frames in the middle of the scan has a photon on a good"):
        reconstruct(dark(wide, middle), start="best")
