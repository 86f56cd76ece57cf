"""Frames that are let go where photons are few: early ones part from late ones, or all move as one."""

import dataclasses

import numpy as np
import pytest
from blind_scans import plain_engine, settings_of, small_scan

from ptychoflow.blind.freed import clearest_slip, freed_doubts, whole_change, with_free_positions
from ptychoflow.blind.left_over import left_over, left_over_doubts
from ptychoflow.blind.reconstruction import as_reconstruction
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.settings.simulation import ObjectSettings

COUNT = 100


@pytest.fixture(scope="module")
def weak() -> Dataset:
    """Frames of few photons along a spiral, so that early ones lie beside late ones."""
    spiral = {"kind": "fermat", "frames": COUNT, "step": 2.5}
    return small_scan({"flux": 1e4}, spiral, object=ObjectSettings(kind="image"))


def drifted(dataset: Dataset, pixels: float) -> Dataset:
    away = np.linspace(-0.5, 0.5, COUNT)[:, None] * [pixels, -0.7 * pixels]
    return dataclasses.replace(dataset, positions=dataset.positions + away)


def solved(dataset: Dataset, **changed: object) -> BlindReconstruction:
    solving = BlindReconstruction(plain_engine(), dataset, settings_of(iterations=12, most_iterations=12, **changed))
    solving.run()
    return solving


def said(solving: BlindReconstruction) -> list[str]:
    image = as_reconstruction(solving.result(), 1e-8)
    return freed_doubts(solving, solving.network, image, left_over(image, solving.dataset))


def test_a_drift_is_told_of_which_no_more_is_left_than_noise_may_leave(weak: Dataset):
    solving = solved(drifted(weak, 2.5))
    image = as_reconstruction(solving.result(), 1e-8)
    assert left_over_doubts(left_over(image, solving.dataset), image, solving.dataset) == []
    state, positions = solving.state, solving.frames.positions.clone()
    (sentence,) = said(solving)
    assert "slipped or drifted" in sentence
    # The image is published as it was.
    assert solving.state is state
    assert solving.frames.positions.equal(positions)


def test_nothing_is_said_of_a_sound_scan_nor_where_positions_are_solved_for(weak: Dataset):
    assert said(solved(weak)) == []
    assert said(solved(drifted(weak, 2.5), solve_positions=True)) == []


def test_many_photons_show_what_is_wrong_by_themselves(weak: Dataset):
    solving = solved(drifted(weak, 2.5))
    assert freed_doubts(solving, solving.network, as_reconstruction(solving.result(), 1e-8), (0.01, 0.001, 0.02)) == []


def test_frames_that_hardly_differ_do_not_tell_where_they_lie(weak: Dataset, monkeypatch: pytest.MonkeyPatch):
    solving = solved(drifted(weak, 2.5))
    monkeypatch.setattr("ptychoflow.blind.freed.weak_object_deviance", lambda *_: 100.0)
    assert said(solving) == []


def test_frames_that_move_without_explaining_more_tell_nothing(weak: Dataset, monkeypatch: pytest.MonkeyPatch):
    solving = solved(drifted(weak, 2.5))
    monkeypatch.setattr("ptychoflow.blind.verdicts.CLEARLY", 100.0)
    assert said(solving) == []
    # Unless they part beyond all doubt.
    monkeypatch.setattr("ptychoflow.blind.freed.BEYOND_DOUBT", 4.0)
    (sentence,) = said(solving)
    assert "slipped or drifted" in sentence


def test_a_slip_that_is_tried_out_is_told_though_frames_left_out_gain_little(
    weak: Dataset, monkeypatch: pytest.MonkeyPatch
):
    slipped = weak.positions + (np.arange(COUNT) >= 50)[:, None] * [2.5, -2.0]
    solving = solved(dataclasses.replace(weak, positions=slipped))
    monkeypatch.setattr("ptychoflow.blind.verdicts.CLEARLY", 100.0)
    monkeypatch.setattr("ptychoflow.blind.freed.BEYOND_DOUBT", 100.0)
    # Frames of a spiral do not touch those that come soon after: the trial is what is known of it elsewhere.
    rests = [0.9, 0.95]
    monkeypatch.setattr(
        "ptychoflow.blind.slips.tried_slip", lambda *_, seed=0: (np.array([-2.5, 2.0 + seed]), rests[seed])
    )
    (sentence,) = said(solving)
    assert sentence.startswith("the stage seems to have slipped about frame ")
    assert "5% of the misfit near it would go" in sentence
    for worse in ([0.97, 0.9], [0.9, 0.97]):
        rests[:] = worse
        assert said(solving) == []


def test_a_scan_that_is_narrower_than_its_file_says_is_told_of(monkeypatch: pytest.MonkeyPatch):
    spiral = {"kind": "fermat", "frames": COUNT, "step": 2.5}
    sound = small_scan({"flux": 1e5}, spiral, object=ObjectSettings(kind="image"))
    middle = sound.positions.mean(axis=0)
    wide = dataclasses.replace(sound, positions=middle + 1.1 * (sound.positions - middle))
    # So few iterations do not tell it as clearly as a whole reconstruction does.
    monkeypatch.setattr("ptychoflow.blind.freed.CLEARLY_WIDENED", 8.0)
    (sentence,) = said(solved(wide))
    assert "narrower than the file says" in sentence
    assert said(solved(sound)) == []


def test_freed_frames_go_back_where_they_were_taken(weak: Dataset):
    solving = solved(drifted(weak, 2.5))
    freed = with_free_positions(solving)
    moved = (freed.frames.positions - freed.given)[0].numpy()
    early, late = moved[: COUNT // 3].mean(axis=0), moved[-COUNT // 3 :].mean(axis=0)
    # Two thirds of the drift lie between them, of which so few iterations and photons find a part.
    assert late[0] - early[0] < -0.2
    assert late[1] - early[1] > 0.3


def test_the_frame_is_named_about_which_frames_part():
    random = np.random.default_rng(6)
    rows, columns = np.indices((12, 12)).reshape(2, -1)
    positions = 3.0 * np.column_stack([rows, columns])
    scatter = random.normal(0, 0.3, (144, 2))
    slipped = scatter + (np.arange(144) >= 60)[:, None] * [0.8, -0.6]
    frame, apart, clear = clearest_slip(slipped, positions)
    assert abs(frame - 60) <= 2
    assert apart == pytest.approx(1.0, abs=0.4)
    assert clear > 5
    # What stretches or turns all of a scan is no slip.
    middle = positions - positions.mean(axis=0)
    turned = scatter + middle @ np.array([[0.05, 0.04], [-0.04, 0.02]])
    np.testing.assert_allclose(clearest_slip(turned, positions), clearest_slip(scatter, positions), rtol=1e-6)
    assert max(clearest_slip(random.normal(0, 0.3, (144, 2)), positions)[2] for _ in range(50)) < 5.5


def test_what_moves_all_frames_as_one_is_measured():
    random = np.random.default_rng(7)
    positions = random.uniform(0, 40, (100, 2))
    middle = positions - positions.mean(axis=0)
    scatter = random.normal(0, 0.2, (100, 2))
    widened, clear, scale = whole_change(scatter + 0.03 * middle + 5.0, positions)
    assert scale == pytest.approx(0.03, abs=0.004)
    assert widened == pytest.approx(0.03 * np.sqrt(np.square(middle).sum(axis=1).mean()), rel=0.1)
    assert clear > 12
    turned = whole_change(scatter + 0.03 * middle @ np.array([[0.0, 1.0], [-1.0, 0.0]]), positions)
    assert turned[0] == pytest.approx(widened, rel=0.15)
    assert abs(turned[2]) < 0.004
    assert max(whole_change(random.normal(0, 0.2, (100, 2)), positions)[1] for _ in range(50)) < 5
