"""Scans that a recipe draws can all be simulated, are the same each time, and cover what they were asked to."""

from dataclasses import replace
from typing import get_args, get_type_hints

import numpy as np
import pytest
from scipy import stats

from ptychoflow.errors import InputError
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.guess import disk_diameter
from ptychoflow.simulation.probes import make_probe
from ptychoflow.simulation.recipe import draw

SMALL = RecipeSettings(seed=4, sizes=(16, 32), frames=4)
DRAWN = [draw(RecipeSettings(seed=5), number) for number in range(400)]


def test_two_hundred_scans_can_be_simulated():
    for number in range(200):
        dataset = simulate(draw(SMALL, number)).validate(f"scan {number}")
        assert len(dataset.frames) == 4
        assert dataset.probe.shape[-1] in (16, 32)


def test_the_widest_ranges_that_are_taken_can_be_simulated():
    wide = replace(
        SMALL,
        probe_width=(0.1, 0.78),
        pupil_width=(0.1, 0.95),
        defocus_factor=(-2.5, 5.0),
        impaired=1.0,
        step=(0.02, 1),
    )
    for number in range(60):
        simulate(draw(wide, number)).validate(f"scan {number}")


def test_a_scan_is_known_by_its_number():
    assert draw(SMALL, 17) == draw(SMALL, 17)
    first, again = simulate(draw(SMALL, 17)), simulate(draw(SMALL, 17))
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.probe, again.probe)
    assert draw(SMALL, 17) != draw(SMALL, 18)
    assert draw(SMALL, 17) != draw(replace(SMALL, seed=5), 17)
    assert len({scan.seed for scan in DRAWN}) == len(DRAWN)


def test_all_kinds_and_both_signs_are_drawn():
    for kind, drawn in (
        (ObjectSettings, [scan.object.kind for scan in DRAWN]),
        (ProbeSettings, [scan.probe.kind for scan in DRAWN]),
    ):
        names = get_args(get_type_hints(kind)["kind"])
        assert set(drawn) == set(names)
        assert min(drawn.count(name) for name in names) > 0.5 * len(drawn) / len(names)
    for values in ([scan.object.phase_shift for scan in DRAWN], [scan.probe.defocus for scan in DRAWN]):
        assert 0.35 < np.mean(np.array(values) > 0) < 0.9
    assert {scan.object.coupling for scan in DRAWN} == {"material", "shapes", "independent"}
    assert {scan.guess.kind for scan in DRAWN} == {"probe", "disk", "none"}
    assert {scan.probe.modes for scan in DRAWN} == {1, 2, 3, 4}
    assert {scan.scan.kind for scan in DRAWN} == {"raster", "fermat", "spiral", "random"}
    assert {scan.scan.jitter > 0 for scan in DRAWN if scan.scan.kind == "raster"} == {True, False}
    for key in ("background", "dead_pixels", "beam_stop", "flicker"):
        assert 0.05 < np.mean([getattr(scan, key) > 0 for scan in DRAWN]) < 0.3


def test_ranges_are_filled_and_not_left():
    photons = [np.log10(scan.probe.flux * scan.object.transmission**2) for scan in DRAWN]
    assert stats.kstest(photons, stats.uniform(3, 6).cdf).pvalue > 1e-3
    phase = np.abs([scan.object.phase_shift for scan in DRAWN])
    assert phase.min() < 0.08
    assert 12 < phase.max() <= 20
    weak = np.array([abs(scan.object.phase_shift) <= 0.3 and scan.object.absorption <= 0.08 for scan in DRAWN])
    assert weak.mean() == pytest.approx(0.25, abs=0.08)
    focused = [scan for scan in DRAWN if scan.probe.kind in ("zone_plate", "mirror")]
    defocus = np.abs([scan.probe.defocus for scan in focused])
    assert defocus.max() > 8 * defocus.min()
    factors = np.array([scan.guess.defocus_factor for scan in DRAWN if scan.guess.defocus_factor != 1])
    assert 0.4 <= factors.min() < 0.6
    assert 2 < factors.max() <= 2.5
    right = np.mean([scan.guess == type(scan.guess)() for scan in DRAWN])
    assert right == pytest.approx(0.15, abs=0.06)


def test_probes_are_as_wide_as_was_drawn():
    ratios = []
    for scan in DRAWN[:200]:
        if scan.probe.kind in ("zone_plate", "mirror"):
            probe = make_probe(scan.probe, scan.size, scan.pixel_size, wavelength_of(scan.energy))
            wide = max(scan.probe.mirror_aperture) if scan.probe.kind == "mirror" else scan.probe.zone_plate_diameter
            ratios.append(
                disk_diameter(probe[:1]) * scan.pixel_size / (abs(scan.probe.defocus) * wide / scan.probe.focal_length)
            )
    assert np.median(ratios) == pytest.approx(1, abs=0.25)
    assert np.percentile(ratios, 90) < 2.2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"flux": (1e5, 1e3)}, "recipe.flux is"),
        ({"step": (0.0, 1.0)}, "recipe.step is"),
        ({"probe_width": (0.2, 0.9)}, r"recipe.probe_width is \[0.2, 0.9\]: expected .* at most 0.78"),
        ({"pupil_width": (0.2, 1.0)}, r"recipe.pupil_width is \[0.2, 1.0\]: expected .* at most 0.95"),
        ({"right_guess": 0.9}, "recipe.right_guess, disk_guess and no_guess add up to 1.2"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        RecipeSettings(**changes)
