"""The geometry of a scan as its photons tell it, against the one it was simulated with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blind_scans import plain_engine, small_scan

from ptychoflow.blind.measured_facts import measured_facts
from ptychoflow.blind.measurement import Estimate, Measurement, measure
from ptychoflow.blind.profile import agreed, design, lowest
from ptychoflow.blind.pupils import defocused, focus_of, refocused
from ptychoflow.data.dataset import Dataset, object_frame
from ptychoflow.data.position_axes import mapped, measured_settings_of, orientations, turned
from ptychoflow.errors import InputError
from ptychoflow.settings.ingest import PositionSettings

DEFOCUS = 40e-6


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
    assert found.rotation.value == pytest.approx(2.0, abs=0.3)
    assert found.rotation.error < 0.5
    assert found.scale.value == pytest.approx(1.02, abs=0.04)
    assert found.defocus.value == pytest.approx(DEFOCUS, rel=0.1)
    for centre in found.centre:
        assert abs(centre.value) < 1.0
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


def test_what_cannot_be_measured_is_refused():
    dataset = small_scan()
    with pytest.raises(InputError, match="at least 16"):
        measure(plain_engine(), replace(dataset, frames=dataset.frames[:8], positions=dataset.positions[:8]))
    with pytest.raises(InputError, match="photon"):
        measure(plain_engine(), replace(dataset, frames=np.zeros_like(dataset.frames)))
    with pytest.raises(InputError, match="near"):
        measure(plain_engine(), replace(dataset, propagation="near"))


def test_the_lowest_point_of_a_polynomial_is_exact():
    points, place = design(3), np.array([0.4, -0.7, 0.2])
    form = np.array([[2.0, 0.5, 0.9], [0.5, 1.0, 0.0], [0.9, 0.0, 1.5]])
    misfits = np.einsum("pi,ij,pj->p", points - place, form, points - place) + 5
    found, told = lowest(points, misfits)
    assert told.all()
    np.testing.assert_allclose(found, place, atol=1e-10)
    assert not lowest(points, -misfits)[1].any()
    assert not lowest(points, np.ones(len(points)))[1].any()
    far = np.einsum("pi,ij,pj->p", points - [0.0, 0.0, 5.0], np.eye(3), points - [0.0, 0.0, 5.0])
    found, told = lowest(points, far)
    assert told.tolist() == [True, True, False]
    assert np.abs(found).max() == pytest.approx(2.0)


def test_the_stated_error_covers_the_truth_as_often_as_it_says():
    random, points, covered = np.random.default_rng(0), design(2), 0
    groups = np.arange(160) // 10
    for _ in range(300):
        # Frames whose lowest points scatter about the true one, neighbours alike.
        place = 0.3 + 0.4 * random.standard_normal((16, 2))[groups]
        misfits = ((points[:, None] - place) ** 2).sum(axis=-1)
        found, error = agreed(points, misfits, groups)
        covered += abs(found[0] - 0.3) <= error[0]
    assert 0.91 < covered / 300 < 0.99


def test_the_focus_of_a_probe_is_the_defocus_that_was_put_in():
    pupil = (torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(64)] * 2, indexing="ij")) < 0.2).float()
    for defocus in (-70.0, 0.0, 33.0):
        probe = torch.roll(defocused(pupil, defocus), (3, -5), dims=(0, 1))
        assert focus_of(probe) == pytest.approx(defocus, abs=0.3)
    torch.testing.assert_close(refocused(defocused(pupil, 20.0), 15.0), defocused(pupil, 35.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", range(8))
def test_settings_that_are_pasted_do_what_was_measured(number: int):
    offsets = np.random.default_rng(number).normal(size=(30, 2))
    before = {"swap": True, "row_sign": -1, "scale": 1.1, "rotation": 20.0}
    as_they_are = PositionSettings(**before).turned(offsets)
    rows, columns, swap = orientations()[number]
    expected = PositionSettings(swap, rows, columns).turned(as_they_are)
    expected = PositionSettings(scale=0.97, rotation=-3.0).turned(expected)
    text = measured_settings_of(number, 0.97, -3.0, {"settings": {"positions": before}})
    words = dict(part.split(": ") for part in text.removeprefix("positions: {").removesuffix("}").split(", "))
    settings = PositionSettings(
        words["swap"] == "true",
        int(words["row_sign"]),
        int(words["column_sign"]),
        float(words["scale"]),
        rotation=float(words["rotation"]),
    )
    np.testing.assert_allclose(settings.turned(offsets), expected, atol=1e-6)
    assert measured_settings_of(number, 1.0, 0.0, {"settings": {"positions": {"shear": 0.1}}}) is None


def test_what_the_photons_do_not_tell_is_said(upright: Measurement):
    found = replace(upright, defocus=Estimate(4e-5, 1e-6))
    unsure = replace(found, scale=Estimate(1.01, None), rotation=Estimate(5.0, None))
    facts, warnings = measured_facts(unsure, zone_plate(1.0, 0.0, 0))
    assert facts["measured_rotation"] == facts["measured_scale"] == "the photons do not tell"
    assert "scale: 1, rotation: 0" in facts["settings_to_paste"]
    assert "not calibrated" in facts["measured_defocus"]
    assert not warnings
    alike = replace(found, orientation_errors=[1.0] * 8)
    facts, warnings = measured_facts(alike, zone_plate(1.0, 0.0, 0))
    assert facts["measured_orientation"] == facts["settings_to_paste"] == "the photons do not tell"
