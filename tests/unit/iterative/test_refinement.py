"""Positions that were written down wrong are found again; the parts of the fit follow calculus and interpolation."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.iterative.refinement import PositionFit, deform, position_error, refine_positions, refined
from ptychoflow.physics.patches import extract_patches
from ptychoflow.physics.position_steps import amplitude_jacobian, spectral_slopes
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.solver import RefinementSettings
from ptychoflow.simulation.dataset import simulate

NEAR = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}


def mislaid(optics: dict | None = None, kind: str = "disk", **wrong: object) -> Dataset:
    """A scan of 10×10 frames of 32×32 pixels whose positions are written down wrong."""
    settings = SimulationSettings(
        size=32,
        probe=ProbeSettings(kind=kind, disk_diameter=0.5, disk_curvature=3.0),
        scan=ScanSettings(frames=100, step=3.0, **wrong),
        seed=3,
        **(optics or {}),
    )
    return simulate(settings).validate("mislaid")


def test_random_errors_of_a_pixel_and_a_drift_are_undone():
    dataset = mislaid(position_error=1.0, position_drift=(2.0, -3.0))
    changed, found = refined(dataset, RefinementSettings(bound=5.0, deformation=True))
    before = position_error(dataset.positions, dataset.true_positions)
    after = position_error(changed.positions, changed.true_positions)
    assert before[0] > 1.1
    assert after[0] < 0.2 * before[0]
    assert after[1] <= after[0]
    assert found.misfits[-1] < 0.2 * found.misfits[0]
    changed.validate("refined")


def test_positions_of_a_near_field_are_found_too():
    dataset = mislaid(NEAR, "diffuser", position_error=1.0)
    found = refine_positions(dataset, RefinementSettings(bound=5.0))
    before, after = (position_error(p, dataset.true_positions)[0] for p in (dataset.positions, found.positions))
    assert after < 0.3 * before


def test_right_positions_stay():
    dataset = mislaid()
    found = refine_positions(dataset, RefinementSettings(deformation=True))
    assert position_error(found.positions, dataset.positions)[0] < 0.15
    np.testing.assert_allclose(found.positions.mean(axis=0), dataset.positions.mean(axis=0), atol=1e-3)


def test_no_frame_leaves_its_bound():
    dataset = mislaid(position_error=2.0)
    found = refine_positions(dataset, RefinementSettings(rounds=6, bound=0.75))
    moved = np.linalg.norm(found.positions - dataset.positions, axis=1)
    # A shift of the whole scan is free, by which the mean is what it was.
    assert 0.7 < moved.max() < 0.8


def test_a_frame_that_got_lost_is_found_by_the_search():
    dataset = mislaid()
    positions = dataset.positions.copy()
    positions[45] += [6.0, -5.0]
    found = refine_positions(dataclasses.replace(dataset, positions=positions), RefinementSettings(bound=9.0))
    assert np.linalg.norm(found.positions[45] - dataset.positions[45]) < 0.5


def test_the_object_frame_grows_with_the_scan():
    dataset = mislaid()
    low, high = dataset.positions.min(axis=0) + 1.5, dataset.positions.max(axis=0) - 1.5
    tight, shape = np.floor(low - 16), np.ceil(high + 16) - np.floor(low - 16)
    shrunk = dataclasses.replace(
        dataset,
        positions=dataset.positions.clip(low, high) - tight,
        true_positions=dataset.positions - tight,
        object_shape=tuple(int(edge) for edge in shape),
        truth=np.ones([int(edge) for edge in shape], np.complex64),
    )
    changed, found = refined(shrunk.validate("tight"), RefinementSettings(rounds=10))
    border = (changed.object_shape[0] - shrunk.object_shape[0]) // 2
    assert border > 0
    np.testing.assert_allclose(changed.positions, found.positions + border)
    assert position_error(changed.positions, changed.true_positions)[0] < 0.3
    changed.validate("grown")


@pytest.mark.parametrize("optics", [None, NEAR])
def test_the_slopes_of_the_fit_are_those_of_the_diffraction_model(optics: dict | None):
    dataset = mislaid(optics, "diffuser", position_error=1.0)
    fit = PositionFit(dataset, RefinementSettings())
    border = (fit.object.shape[0] - dataset.truth.shape[0]) // 2
    # Smooth, and 1 round about: it is the slopes that are looked at, not the ringing of an edge.
    window = np.multiply.outer(*(np.hanning(length) ** 0.3 for length in dataset.truth.shape))
    smooth = ndimage.gaussian_filter(1 + (dataset.truth - 1) * window, 1.0).astype(np.complex64)
    fit.object = torch.from_numpy(np.pad(smooth, border, constant_values=1))
    frames, places = torch.tensor([44, 55]), fit.places[[44, 55]].round() + 0.2
    jacobian, residual = amplitude_jacobian(fit.measured(places, frames), spectral_slopes(fit.object))
    step = 1e-2

    def amplitudes(move: list[float]) -> torch.Tensor:
        patches = extract_patches(fit.object[None], (places + torch.tensor(move))[None], 32)[0]
        return fit.propagator.intensity(patches, fit.probe).sqrt().flatten(1)

    modelled = fit.amplitudes[frames].flatten(1) - residual
    assert (modelled - amplitudes([0.0, 0.0])).norm() < 0.02 * modelled.norm()
    for axis, move in enumerate(([step, 0.0], [0.0, step])):
        expected = (amplitudes(move) - amplitudes([-m for m in move])) / (2 * step)
        # Where no light falls, an amplitude has no slope: what counts is that of the intensity.
        found, expected = jacobian[..., axis] * amplitudes([0.0, 0.0]), expected * amplitudes([0.0, 0.0])
        assert (found - expected).norm() < 0.03 * expected.norm()
        assert (found * expected).sum() / expected.square().sum() == pytest.approx(1, abs=0.02)


def test_a_deformation_maps_as_scipy_does():
    image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 36)), 3)
    linear, centre = np.array([[1.04, 0.02], [-0.03, 0.97]]), np.array([18.0, 20.0])
    inverse = np.linalg.inv(linear)
    expected = ndimage.affine_transform(image, inverse, centre - inverse @ centre, order=3, mode="nearest")
    moved = deform(
        torch.from_numpy(image + 1j * image).to(torch.complex64),
        *(torch.tensor(part).float() for part in (linear, centre)),
    )
    inner = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(moved.real.numpy()[inner], expected[inner], atol=0.02 * np.ptp(image))
    torch.testing.assert_close(moved.real, moved.imag)


def test_the_error_of_positions_is_told_with_and_without_a_deformation():
    true = np.random.default_rng(1).uniform(0, 50, (200, 2))
    noise = np.random.default_rng(2).normal(0, 0.1, true.shape)
    whole, rest = position_error(true @ np.array([[1.05, 0], [0.02, 1]]) + [7, -3] + noise, true)
    assert whole > 0.4
    assert rest == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("bound", 0.0), ("bound", float("nan"))])
def test_settings_that_cannot_be_right_are_refused(name: str, value: float):
    with pytest.raises(InputError, match=rf"^{name} is {value}: expected"):
        RefinementSettings(**{name: value})
