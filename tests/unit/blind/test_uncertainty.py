"""How far images say they may be off, against how far they are: simulated scans at several photon numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blind_scans import plain_engine, settings_of, small_scan

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.blind.uncertainty import half_images, local_mean
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.figures.result import uncertainty_figure
from ptychoflow.metrics.alignment import align, between_probes
from ptychoflow.reconstruction.ensemble import own_uncertainty
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, write_reconstruction
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

PLAIN = {"learned": False, "uncertainty": True}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uncertainty") / "scan.cxi"
    path.write_bytes(b"only fingerprinted")
    return path


@pytest.fixture(scope="module", params=[1e5, 1e7])
def scan(request: pytest.FixtureRequest) -> Dataset:
    return small_scan(probe={"flux": request.param}, scan={"frames": 100})


@pytest.fixture(scope="module")
def measured(scan: Dataset, file: Path) -> Reconstruction:
    return reconstruct(replace(scan, truth=None), file, settings_of(**PLAIN))


def test_intervals_cover_what_they_say(scan: Dataset, measured: Reconstruction):
    area = np.isfinite(measured.amplitude_deviation)
    assert (np.isfinite(measured.phase_deviation) == area).all()
    image = align(measured.object, scan.truth, area, *between_probes(measured.probe, scan.reference_probe))
    scale = np.abs(image[area]).mean() / np.abs(measured.object[area]).mean()
    amplitude = np.abs(np.abs(image) - np.abs(scan.truth)) < 1.645 * scale * measured.amplitude_deviation
    phase = np.abs(np.angle(image * scan.truth.conj())) < 1.645 * measured.phase_deviation
    # One small scan: those of a study are averaged over.
    assert 0.75 < amplitude[area].mean() < 0.99
    assert 0.75 < phase[area].mean() <= 1
    # Half as wide, they cover far less: they are no wider than they must be.
    narrow = np.abs(np.abs(image) - np.abs(scan.truth)) < 0.4 * scale * measured.amplitude_deviation
    assert narrow[area].mean() < 0.6


def test_it_costs_nothing_where_it_is_not_asked_for(scan: Dataset, measured: Reconstruction, file: Path):
    without = reconstruct(replace(scan, truth=None), file, settings_of(**PLAIN | {"uncertainty": False}))
    assert without.amplitude_deviation is None
    np.testing.assert_array_equal(without.object, measured.object)
    np.testing.assert_array_equal(without.halves, measured.halves)


def test_a_file_and_a_figure_have_it(scan: Dataset, measured: Reconstruction, tmp_path: Path):
    write_reconstruction(tmp_path / "reconstruction.h5", measured)
    again = read_reconstruction(tmp_path / "reconstruction.h5")
    np.testing.assert_array_equal(again.phase_deviation, measured.phase_deviation)
    known = own_uncertainty(again, scan)
    assert known.found.shape == known.predicted.shape == (2, 10)
    ratio = np.sqrt(np.square(known.found).mean(axis=1) / np.square(known.predicted).mean(axis=1))
    assert (ratio > 0.4).all()
    assert (ratio < 1.6).all()
    assert len([axis for axis in uncertainty_figure(known).axes if axis.lines]) == 2
    unknown = own_uncertainty(again, replace(scan, truth=None))
    assert np.isnan(unknown.found).all()
    np.testing.assert_array_equal(unknown.amplitude_deviation, measured.amplitude_deviation)
    assert not any(axis.lines for axis in uncertainty_figure(unknown).axes)
    with pytest.raises(InputError, match=r"has no amplitude_deviation: .* reconstruction\.uncertainty true"):
        own_uncertainty(replace(measured, amplitude_deviation=None), scan)


def test_fewer_photons_are_less_sure(file: Path):
    told = []
    for flux in (1e4, 1e6):
        dataset = replace(small_scan(probe={"flux": flux}), truth=None)
        found = reconstruct(dataset, file, settings_of(iterations=12, most_iterations=12, **PLAIN))
        told.append([np.nanmedian(part) for part in (found.amplitude_deviation, found.phase_deviation)])
    ratio = np.divide(*told)
    # Ten times the noise; what iterations leave undone is the same.
    assert (ratio > 2).all()
    assert (ratio < 15).all()


def test_a_half_knows_nothing_of_the_other_one_s_photons():
    run = BlindReconstruction(plain_engine(), small_scan(), settings_of(iterations=3, most_iterations=3))
    run.run()
    before = half_images(run, 5)
    order = run.fitted[torch.randperm(len(run.fitted), generator=torch.Generator().manual_seed(5))]
    first, second = order.tensor_split(2)
    run.frames.amplitudes[:, second] = 1.7 * run.frames.amplitudes[:, second].flip(-1)
    run.frames.amplitudes[:, torch.from_numpy(run.held_out)] = 0
    after = half_images(run, 5)
    np.testing.assert_array_equal(before[0][0], after[0][0])
    assert np.abs(before[1][0] - after[1][0]).max() > 0.1
    assert not set(first.tolist()) & set(second.tolist())


def test_neighbours_are_averaged_inside_the_area_alone():
    area = np.zeros((40, 40), bool)
    area[8:30, 5:33] = True
    values = np.where(area, 3.0, 1e6)
    np.testing.assert_allclose(local_mean(values, area)[area], 3, rtol=1e-6)
    peak = np.zeros((2, 40, 40))
    peak[1, 20, 20] = 1
    mean = local_mean(peak, area)
    assert not mean[0].any()
    assert mean[1].sum() == pytest.approx(1, rel=0.02)
    assert mean[1, 20, 20] == pytest.approx(1 / (2 * np.pi * 4), rel=0.05)


def test_too_few_frames_are_refused(file: Path):
    dataset = small_scan(scan={"frames": 4})
    with pytest.raises(InputError, match="has 4 frames: expected at least 8, for halves to tell the uncertainty"):
        reconstruct(dataset, file, BlindReconstructionSettings(**PLAIN))
