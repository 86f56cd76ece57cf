"""An ensemble finds the deviation that its members have, and says how it compares with their error."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.figures.result import uncertainty_figure
from ptychoflow.reconstruction.ensemble import calibration, combine, read_ensemble, write_ensemble
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.stitching import coverage_of


@pytest.fixture(scope="module")
def members(small_dataset: Dataset) -> list[Reconstruction]:
    """The truth with noise that grows along the rows, each in a phase and scale of its own."""
    truth = small_dataset.truth
    spread = np.linspace(0.01, 0.05, len(truth))[:, None]
    reconstructions = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        noise = random.normal(0, spread, truth.shape) + 1j * random.normal(0, spread, truth.shape)
        free = random.uniform(0.8, 1.2) * np.exp(1j * random.uniform(-3, 3))
        reconstructions.append(
            Reconstruction(
                object=((truth + noise * truth / np.abs(truth)) * free).astype(np.complex64),
                coverage=coverage_of(small_dataset.probe, small_dataset.positions, truth.shape),
                halves=np.zeros((2, *truth.shape), np.complex64),
                probe=small_dataset.probe,
                positions=small_dataset.positions,
                held_out=np.zeros(64, bool),
                pixel_size=1e-8,
            )
        )
    return reconstructions


def test_deviation_is_that_of_the_noise(members: list[Reconstruction], small_dataset: Dataset):
    ensemble = combine(members, small_dataset)
    rows, _ = np.nonzero(ensemble.area)
    expected = np.linspace(0.01, 0.05, len(ensemble.area))[rows]
    assert np.mean(ensemble.amplitude_deviation[ensemble.area] / expected) == pytest.approx(1, abs=0.1)
    phase = ensemble.phase_deviation[ensemble.area] * np.abs(small_dataset.truth)[ensemble.area]
    assert np.mean(phase / expected) == pytest.approx(1, abs=0.15)
    assert np.abs(ensemble.object - small_dataset.truth)[ensemble.area].mean() < 0.02


def test_noise_alone_is_well_calibrated(members: list[Reconstruction], small_dataset: Dataset):
    ensemble = combine(members, small_dataset)
    # Bins chosen by the deviation itself regress to the mean at both ends: the middle ones must agree.
    np.testing.assert_allclose(ensemble.found[0, 2:8] / ensemble.predicted[0, 2:8], 1, atol=0.25)
    assert ensemble.found[0, -1] > 1.5 * ensemble.found[0, 0]


def test_without_truth_the_first_member_is_the_reference(members: list[Reconstruction], small_dataset: Dataset):
    ensemble = combine(members, dataclasses.replace(small_dataset, truth=None))
    assert np.isnan(ensemble.found).all()
    known = combine(members, small_dataset)
    ratio = ensemble.amplitude_deviation[known.area].mean() / np.abs(members[0].object).mean()
    assert ratio == pytest.approx(known.amplitude_deviation[known.area].mean() / np.abs(known.object).mean(), rel=0.2)


def test_calibration_sorts_by_deviation():
    deviation = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    predicted, found = calibration(deviation, np.stack([2 * deviation, -2 * deviation]))
    np.testing.assert_allclose(found, 2 * predicted)
    assert predicted[0] == pytest.approx(np.sqrt(np.mean(np.arange(1.0, 11.0) ** 2)))


def test_an_ensemble_is_read_back_and_drawn(members: list[Reconstruction], small_dataset: Dataset, tmp_path: Path):
    ensemble = combine(members[:3], small_dataset)
    write_ensemble(tmp_path / "ensemble.h5", ensemble)
    read = read_ensemble(tmp_path / "ensemble.h5")
    np.testing.assert_array_equal(read.phase_deviation, ensemble.phase_deviation)
    assert len(read.provenance["members"]) == 3
    assert len([axis for axis in uncertainty_figure(read).axes if axis.lines]) == 2
    with pytest.raises(InputError, match="expected two or more of one shape"):
        combine(members[:1], small_dataset)
    (tmp_path / "none.h5").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_ensemble(tmp_path / "none.h5")
