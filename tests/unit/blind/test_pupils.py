"""Pupils and frames of other sizes against closed forms and the simulation's probe."""

import numpy as np
import pytest
import torch
from blind_scans import likeness, small_scan

from ptychoflow.blind.pupils import coarse_probe, cropped, defocused, disk, embedded, pupil_radius
from ptychoflow.physics.geometry import wavelength_of


def test_a_defocused_pupil_is_that_of_the_simulation():
    beam = {"kind": "zone_plate", "zone_plate_diameter": 100e-6, "defocus": 40e-6, "flux": 1e6}
    dataset = small_scan(probe=beam, detector_pixel_size=150e-6)
    defocus = wavelength_of(dataset.energy) * 40e-6 / dataset.pixel_size**2
    probe = torch.from_numpy(dataset.probe)
    far = torch.fft.fft2(torch.fft.ifftshift(probe[0]), norm="ortho")
    made = defocused(far.abs(), defocus)
    assert likeness(made[None], probe) > 0.999
    torch.testing.assert_close(made.abs(), probe[0].abs(), rtol=1e-2, atol=1e-3 * float(probe.abs().max()))
    assert likeness(defocused(far.abs(), 0.7 * defocus)[None], probe) < 0.95


def test_the_radius_of_a_pupil_is_that_of_its_disk():
    frequency = torch.fft.fftfreq(128)
    radius = torch.hypot(frequency[:, None], frequency)
    assert pupil_radius((radius < 0.25).float(), 1.0) == pytest.approx(0.25, abs=1 / 128)
    assert pupil_radius((radius < 0.25).float(), 0.25) == pytest.approx(0.125, abs=1 / 128)


def test_a_disk_has_its_diameter():
    area = float(disk(64, 0.4).real.sum())
    assert area == pytest.approx(np.pi * (0.2 * 64) ** 2, rel=0.02)
    assert disk(64, 0.4)[32, 32].real > 0.99


def test_embedding_a_cropped_probe_gives_back_one_of_low_frequencies():
    generator = torch.Generator().manual_seed(0)
    small = torch.randn(2, 16, 16, dtype=torch.complex128, generator=generator)
    wide = embedded(small, 48)
    assert wide.shape == (2, 48, 48)
    far, small_far = (torch.fft.fft2(torch.fft.ifftshift(p, dim=(-2, -1)), norm="ortho") for p in (wide, small))
    torch.testing.assert_close(cropped(far, 16), small_far)
    torch.testing.assert_close(coarse_probe(wide, 16), 3 * small)
    torch.testing.assert_close(wide.abs().square().sum(), small.abs().square().sum())
    # A finer pixel shows the same field: every third one is what there was.
    torch.testing.assert_close(3 * wide[:, ::3, ::3], small)


def test_cropping_keeps_the_frequencies_about_zero():
    frequency = torch.fft.fftfreq(12) * 12
    kept = cropped(frequency[:, None].expand(12, 12), 8)[:, 0]
    torch.testing.assert_close(kept, torch.fft.fftfreq(8) * 8)
