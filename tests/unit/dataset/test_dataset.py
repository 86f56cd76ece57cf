"""A scan in memory is checked once, and its geometry is that of the textbooks."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import constants

from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.errors import InputError
from ptychoflow.ingest.inspection import inspect
from ptychoflow.iterative.orientation import photon_errors
from ptychoflow.iterative.refinement import refined
from ptychoflow.metrics.patches import patch_scores
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.physics.losses import LOSSES
from ptychoflow.settings.solver import RefinementSettings


def test_the_wavelength_is_planck_times_light_over_energy():
    expected = constants.h * constants.c / (8850 * constants.e)
    assert wavelength_of(8850) == pytest.approx(expected, rel=1e-8)


def test_the_pixel_is_wavelength_times_distance_over_the_detector(small_dataset: Dataset):
    expected = wavelength_of(small_dataset.energy) * small_dataset.detector_distance / (32 * 75e-6)
    assert small_dataset.pixel_size == pytest.approx(expected)


def test_a_near_field_in_a_cone_beam_is_that_of_a_parallel_one_by_the_scaling_theorem(small_dataset: Dataset):
    cone = dataclasses.replace(
        small_dataset, propagation="near", detector_pixel_size=2e-6, detector_distance=0.9, source_distance=0.1
    )
    parallel = dataclasses.replace(
        small_dataset, propagation="near", detector_pixel_size=0.2e-6, detector_distance=0.9 * 0.1 / (0.9 + 0.1)
    )
    assert cone.magnification == pytest.approx(10)
    assert cone.pixel_size == pytest.approx(parallel.pixel_size) == pytest.approx(0.2e-6)
    assert cone.fresnel_number == pytest.approx(parallel.fresnel_number)
    expected = (0.2e-6) ** 2 / (wavelength_of(small_dataset.energy) * 0.09)
    assert parallel.fresnel_number == pytest.approx(expected)
    assert small_dataset.fresnel_number is None


def test_a_valid_dataset_is_returned_itself(small_dataset: Dataset):
    assert small_dataset.validate("scan") is small_dataset


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"propagation": "middle"}, "propagation is middle: expected far or near"),
        ({"source_distance": -1.0}, "source_distance is -1.0: expected a positive number"),
        (
            {"propagation": "near", "detector_pixel_size": 1e-7},
            "the Fresnel number of a pixel is 0.000208: expected at least 1 / 32",
        ),
        ({"true_positions": np.ones((3, 2))}, r"true_positions have shape \(3, 2\): expected \(64, 2\)"),
        ({"frames": np.ones((64, 32, 30))}, r"frames have shape \(64, 32, 30\)"),
        ({"frames": np.ones((0, 32, 32))}, "frames are empty"),
        ({"frames": np.ones((64, 31, 31))}, "frames are 31 pixels wide"),
        ({"frames": np.ones((64, 6, 6))}, "frames are 6 pixels wide"),
        ({"positions": np.ones((63, 2))}, r"positions has shape \(63, 2\): expected \(64, 2\)"),
        ({"probe": np.array(1 + 0j)}, r"probe has shape \(\): expected \('modes', 32, 32\)"),
        ({"probe": np.ones((32, 32), complex)}, r"probe has shape \(32, 32\)"),
        ({"probe": np.ones((0, 32, 32), complex)}, r"probe has shape \(0, 32, 32\): expected \('modes', 32, 32\)"),
        ({"mask": np.ones((32, 30), bool)}, r"mask has shape \(32, 30\)"),
        ({"object_shape": (90,), "truth": None}, r"object_shape is \(90,\): expected \(H, W\)"),
        ({"object_shape": (90, 90, 2), "truth": None}, r"object_shape is \(90, 90, 2\)"),
        ({"truth": np.ones((5, 5), complex)}, r"true object has shape \(5, 5\)"),
        ({"mask": np.zeros((32, 32), bool)}, "mask has no good pixel"),
        ({"probe": np.zeros((1, 32, 32), complex)}, "probe is zero"),
        ({"probe": np.full((1, 32, 32), np.inf + 0j)}, "probe holds 1024 NaN or infinite"),
        ({"positions": np.full((64, 2), np.nan)}, "positions holds 128 NaN"),
        ({"energy": 0.0}, "energy is 0.0"),
        ({"energy": float("nan")}, "energy is nan"),
        ({"detector_distance": -1.0}, "detector_distance is -1.0"),
        ({"detector_pixel_size": float("inf")}, "detector_pixel_size is inf"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(changes: dict, sentence: str, small_dataset: Dataset):
    with pytest.raises(InputError, match=f"^scan.cxi: {sentence}"):
        dataclasses.replace(small_dataset, **changes).validate("scan.cxi")


def test_frames_without_photons_are_data_and_warned_of(small_dataset: Dataset, caplog: pytest.LogCaptureFixture):
    frames, mask = small_dataset.frames.copy(), small_dataset.mask.copy()
    frames[7], frames[9] = 0, 0
    frames[7, 2, 3] = 100
    dataclasses.replace(small_dataset, frames=frames).validate("scan")
    assert "1 of 64 frames have no photon on a good pixel, the first of them frame 9" in caplog.text
    mask[2, 3] = False  # light on bad pixels alone does not count
    caplog.clear()
    dataset = dataclasses.replace(small_dataset, frames=frames, mask=mask)
    assert dataset.validate("scan") is dataset
    assert "2 of 64 frames have no photon on a good pixel, the first of them frame 7" in caplog.text
    frames[:] = 0
    frames[7, 2, 3] = 100
    with pytest.raises(InputError, match="scan: none of the 64 frames has a photon on a good pixel"):
        dataset.validate("scan")


def test_a_dark_frame_leaves_every_step_finite(small_dataset: Dataset):
    frames = small_dataset.frames.copy()
    frames[[0, 20, 40]] = 0
    dark = dataclasses.replace(small_dataset, frames=frames).validate("scan")
    facts, warnings = inspect(dark)
    assert facts["photons_per_frame_least"] == 0
    assert any("expected no frame without beam" in sentence for sentence in warnings)
    assert all(np.isfinite(error) for error in photon_errors(dark, iterations=2).values())
    refined_dark, refinement = refined(dark, RefinementSettings(rounds=2))
    assert np.isfinite(refined_dark.positions).all()
    assert np.isfinite(refinement.misfits).all()
    weight = torch.ones(3, 32, 32)
    zeros, patches = torch.zeros(3, 32, 32, dtype=torch.complex64), torch.from_numpy(dark.truth[None, :32, :32])
    assert all(torch.isfinite(value) for value in patch_scores(zeros, patches.expand(3, -1, -1), weight, 16).values())
    for loss in LOSSES.values():
        intensity = torch.rand(3, 32, 32, requires_grad=True)
        loss(intensity, torch.from_numpy(frames[[0, 20, 40]]), torch.from_numpy(dark.mask)).backward()
        assert torch.isfinite(intensity.grad).all()


@pytest.mark.parametrize(("row", "fits"), [(16.0, True), (15.9, False)])
def test_a_patch_may_touch_the_edge_of_the_object_and_no_more(row: float, fits: bool, small_dataset: Dataset):
    positions = small_dataset.positions.copy()
    positions[5, 0] = row
    moved = dataclasses.replace(small_dataset, positions=positions)
    if fits:
        assert moved.validate("scan") is moved
    else:
        with pytest.raises(InputError, match=r"position 5 is \(15\.9, .* outside the object of"):
            moved.validate("scan")


def test_the_object_frame_holds_all_patches_round_its_middle():
    offsets = np.random.default_rng(0).uniform((-900, 40), (-870.5, 103), (50, 2))
    positions, shape = object_frame(offsets, 16)
    np.testing.assert_allclose(np.diff(positions, axis=0), np.diff(offsets, axis=0), atol=1e-9)
    np.testing.assert_allclose(positions.min(axis=0) + positions.max(axis=0), shape)
    assert all(length % 2 == 0 for length in shape)
    # Half a patch and two pixels of border on either side, and at most two pixels of rounding in all.
    slack = np.array(shape) - (np.ptp(offsets, axis=0) + 16 + 4)
    assert (slack >= 0).all()
    assert (slack < 2).all()
