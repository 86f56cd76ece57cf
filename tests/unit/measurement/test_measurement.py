"""The geometry of a scan as its photons tell it, against the one it was simulated with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from blind_scans import plain_engine, small_scan
from hidden_faults import mapped
from scipy import ndimage

from ptychoflow.blind.pupils import defocused, focus_of, refocused
from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.dataset.position_axes import measured_settings_of, orientations, turned
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.measurement.error_bars import Estimate, error_bars
from ptychoflow.measurement.geometry_check import geometry_doubts
from ptychoflow.measurement.geometry_fit import Place
from ptychoflow.measurement.measured_facts import measured_facts
from ptychoflow.measurement.measurement import Measurement, measure
from ptychoflow.models.blind import Blind
from ptychoflow.settings.ingest import PositionSettings
from ptychoflow.settings.simulation import ObjectSettings

DEFOCUS = 40e-6
STAR = Path(__file__).parents[4] / "shared/data/siemens-star-small.npz.bz2"


def zone_plate(scale: float, rotation: float, orientation: int, factor: float = 1.0) -> Dataset:
    """A scan that is in truth wider and turned, and then runs the other way round than it says."""
    beam = {"kind": "zone_plate", "zone_plate_diameter": 100e-6, "defocus": DEFOCUS, "flux": 1e6}
    dataset = small_scan(probe=beam, guess={"defocus_factor": factor}, detector_pixel_size=150e-6)
    positions = mapped(mapped(dataset.positions, 1.0, -rotation), 1 / scale, 0.0)
    positions, shape = object_frame(turned(positions, orientation), dataset.size)
    return replace(dataset, positions=positions, object_shape=shape, truth=None, true_positions=None)


@pytest.mark.slow
def test_a_scan_that_is_turned_and_stretched_is_measured():
    dataset = zone_plate(1.02, 2.0, 1)
    found = measure(plain_engine(), dataset)
    assert found.orientation == 1
    assert found.orientation_told
    assert found.twin_excluded
    assert found.rotation.value == pytest.approx(2.0, abs=found.rotation.error)
    assert found.rotation.error < 0.3
    assert found.scale.value == pytest.approx(1.02, abs=found.scale.error)
    assert found.scale.error < 0.02
    assert found.defocus.value == pytest.approx(DEFOCUS, abs=found.defocus.error)
    for centre in found.centre:
        assert abs(centre.value) < 0.2
    facts, warnings = measured_facts(found, dataset)
    assert "column_sign: -1" in facts["settings_to_paste"]
    assert any("turned by" in sentence for sentence in warnings)


@pytest.fixture(scope="module")
def upright() -> Measurement:
    """What is found of a scan that is right but for the defocus of its probe."""
    return measure(plain_engine(), zone_plate(1.0, 0.0, 0, factor=0.5))


@pytest.mark.slow
def test_a_wrong_defocus_is_found_and_a_right_scan_is_left_alone(upright: Measurement):
    found = upright
    assert found.orientation == 0
    assert found.rotation.value == pytest.approx(0.0, abs=0.3)
    assert found.defocus.value == pytest.approx(DEFOCUS, rel=0.1)
    _, warnings = measured_facts(found, zone_plate(1.0, 0.0, 0))
    assert not any("turned by" in sentence or "axes" in sentence for sentence in warnings)


@pytest.mark.slow
@pytest.mark.skipif(not STAR.exists(), reason="the measured Siemens star is not here")
def test_the_measured_star_is_confirmed_in_its_orientation():
    dataset = read_dataset(STAR, frames_in_memory=0, examined=False)
    found = measure(plain_engine(), dataset)
    assert found.orientation == 0
    assert found.orientation_told
    assert found.scale.value == pytest.approx(1.0, abs=0.03)
    assert abs(found.rotation.value) < 1.5
    for centre in found.centre:
        assert abs(centre.value) < 4.0


def test_what_cannot_be_measured_is_refused():
    dataset = small_scan()
    with pytest.raises(InputError, match="at least 16"):
        measure(plain_engine(), replace(dataset, frames=dataset.frames[:8], positions=dataset.positions[:8]))
    with pytest.raises(InputError, match="photon"):
        measure(plain_engine(), replace(dataset, frames=np.zeros_like(dataset.frames)))
    with pytest.raises(InputError, match="near"):
        measure(plain_engine(), replace(dataset, propagation="near"))


@pytest.mark.slow
def test_a_quick_look_says_what_is_far_off(upright: Measurement, caplog: pytest.LogCaptureFixture):
    assert geometry_doubts(zone_plate(1.0, 0.0, 0), "right.npz", whole=False) == []
    wrong = geometry_doubts(zone_plate(1.0, 5.0, 4, factor=0.4), "wrong.npz", whole=False)
    assert any("rows and columns exchanged" in sentence for sentence in wrong)
    assert any("turned by" in sentence for sentence in wrong)
    assert any("defocus" in sentence for sentence in wrong)
    assert any(message.startswith("wrong.npz") for message in caplog.messages)
    few = small_scan()
    few = replace(few, frames=few.frames[:8], positions=few.positions[:8])
    assert geometry_doubts(few, "few.npz", whole=False) == []
    with pytest.raises(InputError, match="at least 16"):
        geometry_doubts(few, "few.npz", whole=True)
    dark = replace(small_scan(), frames=np.zeros_like(small_scan().frames))
    (sentence,) = geometry_doubts(dark, "dark.npz", whole=False)
    assert sentence.startswith("its geometry was not looked at: no frame in the middle of the scan has a photon")
    with pytest.raises(InputError, match="no frame in the middle"):
        geometry_doubts(dark, "dark.npz", whole=True)


@pytest.mark.slow
def test_a_quick_look_that_leaves_the_place_of_frames_open_goes_on(
    upright: Measurement, monkeypatch: pytest.MonkeyPatch
):
    seen: list[bool] = []
    looks: dict[bool, Measurement] = {}
    sound = replace(upright, given_defocus=None)

    def measured(network: Blind, dataset: Dataset, quick: bool = False) -> Measurement:
        seen.append(quick)
        return looks[quick]

    def said(quick: dict[str, Any], whole: dict[str, Any]) -> list[str]:
        seen.clear()
        looks.update({True: replace(sound, **quick), False: replace(sound, **whole)})
        return geometry_doubts(zone_plate(1.0, 0.0, 0), "few.npz", whole=False)

    monkeypatch.setattr("ptychoflow.measurement.geometry_check.measure", measured)
    (sentence,) = said({"rotation": Estimate(5.5, 5.6)}, {"rotation": Estimate(5.8, 0.3)})
    assert "turned by 5.8 ± 0.3 degrees" in sentence
    assert "a quick look" not in sentence
    assert seen == [True, False]
    # The few frames of a quick look are not sure of a deformation, and too sure of a scale.
    (sentence,) = said({"shear": Estimate(0.05, 0.07)}, {"shear": Estimate(0.05, 0.003)})
    assert "deformed" in sentence
    assert said({"scale": Estimate(1.09, 0.04)}, {"scale": Estimate(1.0, 0.004)}) == []
    assert seen == [True, False]
    # Where that cannot say how sure it is of a scale, the quick one's counts if it is the same.
    (sentence,) = said({"scale": Estimate(1.17, 0.04)}, {"scale": Estimate(1.15, None)})
    assert "1.17 ± 0.04 times as wide" in sentence
    assert said({"scale": Estimate(1.09, 0.04)}, {"scale": Estimate(1.03, None)}) == []
    # What was not in question, and is told otherwise by a little, is left as it was.
    shear = {"shear": Estimate(0.05, 0.003)}
    (sentence,) = said(
        {"shear": Estimate(0.05, 0.07), "scale": Estimate(1.01, 0.03)}, shear | {"scale": Estimate(1.02, 0.009)}
    )
    assert "deformed" in sentence
    # Frames that hardly tell how their axes run tell no deformation that was only suspected.
    alike = {"orientation_errors": [0.9] + [1.0] * 7}
    assert said(alike | {"shear": Estimate(0.05, 0.07)}, alike | {"shear": Estimate(0.05, 0.003)})[1:] == []
    (unsure, sentence) = said(alike | {"shear": Estimate(0.05, 0.03)}, alike | {"shear": Estimate(0.05, 0.003)})
    assert "hardly tell the geometry" in unsure
    assert "1.11 times as badly" in unsure
    assert "deformed" in sentence
    # Nor does a quick look know anything that took the wrong axes and is not sure of them.
    (sentence,) = said({"orientation": 4}, {"shear": Estimate(0.05, 0.003)})
    assert "deformed" in sentence
    # What sound scans find is left at that, and axes that run otherwise are to be mended first.
    usual = {"rotation": Estimate(1.9, 2.5), "stretch": Estimate(1.018, 0.05), "shear": Estimate(-0.015, None)}
    for name, look in usual.items():
        assert said({name: look}, {}) == []
        assert seen == [True]
    exchanged = {"orientation": 4, "orientation_errors": [1.0] * 4 + [0.1] + [1.0] * 3}
    assert any("a quick look" in one for one in said(exchanged | {"shear": Estimate(0.05, 0.07)}, {}))
    assert seen == [True]


def test_errors_grow_with_what_windows_and_steps_differ_by():
    quiet = np.tile([np.log(1.01), np.radians(2.0), np.log(1.03), -0.02, 40.0], (2, 4, 1))
    centres, began = np.array([[0.5, -1.0], [0.5, -1.0]]), [0.02, 0.0]
    *told, centre = error_bars(quiet, centres, began)
    scale, rotation, stretch, shear, defocus = told
    assert [one.value for one in told] == pytest.approx([1.01, 2.0, 1.03, -0.02, 40.0])
    assert [one.value for one in centre] == [0.5, -1.0]
    apart, moving = quiet.copy(), quiet.copy()
    apart[1] *= 1.05
    apart[1, :, 2:4] += 0.01
    moving[:, :, 0] += [0.0, 0.004, 0.008, 0.012]
    for other, one in zip(error_bars(apart, centres, began)[2:5], (stretch, shear, defocus), strict=True):
        assert other.error > 2 * one.error
    assert error_bars(moving, centres, began)[0].error > 2 * scale.error
    assert error_bars(quiet, centres, began, separate=False)[1].error > rotation.error
    moving[:, :, 0] *= 10
    assert error_bars(moving, centres, began)[0].error is None


@pytest.mark.parametrize("quick", [False, True])
def test_a_scale_that_stays_where_fits_began_is_not_told(quick: bool):
    rounds = np.tile([np.log(1.01), np.radians(2.0), 0.0, 0.0, 40.0], (2, 2 if quick else 4, 1))
    began = [0.02, 0.0]
    rounds[:, :, 0] = np.array([0.012, 0.008])[:, None]
    told = error_bars(rounds, np.zeros((1, 2)), began, quick)[0]
    assert told.value == pytest.approx(np.exp(0.01))
    assert told.error > 0.002
    rounds[:, :, 0] = np.array([0.016, 0.004])[:, None]
    assert error_bars(rounds, np.zeros((1, 2)), began, quick)[0].error is None


def test_a_quick_measurement_is_unsure_where_more_frames_tell_otherwise():
    last = np.tile([np.log(1.06), np.radians(2.0), np.log(1.07), 0.1, 40.0], (2, 2, 1))
    centres = np.zeros((1, 2))
    sure = error_bars(last, centres, [0.0], quick=True)
    assert [one.value for one in sure[:5]] == pytest.approx([1.06, 2.0, 1.07, 0.1, 40.0])
    few, creeping = last.copy(), last.copy()
    few[0, :, 0] -= 0.02
    creeping[1, 0, 0] -= 0.01
    for doubtful in (few, creeping):
        unsure = error_bars(doubtful, centres, [0.0], quick=True)[0]
        assert unsure.value == pytest.approx(1.06)
        assert unsure.error > sure[0].error + 0.01
    few[0, :, 0] -= 0.2
    assert error_bars(few, centres, [0.0], quick=True)[0].error is None


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1 / 1.06, 1.09])
def test_a_quick_look_goes_on_until_a_wrong_pixel_is_measured(factor: float):
    """As one round from the file's pixel on does not: it came a third too short."""
    dataset = small_scan(
        probe={"kind": "disk", "disk_diameter": 0.35, "disk_curvature": -5.0, "flux": 2e6},
        scan={"frames": 100, "step": 2.8},
        object=ObjectSettings(kind="grains", absorption=0.3, phase_shift=1.0),
        seed=4,
    )
    positions, shape = object_frame(dataset.positions / factor, dataset.size)
    wrong = replace(dataset, positions=positions, object_shape=shape, truth=None, true_positions=None)
    found = measure(plain_engine(), wrong, quick=True)
    assert found.scale.value == pytest.approx(factor, rel=0.02)
    assert any("times as wide" in sentence for sentence in geometry_doubts(wrong, "wrong.npz", whole=False))
    assert geometry_doubts(dataset, "right.npz", whole=False) == []


@pytest.mark.slow
def test_a_drift_along_a_raster_is_measured_as_the_shear_and_the_stretch_that_it_is():
    dataset = small_scan(
        probe={"kind": "disk", "disk_diameter": 0.35, "disk_curvature": -5.0, "flux": 2e6},
        scan={"kind": "raster", "frames": 100, "step": 2.8},
        object=ObjectSettings(kind="grains", absorption=0.3, phase_shift=1.0),
        seed=4,
    )
    drifted = dataset.positions + np.linspace(0, 1, len(dataset.positions))[:, None] * [3.0, -4.0]
    positions, shape = object_frame(drifted, dataset.size)
    wrong = replace(dataset, positions=positions, object_shape=shape, truth=None, true_positions=None)
    found = measure(plain_engine(), wrong, quick=True)
    settings = yaml.safe_load(measured_facts(found, wrong)[0]["settings_to_paste"])["positions"]
    mended = PositionSettings(**settings).turned(drifted - drifted.mean(axis=0))
    right = dataset.positions - dataset.positions.mean(axis=0)
    # A drift goes on along each line, too, which no deformation does.
    assert np.abs(mended - right).mean() < 0.5 < np.abs(drifted - drifted.mean(axis=0) - right).mean()
    assert any("deformed" in sentence for sentence in geometry_doubts(wrong, "wrong.npz", whole=False))


def test_a_place_is_told_by_what_it_does():
    place = Place(0.1, 0.2, -0.3, 0.15)
    assert Place.of(place.linear) == Place(*map(pytest.approx, (0.1, 0.2, -0.3, 0.15)))
    # To first order, rows and columns of a sheared scan each turn by half of the shear.
    np.testing.assert_allclose(Place(shear=1e-4).linear, [[1, 5e-5], [5e-5, 1]], atol=1e-8)
    np.testing.assert_allclose(Place(stretch=2e-4).linear, [[1 + 1e-4, 0], [0, 1 - 1e-4]], atol=1e-7)
    assert np.linalg.det(place.linear) == pytest.approx(np.exp(0.2))


def test_a_deformed_scan_is_said_with_all_that_mends_it(upright: Measurement):
    dataset = zone_plate(1.0, 0.0, 0)
    found = replace(upright, scale=Estimate(1.02, 0.02), rotation=Estimate(-1.0, 1.0), defocus=Estimate(DEFOCUS, None))
    assert "stretch" not in measured_facts(found, dataset)[0]["settings_to_paste"]
    deformed = replace(found, stretch=Estimate(1.08, 0.04), shear=Estimate(0.01, 0.04))
    facts, (sentence,) = measured_facts(deformed, dataset)
    assert "1.08 ± 0.04 times as much as its columns" in sentence
    assert facts["settings_to_paste"] in sentence
    settings = PositionSettings(**yaml.safe_load(facts["settings_to_paste"])["positions"])
    linear = Place(np.log(1.02), np.radians(-1.0), np.log(1.08), 0.01).linear
    np.testing.assert_allclose(settings.turned(np.eye(2)), linear.T, atol=1e-4)
    unsure = replace(found, stretch=Estimate(1.08, None), shear=Estimate(0.01, 0.04))
    assert measured_facts(unsure, dataset)[1] == []


@pytest.mark.slow
def test_fringes_that_are_blurred_are_not_taken_for_a_narrow_scan():
    """A detector that spreads light by 0.8 pixels: one mode makes up for it by a scan that is 0.93 times as wide."""
    sharp = small_scan(
        probe={"disk_diameter": 0.35, "disk_curvature": -5.0, "flux": 2e6},
        scan={"frames": 100, "step": 2.8},
        object=ObjectSettings(kind="image", absorption=0.3, phase_shift=1.0),
        seed=7,
        noise=False,
    )
    spread = ndimage.gaussian_filter(sharp.frames, (0, 0.8, 0.8), mode="constant")
    blurred = replace(sharp, frames=np.random.default_rng(1).poisson(spread).astype(np.float32), truth=None)
    found = measure(plain_engine(), blurred, quick=True)
    assert found.blurred
    assert found.scale.value > 0.96
    positions, shape = object_frame(blurred.positions * 1.06, blurred.size)
    narrow = replace(blurred, positions=positions, object_shape=shape, true_positions=None)
    (sentence,) = measured_facts(measure(plain_engine(), narrow, quick=True), narrow)[1]
    assert "blurred, which looks alike" in sentence


def test_a_blur_is_named_where_it_may_be_what_makes_a_scan_narrow(upright: Measurement):
    dataset = zone_plate(1.0, 0.0, 0)
    found = replace(upright, scale=Estimate(0.94, 0.024), defocus=Estimate(DEFOCUS, None))
    facts, (sentence,) = measured_facts(found, dataset)
    assert "blurred" not in sentence
    assert "scale: 0.94" in facts["settings_to_paste"]
    facts, (sentence,) = measured_facts(replace(found, blurred=True), dataset)
    assert "0.94 ± 0.024 times as wide as the file says, or its fringes are blurred" in sentence
    assert "scale: 1," in facts["settings_to_paste"]
    # No blur widens a scan.
    (sentence,) = measured_facts(replace(found, blurred=True, scale=Estimate(1.06, 0.024)), dataset)[1]
    assert "blurred" not in sentence


def test_a_blur_along_one_axis_is_named_where_it_may_be_what_deforms_a_scan(upright: Measurement):
    """Columns that seem to be 0.93 times as wide, as of a stage that moves along them while frames are counted."""
    dataset = zone_plate(1.0, 0.0, 0)
    narrow = {"scale": Estimate(0.93**0.5, 0.03), "stretch": Estimate(1 / 0.93, 0.05), "shear": Estimate(0.0, 0.05)}
    found = replace(upright, **narrow, defocus=Estimate(DEFOCUS, None))
    facts, (sentence,) = measured_facts(found, dataset)
    assert "deformed" in sentence
    assert "blurred" not in sentence
    assert "stretch: 1.07" in facts["settings_to_paste"]
    facts, (sentence,) = measured_facts(replace(found, blurred=True), dataset)
    assert "deformed" in sentence
    assert "or its fringes are blurred along one axis" in sentence
    assert "stretch" not in facts["settings_to_paste"]
    # No blur widens an axis, and none turns a scan.
    wide = {"scale": Estimate(1.1**0.5, 0.04), "stretch": Estimate(1.1, 0.03)}
    for other in (wide, {"rotation": Estimate(4.0, 1.0)}):
        *_, sentence = measured_facts(replace(found, blurred=True, **other), dataset)[1]
        assert "deformed" in sentence
        assert "blurred" not in sentence


def test_the_twin_has_the_opposite_defocus_and_positions_turned_round(upright: Measurement):
    twin = upright.twin()
    assert twin.orientation == 3
    assert twin.defocus.value == -upright.defocus.value
    assert twin.orientation_errors[3] == upright.orientation_errors[0]
    assert twin.twin() == upright


def test_the_focus_of_a_probe_is_the_defocus_that_was_put_in():
    pupil = (torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(64)] * 2, indexing="ij")) < 0.2).float()
    for defocus in (-70.0, 0.0, 33.0):
        probe = torch.roll(defocused(pupil, defocus), (3, -5), dims=(0, 1))
        assert focus_of(probe) == pytest.approx(defocus, abs=0.3)
    torch.testing.assert_close(refocused(defocused(pupil, 20.0), 15.0), defocused(pupil, 35.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("deformed", [{}, {"stretch": 1.08, "shear": -0.1}])
def test_settings_that_are_pasted_do_what_was_measured(number: int, deformed: dict[str, float]):
    offsets = np.random.default_rng(number).normal(size=(30, 2))
    before = {"swap": True, "row_sign": -1, "scale": 1.1, "rotation": 20.0} | deformed
    as_they_are = PositionSettings(**before).turned(offsets)
    rows, columns, swap = orientations()[number]
    expected = PositionSettings(swap, rows, columns).turned(as_they_are)
    linear = PositionSettings(scale=0.97, rotation=-3.0, **deformed).turned(np.eye(2)).T
    text = measured_settings_of(number, linear, {"settings": {"positions": before}})
    settings = PositionSettings(**yaml.safe_load(text)["positions"])
    np.testing.assert_allclose(settings.turned(offsets), expected @ linear.T, atol=2e-3)
    if not deformed:
        assert "stretch" not in text
        assert "shear" not in text


def test_what_the_photons_do_not_tell_is_said(upright: Measurement):
    found = replace(upright, defocus=Estimate(4e-5, None))
    unsure = replace(found, scale=Estimate(1.01, None), rotation=Estimate(5.0, None))
    facts, warnings = measured_facts(unsure, zone_plate(1.0, 0.0, 0))
    assert facts["measured_rotation"] == facts["measured_scale"] == "the photons do not tell"
    assert facts["measured_defocus"] == "the photons do not tell"
    assert "scale: 1, rotation: 0" in facts["settings_to_paste"]
    assert not warnings
    alike = replace(found, orientation_errors=[1.0] * 8)
    facts, warnings = measured_facts(alike, zone_plate(1.0, 0.0, 0))
    assert facts["measured_orientation"] == facts["settings_to_paste"] == "the photons do not tell"
