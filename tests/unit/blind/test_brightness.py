"""The light of each frame, against what simulations drew, and what of it photons do not tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blind_scans import correlation, plain_engine, settings_of, small_scan

from ptychoflow.blind.brightness import brightened, brightness_asked, fall, left_by_light, light_changes
from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import read_reconstruction, write_reconstruction
from ptychoflow.reconstruction.scoring import score
from ptychoflow.simulation.detection import draw_brightness

pytestmark = pytest.mark.slow

SEED = 3
"""Of the small scans."""


def drawn(flicker: float, frames: int = 64) -> np.ndarray:
    """The brightness that a simulation of that flicker draws."""
    return draw_brightness(frames, flicker, np.random.default_rng(np.random.SeedSequence(SEED).spawn(8)[7]))


def steady(brightness: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Without its exponential fall over the field, which is not told, and of mean 1."""
    axes = np.column_stack([np.ones(len(positions)), positions])
    logarithm = np.log(brightness)
    left = np.exp(logarithm - axes @ np.linalg.lstsq(axes, logarithm, rcond=None)[0])
    return left / left.mean()


def solved(dataset: Dataset, **changed: object):
    return BlindReconstruction(plain_engine(), dataset, settings_of(**changed)).run()


@pytest.mark.parametrize("flicker", [0.1, 0.5])
@pytest.mark.parametrize("background", [0.0, 20.0])
def test_the_light_of_each_frame_is_solved_for(flicker: float, background: float):
    dataset = small_scan(flicker=flicker, background=background)
    found, without = (solved(dataset, solve_brightness=asked) for asked in (True, False))
    assert without.brightness is None
    assert found.brightness[found.used].mean() == pytest.approx(1, abs=1e-5)
    true = steady(drawn(flicker), dataset.positions)
    error = steady(found.brightness, dataset.positions) / true - 1
    assert error.std() < 0.01 * (1 + flicker)
    # Frames that were left out have theirs too.
    assert np.abs(error[found.held_out]).max() < 0.05
    assert found.deviance < 0.5 * without.deviance
    assert correlation(found.object, dataset) > 0.97
    assert flicker < 0.2 or correlation(found.object, dataset) > correlation(without.object, dataset) + 0.02


def test_a_beam_that_decays_is_found_where_the_scan_crosses_the_field_in_another_order():
    dataset = small_scan()
    order = np.random.default_rng(0).permutation(64)
    decay = np.exp(-np.arange(64) / 40.0)
    frames = np.random.default_rng(1).poisson(dataset.frames[order] * decay[:, None, None]).astype(np.float32)
    mixed = replace(dataset, frames=frames, positions=dataset.positions[order])
    found = solved(mixed, solve_brightness=True)
    error = found.brightness / steady(decay, mixed.positions) - 1
    assert error.std() < 0.02


def test_an_even_source_stays_even():
    dataset = small_scan()
    found, without = (solved(dataset, solve_brightness=asked) for asked in (True, False))
    assert found.brightness.std() < 0.005
    assert correlation(found.object, dataset) > correlation(without.object, dataset) - 0.001


@torch.no_grad()
def test_what_the_gauge_takes_out_changes_no_photon():
    run = BlindReconstruction(plain_engine(), small_scan(), settings_of(held_out=0.0, solve_background=False))
    for number in range(4):
        run.iterate(number / 4)
    frames, everything = run.frames, torch.arange(64)
    model = frames.modelled(run.state.objects, run.state.probes, run.state.background, everything)
    # Counts that are the model's, dimmed over the field and as a whole: nothing but the gauge is left to do.
    dimmed = model * 0.7 * torch.exp(frames.positions[0] @ torch.tensor([0.01, -0.02]))[None, :, None, None]
    dark = replace(frames, amplitudes=dimmed.sqrt())
    found, brightness = brightened(run.state, dark, everything)
    torch.testing.assert_close(brightness, torch.ones_like(brightness), atol=1e-4, rtol=0)
    assert not torch.allclose(found.objects, run.state.objects, rtol=0.05)
    after = replace(dark, brightness=brightness).modelled(found.objects, found.probes, found.background, everything)
    # Frames are moved by broken pixels, by which a slope on the probe moves a little less exactly.
    assert (after - dimmed).abs().sum() < 0.02 * dimmed.sum() < 0.1 * (dimmed - model).abs().sum()


def test_the_fall_of_a_plane_is_its_slope():
    places = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([40.0, 20.0])
    slope, middle = fall(places @ torch.tensor([0.03, -0.01]) + 0.5, places)
    torch.testing.assert_close(slope, torch.tensor([0.03, -0.01]), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(middle, places.mean(dim=0))
    line, _ = fall(torch.ones(5), torch.tensor([[3.0, 1.0]]).expand(5, 2))
    assert not line.any()


@torch.no_grad()
def test_frames_without_light_stay_as_they_were():
    run = BlindReconstruction(plain_engine(), small_scan(), settings_of())
    run.iterate(0.0)
    dark = replace(run.state, probes=torch.zeros_like(run.state.probes))
    assert (brightness_asked(dark, run.frames, torch.arange(3)) == 1).all()


@pytest.mark.parametrize("most", [40, 120])
def test_light_that_changes_is_found_unasked(most: int):
    """Half-way through the first round, or in one of its own where there are iterations left."""
    dataset = small_scan(flicker=0.2)
    settings = {"iterations": 40, "most_iterations": most, "solve_brightness": None}
    found, steadily = solved(dataset, **settings), solved(dataset, **settings | {"solve_brightness": False})
    true = steady(drawn(0.2), dataset.positions)
    assert (steady(found.brightness, dataset.positions) / true - 1).std() < 0.02
    assert steadily.brightness is None
    assert found.deviance < 0.5 * steadily.deviance
    assert correlation(found.object, dataset) > correlation(steadily.object, dataset)


def test_an_even_source_is_not_solved_for_unasked():
    dataset = small_scan()
    found = solved(dataset, solve_brightness=None)
    assert found.brightness is None
    assert torch.equal(found.object, solved(dataset, solve_brightness=False).object)


def test_what_is_wrong_otherwise_is_not_taken_for_light():
    dataset = small_scan()
    frames = dataset.frames.copy()
    frames[[10, 50]] = frames[[50, 10]]
    assert solved(replace(dataset, frames=frames), solve_brightness=None).brightness is None


def test_what_light_explains_is_its_share_of_what_is_left():
    generator = torch.Generator().manual_seed(1)
    model = 50 + 50 * torch.rand(20, 16, 16, generator=generator)
    light = 1 + 0.2 * torch.randn(20, generator=generator).clamp(-2, 2)
    good = torch.ones(16, 16, dtype=torch.bool)
    counts = torch.poisson(model * light[:, None, None], generator=generator)
    left = left_by_light([(model[:8], counts[:8]), (model[8:], counts[8:])], good)
    assert left.share > 0.98
    assert left.misfit > 2
    assert left.spread == pytest.approx(float(light.std(correction=0) / light.mean()), rel=0.05)
    assert light_changes(left, left)
    # Noise is nobody's light, and neither is a model of other frames.
    noise = left_by_light([(model, torch.poisson(model, generator=generator))], good)
    assert not light_changes(noise, noise)
    other = left_by_light([(model.flip(-1) ** 2 / 75, model)], good)
    assert other.misfit > 1.3
    assert not light_changes(other, other)


def test_a_dark_frame_is_dim_and_harms_nothing():
    dataset = small_scan()
    frames = dataset.frames.copy()
    frames[20] = 0
    found = solved(replace(dataset, frames=frames), solve_brightness=True)
    assert found.brightness[20] < 0.05
    assert np.isfinite(found.object.numpy()).all()
    assert correlation(found.object, dataset) > 0.98


def test_records_and_scores_know_of_it(tmp_path: Path):
    dataset = small_scan(flicker=0.3)
    data = tmp_path / "scan.cxi"
    data.write_bytes(b"of no matter here")
    quick = {"learned": False, "iterations": 20, "most_iterations": 20}
    found = reconstruct(dataset, data, settings_of(solve_brightness=True, **quick))
    steadily = reconstruct(dataset, data, settings_of(solve_brightness=False, **quick))
    unasked = reconstruct(dataset, data, settings_of(**quick))
    write_reconstruction(tmp_path / "reconstruction.h5", found)
    again = read_reconstruction(tmp_path / "reconstruction.h5")
    np.testing.assert_array_equal(again.brightness, found.brightness)
    assert found.provenance["brightness_rms"] == pytest.approx(0.3, abs=0.06)
    assert steadily.brightness is None
    assert steadily.provenance["brightness_rms"] is None
    assert any("the light seems to change" in sentence for sentence in steadily.provenance["warnings"])
    (said,) = (sentence for sentence in unasked.provenance["warnings"] if "the light" in sentence)
    assert "was solved for" in said
    assert f"{unasked.provenance['brightness_rms']:.1%}" in said
    assert score(again, dataset)[0]["misfit"] == pytest.approx(
        found.provenance["held_out_deviance"] / found.provenance["expected_deviance"]
    )
    assert score(again, dataset)[0]["misfit"] < 0.2 * score(steadily, dataset)[0]["misfit"]


def test_positions_and_light_are_solved_for_together():
    dataset = small_scan(flicker=0.3, scan={"position_error": 0.5})
    found = solved(dataset, solve_brightness=True, solve_positions=True)
    moved = found.positions - dataset.true_positions
    assert np.sqrt(np.square(moved - moved.mean(axis=0)).sum(axis=1).mean()) < 0.25
    true = steady(drawn(0.3), dataset.true_positions)
    assert (steady(found.brightness, dataset.true_positions) / true - 1).std() < 0.03
