"""The probe of an ingested scan sends its light where the prepared frames have it, and as much of it."""

import numpy as np
import pytest

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.orientation import Orientation
from ptychoflow.ingest.ingestion import ingest
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.settings.ingest import IngestSettings

UNDONE = {
    "as_stored": lambda image: image,
    "flip_rows": lambda image: image[..., ::-1, :],
    "flip_columns": lambda image: image[..., ::-1],
    "flip_both": lambda image: image[..., ::-1, ::-1],
    "transpose": lambda image: np.swapaxes(image, -1, -2),
    "transpose_flip_rows": lambda image: np.rot90(image, -1, axes=(-2, -1)),
    "transpose_flip_columns": lambda image: np.rot90(image, 1, axes=(-2, -1)),
    "transpose_flip_both": lambda image: np.swapaxes(image, -1, -2)[..., ::-1, ::-1],
}
"""What a detector hung otherwise does to frames of an odd number of pixels, by the orientation that undoes it."""
GEOMETRY = {"energy": 8000.0, "detector_distance": 1.0, "detector_pixel_size": 75e-6}


def gaussian(size: int, width: float, tilt: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Beam (1, N, N) whose far field is moved by `tilt` pixels of N × N."""
    axis = np.arange(size) - size // 2
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    wave = np.exp(2j * np.pi * (tilt[0] * rows + tilt[1] * columns) / size)
    return 100 * (np.exp(-(rows**2 + columns**2) / (2 * width**2)) * wave)[None]


def far_field(probe: np.ndarray) -> np.ndarray:
    field = np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)), norm="ortho")
    return (np.abs(np.fft.fftshift(field, axes=(-2, -1))) ** 2).sum(axis=0)


def middle(image: np.ndarray) -> list[float]:
    """(row, column) of the centre of light, in pixels from pixel N // 2."""
    axis = np.arange(len(image)) - len(image) // 2
    return [float((image.sum(axis=other) * axis).sum() / image.sum()) for other in (1, 0)]


def empty(frame: np.ndarray, settings: IngestSettings, **others: object) -> Dataset:
    """Ingest a scan of four frames in which there is nothing but the beam."""
    positions = np.array([[0, 0], [0, 5], [5, 0], [5, 5]], float)
    scan = RawScan(np.repeat(frame[None], 4, axis=0), positions, "pixels", **others)
    return ingest(scan, settings, "scan")


@pytest.mark.parametrize("orientation", UNDONE)
def test_the_flux_of_a_masked_detector_hung_otherwise_is_that_of_the_beam(orientation: Orientation):
    probe = gaussian(32, 3.0, tilt=(6, 2))
    # Beyond the first row and column of 32 pixels, which have no partner, 31 lie about the zero frequency.
    good = np.zeros((32, 32), bool)
    good[1:17, 1:], good[20:, 5:9] = True, True
    stored, marked = np.zeros((32, 32)), np.zeros((32, 32), bool)
    stored[1:, 1:], marked[1:, 1:] = UNDONE[orientation](far_field(probe)[1:, 1:]), UNDONE[orientation](good[1:, 1:])
    read = empty(stored, IngestSettings(orientation=orientation), probe=probe, good=marked)
    np.testing.assert_array_equal(read.mask, good)
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(np.sum(np.abs(probe) ** 2), rel=1e-3)


@pytest.mark.parametrize("orientation", UNDONE)
@pytest.mark.parametrize("detector", [{"binning": 2}, {"centre": (34.3, 30.6), "size": 48}])
def test_the_tilt_is_turned_with_the_frames(orientation: Orientation, detector: dict):
    beam = np.array(detector.get("centre", (32, 32))) - 32
    stored = far_field(gaussian(64, 3.0, tilt=tuple(beam)))
    settings = IngestSettings(orientation=orientation, detector=DetectorSettings(**detector))
    read = empty(stored, settings, probe=gaussian(64, 3.0))
    seen = middle(read.frames[0])
    assert np.hypot(*seen) > 0.3
    np.testing.assert_allclose(middle(far_field(read.probe)), seen, atol=0.01)


@pytest.mark.parametrize("detector", [{"binning": 2}, {"centre": (34.3, 30.6), "size": 64}])
def test_a_disk_is_tilted_to_where_the_beam_falls(detector: dict):
    beam = np.array(detector.get("centre", (32, 32))) - 32
    stored = far_field(gaussian(64, 3.0, tilt=tuple(beam)))
    pixel = wavelength_of(GEOMETRY["energy"]) / (64 * GEOMETRY["detector_pixel_size"])
    settings = IngestSettings(**GEOMETRY, probe_diameter=12 * pixel, detector=DetectorSettings(**detector))
    read = empty(stored, settings)
    seen = middle(read.frames[0])
    assert np.hypot(*seen) > 0.3
    np.testing.assert_allclose(middle(far_field(read.probe)), seen, atol=0.01)


def test_a_probe_of_prepared_frames_stays_as_it_is():
    probe = gaussian(32, 3.0, tilt=(-0.25, -0.25))
    settings = IngestSettings(flux=float(np.sum(np.abs(probe) ** 2)), detector=DetectorSettings(binning=2))
    read = empty(far_field(gaussian(64, 3.0)), settings, probe=probe)
    np.testing.assert_allclose(read.probe, probe, rtol=1e-5)
    np.testing.assert_allclose(middle(far_field(read.probe)), middle(read.frames[0]), atol=0.01)


def near_field(probe: np.ndarray, wavelength_distance: float, pixel: float) -> np.ndarray:
    """Fresnel's convolution, each mode by the spectrum of its kernel; (N, N) photons with the middle in the centre."""
    frequency = np.fft.fftfreq(probe.shape[-1], pixel)
    kernel = np.exp(-1j * np.pi * wavelength_distance * (frequency[:, None] ** 2 + frequency[None, :] ** 2))
    return (np.abs(np.fft.ifft2(kernel * np.fft.fft2(probe))) ** 2).sum(axis=0)


NEAR = {"propagation": "near", "energy": 8000.0, "detector_distance": 0.01, "detector_pixel_size": 1e-6}


@pytest.mark.parametrize("kind", ["flat", "broad", "curved"])
def test_the_flux_of_a_near_field_is_that_of_its_beam(kind: str):
    axis = np.arange(32) - 16
    curvature = np.exp(0.05j * (axis[:, None] ** 2 + axis[None, :] ** 2))
    probe = {"flat": np.full((1, 32, 32), 20 + 0j), "broad": gaussian(32, 6.0), "curved": gaussian(32, 4.0) * curvature}
    good = np.ones((32, 32), bool)
    good[16, 16] = good[12:15, 20:22] = False
    frame = near_field(probe[kind], wavelength_of(8000.0) * 0.01, 1e-6)
    read = empty(frame, IngestSettings(**NEAR), probe=probe[kind], good=good)
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(np.sum(np.abs(probe[kind]) ** 2), rel=1e-4)


def test_a_mask_that_hides_the_beam_is_refused():
    good = np.ones((32, 32), bool)
    good[16, 16] = False
    with pytest.raises(InputError, match=r"a share of .* falls on good pixels: expected at least .* the setting flux"):
        empty(np.full((32, 32), 3.0), IngestSettings(), probe=np.ones((1, 32, 32), complex), good=good)


def test_a_near_field_has_its_middle_on_a_whole_pixel():
    settings = IngestSettings(**NEAR, detector=DetectorSettings(centre=(16.5, 16), size=32))
    with pytest.raises(InputError, match=r"centre is \[16.5, 16.0\], and the fields are near: expected a whole pixel"):
        empty(np.full((32, 32), 3.0), settings, probe=gaussian(32, 6.0))
