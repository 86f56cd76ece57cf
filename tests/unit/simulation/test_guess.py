"""The probe that is written down is as wrong as was asked for, and the true one stands beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.iterative.refinement import refined
from ptychoflow.settings.simulation import GuessSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.solver import RefinementSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.guess import disk_diameter
from ptychoflow.simulation.probes import disk_probe

SETTINGS = SimulationSettings(size=32, probe=ProbeSettings(kind="disk"), scan=ScanSettings(frames=9), seed=3)
FOCUSED = replace(SETTINGS, size=64, probe=ProbeSettings(defocus=20e-6))


def guessed(settings: SimulationSettings = SETTINGS, **errors) -> Dataset:
    return simulate(replace(settings, guess=GuessSettings(**errors)))


def middle(light: np.ndarray) -> np.ndarray:
    return np.array([np.average(axis, weights=light) for axis in np.indices(light.shape)])


def far_field(probe: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.abs(np.fft.fft2(probe)) ** 2)


def test_a_right_guess_is_the_true_probe_and_no_other_is_kept():
    dataset = guessed()
    assert dataset.true_probe is None
    assert dataset.probe_known


@pytest.mark.parametrize(
    "errors", [{"shift": (1.5, -2.0)}, {"amplitude": 3.0}, {"kind": "disk"}, {"kind": "none"}, {"modes": 3}]
)
def test_frames_come_from_the_true_probe_whatever_is_guessed(errors: dict):
    right, wrong = guessed(FOCUSED), guessed(FOCUSED, **errors)
    np.testing.assert_array_equal(wrong.frames, right.frames)
    np.testing.assert_array_equal(wrong.true_probe, right.probe)
    assert wrong.probe_known == (errors.get("kind") != "none")
    assert not np.array_equal(wrong.probe, right.probe)


def test_shift_tilt_and_amplitude_are_those_asked_for():
    dataset = guessed(shift=(1.5, -2.25), tilt=(2.0, 1.0), amplitude=0.3)
    wrong, right = (np.abs(probe[0]) ** 2 for probe in (dataset.probe, dataset.true_probe))
    np.testing.assert_allclose(middle(wrong) - middle(right), (1.5, -2.25), atol=0.02)
    assert wrong.sum() / right.sum() == pytest.approx(0.09)
    # By whole pixels, and of a beam in its place, the far field is the same one, rolled.
    tilted = guessed(tilt=(2.0, 1.0))
    fields = [far_field(probe[0]) for probe in (tilted.probe, tilted.true_probe)]
    np.testing.assert_allclose(fields[0], np.roll(fields[1], (2, 1), (0, 1)), rtol=1e-3, atol=1e-4 * fields[1].max())


def test_a_wrong_phase_has_the_rms_asked_for_and_is_smooth():
    dataset = guessed(phase_error=0.7)
    ratio = dataset.probe[0] * dataset.true_probe[0].conj()
    weight = np.abs(ratio)
    phase = np.angle(ratio)
    assert np.sqrt(np.average(phase**2, weights=weight)) == pytest.approx(0.7, rel=1e-3)
    assert np.average(phase, weights=weight) == pytest.approx(0, abs=1e-3)
    lit = weight > 0.5 * weight.max()
    steps = np.diff(phase, axis=0)[lit[1:] & lit[:-1]]
    assert np.abs(steps).max() < 0.7
    np.testing.assert_allclose(np.abs(dataset.probe), np.abs(dataset.true_probe), rtol=1e-4)


@pytest.mark.parametrize("factor", [-0.6, 0.5, 2.0])
def test_a_wrong_defocus_is_the_right_one_propagated(factor: float):
    dataset = guessed(FOCUSED, defocus_factor=factor)
    frequency = np.fft.fftfreq(64, dataset.pixel_size)
    square = frequency[:, None] ** 2 + frequency[None, :] ** 2
    wavelength = 1.23984198e-6 / 8850
    way = np.exp(-1j * np.pi * wavelength * (factor - 1) * 20e-6 * square)
    propagated = np.fft.ifft2(np.fft.fft2(np.fft.ifftshift(dataset.true_probe[0])) * way)
    np.testing.assert_allclose(np.fft.fftshift(propagated), dataset.probe[0], atol=1e-5 * np.abs(propagated).max())


def test_aberrations_are_the_same_at_a_wrong_defocus():
    settings = replace(FOCUSED, probe=replace(FOCUSED.probe, phase_error=0.8))
    dataset = guessed(settings, defocus_factor=1.5)
    ideal = simulate(FOCUSED).probe[0]
    spectra = [np.fft.fft2(np.fft.ifftshift(probe)) for probe in (dataset.true_probe[0], ideal)]
    ratio = spectra[0] * spectra[1].conj()
    assert np.sqrt(np.average(np.angle(ratio) ** 2, weights=np.abs(ratio))) == pytest.approx(0.8, rel=0.01)
    away = np.fft.fft2(np.fft.ifftshift(dataset.probe[0])) * spectra[0].conj()
    quadratic = np.fft.fftfreq(64)[:, None] ** 2 + np.fft.fftfreq(64)[None, :] ** 2
    # Between the two defocuses lies a phase of the square of the frequency, and nothing else.
    wavelength = 1.23984198e-6 / 8850
    expected = -np.pi * wavelength * 10e-6 * quadratic / dataset.pixel_size**2
    lit = np.abs(away) > 0.1 * np.abs(away).max()
    assert np.abs(np.angle(away * np.exp(-1j * expected)))[lit].max() < 1e-3


@pytest.mark.parametrize("modes", [1, 3])
def test_more_or_fewer_modes_hold_the_same_light(modes: int):
    settings = replace(SETTINGS, probe=ProbeSettings(kind="disk", modes=2, flux=5e5))
    dataset = guessed(settings, modes=modes)
    assert dataset.probe.shape == (modes, 32, 32)
    assert dataset.true_probe.shape == (2, 32, 32)
    assert (np.abs(dataset.probe) ** 2).sum() == pytest.approx(5e5, rel=1e-5)


@pytest.mark.parametrize("diameter", [0.3, 0.5, 0.7])
def test_the_width_of_a_disk_is_found(diameter: float):
    probe = np.roll(disk_probe(64, diameter), (3, -2), axis=(0, 1))
    assert disk_diameter(probe[None]) == pytest.approx(64 * diameter, rel=0.05)


@pytest.mark.parametrize("kind", ["disk", "none"])
def test_a_disk_in_its_place_is_flat_and_has_its_light(kind: str):
    dataset = guessed(FOCUSED, kind=kind)
    assert np.abs(np.angle(dataset.probe)).max() == 0
    assert (np.abs(dataset.probe) ** 2).sum() == pytest.approx(1e6, rel=1e-5)
    widths = [disk_diameter(probe) for probe in (dataset.probe, dataset.true_probe)]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_true_and_unknown_probe_survive_the_file_and_refinement(tmp_path: Path):
    dataset = guessed(kind="none", modes=2)
    dataset.validate("simulation")
    write_cxi(tmp_path / "scan.cxi", dataset)
    again = read_cxi(tmp_path / "scan.cxi")
    np.testing.assert_array_equal(again.true_probe, dataset.true_probe)
    np.testing.assert_array_equal(again.probe, dataset.probe)
    assert again.probe_known is False
    moved, _ = refined(again, RefinementSettings(rounds=1))
    np.testing.assert_array_equal(moved.true_probe, dataset.true_probe)
    write_cxi(tmp_path / "right.cxi", guessed())
    right = read_cxi(tmp_path / "right.cxi")
    assert right.true_probe is None
    assert right.probe_known is True


@pytest.mark.parametrize(
    ("true_probe", "sentence"),
    [
        (np.ones((32, 32), np.complex64), r"true_probe has shape \(32, 32\): expected"),
        (np.ones((1, 16, 16), np.complex64), r"true_probe has shape \(1, 16, 16\): expected"),
        (np.full((1, 32, 32), np.nan, np.complex64), "true_probe holds 1024 NaN"),
        (np.zeros((1, 32, 32), np.complex64), "true_probe is zero everywhere: expected some light"),
    ],
)
def test_a_true_probe_that_cannot_be_is_refused(true_probe: np.ndarray, sentence: str):
    with pytest.raises(InputError, match=f"^scan: {sentence}"):
        replace(guessed(), true_probe=true_probe).validate("scan")


def test_a_diffuser_has_no_other_focus():
    settings = replace(SETTINGS, probe=ProbeSettings(kind="diffuser"))
    with pytest.raises(InputError, match=r"guess\.defocus_factor is 0.5: expected 1 for a diffuser"):
        guessed(settings, defocus_factor=0.5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"amplitude": 0.0}, "guess.amplitude is 0.0"),
        ({"defocus_factor": float("nan")}, "guess.defocus_factor is nan"),
        ({"shift": (1.0,)}, r"guess.shift is \[1.0\]"),
        ({"tilt": (0.0, float("inf"))}, r"guess.tilt is \[0.0, inf\]"),
        ({"phase_error": -1.0}, "guess.phase_error is -1.0"),
        ({"modes": 0}, "guess.modes is 0"),
    ],
)
def test_a_guess_that_cannot_be_is_refused(changes: dict, sentence: str):
    with pytest.raises(InputError, match=f"^{sentence}: expected"):
        GuessSettings(**changes)
