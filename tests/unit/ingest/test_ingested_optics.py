"""Probes of known optics are as wide as closed forms say, in focus and out of it, and shine where they must."""

import dataclasses

import numpy as np
import pytest
from scipy.special import j1

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.ingestion import ingest
from ptychoflow.ingest.optics import numerical_apertures, probe_of
from ptychoflow.physics.geometry import electron_wavelength, wavelength_of
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.optics import OpticsSettings
from ptychoflow.settings.simulation import ProbeSettings
from ptychoflow.simulation.probes import make_probe

WAVELENGTH = wavelength_of(8000.0)
SIZE, PIXEL = 256, 10e-9
ZONE_PLATE = OpticsSettings("zone_plate", outer_zone_width=50e-9)


def spectrum(probe: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe[0])))) ** 2


def radius(size: int) -> np.ndarray:
    axis = np.arange(size) - size // 2
    return np.hypot(axis[:, None], axis[None, :])


def test_a_zone_plate_in_focus_is_airys_disk():
    probe = np.abs(probe_of(ZONE_PLATE, SIZE, PIXEL, WAVELENGTH)[0])
    line = probe[SIZE // 2, SIZE // 2 :]
    assert line.argmax() == 0
    # The first zero lies at 1.22 times the outermost zone, 61 nm, and the amplitude up to there is J₁(x) / x.
    assert np.argmin(line[:9]) == 6
    x = np.pi * np.arange(1, 6) * PIXEL / 50e-9
    np.testing.assert_allclose(line[1:6] / line[0], np.abs(2 * j1(x) / x), atol=0.01)


def test_the_far_field_of_a_zone_plate_is_a_ring_of_its_angles():
    settings = dataclasses.replace(ZONE_PLATE, diameter=160e-6, central_stop=48e-6, defocus=10e-6)
    light = spectrum(probe_of(settings, SIZE, PIXEL, WAVELENGTH))
    light = light / np.median(light[light > 0.5 * light.max()])
    # λ / (2 Δr) over the λ / (N p) of a pixel is N p / (2 Δr).
    edge = SIZE * PIXEL / (2 * 50e-9)
    assert numerical_apertures(settings, WAVELENGTH) == [WAVELENGTH / 100e-9]
    places = radius(SIZE)
    np.testing.assert_allclose(light[(places > 0.3 * edge + 1) & (places < edge - 1)], 1, atol=1e-9)
    assert light[(places < 0.3 * edge - 1) | (places > edge + 1)].max() < 1e-20


@pytest.mark.parametrize("distance", [100e-6, -100e-6])
def test_the_sign_of_defocus_is_that_of_the_beams_curvature(distance: float):
    # Behind the focus the phase grows with the radius as π r² / (λ z), in front of it it falls.
    settings = OpticsSettings("lens", convergence_angle=7e-3, defocus=distance)
    wave = probe_of(settings, SIZE, PIXEL, WAVELENGTH)[0]
    axis = (np.arange(SIZE) - SIZE // 2) * PIXEL
    inside = abs(axis) < 7e-3 * 100e-6 / 2
    curvature = np.polyfit(axis[inside], np.unwrap(np.angle(wave[SIZE // 2]))[inside], 2)[0]
    assert curvature == pytest.approx(np.pi / (WAVELENGTH * distance), rel=0.05)


def test_a_beam_out_of_focus_is_as_wide_as_its_cone():
    settings = OpticsSettings("mirrors", aperture=(300e-6, 1e-3), focal_lengths=(30e-3, 71e-3), defocus=140e-6)
    light = np.abs(probe_of(settings, SIZE, PIXEL, WAVELENGTH)[0]) ** 2
    for axis, angle in ((1, 300e-6 / 30e-3), (0, 1e-3 / 71e-3)):
        # The light of a straight edge falls to a quarter where the edge's shadow begins.
        line = light.sum(axis=axis)
        width = np.count_nonzero(line > 0.25 * np.median(line[line > 0.3 * line.max()])) * PIXEL
        assert width == pytest.approx(140e-6 * angle, rel=0.03)


def test_the_probe_is_that_of_a_simulation_with_the_same_optics():
    # f = D Δr / λ
    simulated = ProbeSettings(
        zone_plate_diameter=160e-6, focal_length=160e-6 * 50e-9 / WAVELENGTH, defocus=12e-6, central_stop=0.3
    )
    expected = make_probe(simulated, SIZE, PIXEL, WAVELENGTH)
    own = dataclasses.replace(ZONE_PLATE, diameter=160e-6, central_stop=48e-6, defocus=12e-6)
    found = probe_of(own, SIZE, PIXEL, WAVELENGTH)
    likeness = abs(np.vdot(found, expected)) / np.linalg.norm(found) / np.linalg.norm(expected)
    assert likeness == pytest.approx(1, abs=1e-9)


def test_a_pinhole_is_a_disk_that_spreads_and_keeps_its_light():
    near = OpticsSettings("pinhole", diameter=1e-6)
    disk = np.abs(probe_of(near, SIZE, PIXEL, WAVELENGTH)[0]) ** 2
    assert np.count_nonzero(disk > 0.25) * PIXEL**2 == pytest.approx(np.pi * 1e-12 / 4, rel=0.02)
    # On its axis, behind a² / (λ z) zones of Fresnel, an odd number gives four times the light of the hole, and
    # an even one nothing; soft edges take a tenth of that.
    middle = []
    for zones in (1, 2):
        distance = 0.5e-6**2 / (WAVELENGTH * zones)
        far = np.abs(probe_of(dataclasses.replace(near, defocus=distance), SIZE, PIXEL, WAVELENGTH)[0]) ** 2
        assert far.sum() == pytest.approx(disk.sum(), rel=0.01)
        middle.append(far[SIZE // 2, SIZE // 2])
    assert middle == pytest.approx([3.6, 0], abs=0.2)


def test_electrons_have_their_own_wavelength():
    wavelength = electron_wavelength(300e3)
    settings = OpticsSettings("lens", convergence_angle=20e-3, defocus=20e-9)
    size, pixel = 128, wavelength / (2 * 40e-3)  # a detector to twice the cone's angle
    probe = probe_of(settings, size, pixel, wavelength)
    light = spectrum(probe)
    assert np.count_nonzero(light > 0.5 * light.max()) == pytest.approx(np.pi * (size / 4) ** 2, rel=0.02)
    width = np.sqrt(np.count_nonzero(np.abs(probe[0]) ** 2 > 0.2 * (np.abs(probe[0]) ** 2).max()) * 4 / np.pi) * pixel
    assert width == pytest.approx(2 * 20e-3 * 20e-9, rel=0.2)


GEOMETRY = {"energy": 8000.0, "detector_distance": 1.0, "detector_pixel_size": WAVELENGTH / (64 * 20e-9)}


def ingested(settings: IngestSettings, **said: object):
    frames = np.random.default_rng(0).poisson(100, (4, 64, 64)).astype(np.float32)
    return ingest(
        RawScan(frames, np.array([[0, 0], [0, 5], [5, 0], [5, 5]], float), "pixels", **said), settings, "scan"
    )


def test_known_optics_stand_for_the_probe_of_a_file_and_are_knowledge():
    optics = dataclasses.replace(ZONE_PLATE, defocus=5e-6)
    read = ingested(IngestSettings(**GEOMETRY, optics=optics, flux=1e5), probe=np.ones((1, 64, 64), complex))
    assert read.probe_known
    assert np.sum(np.abs(read.probe) ** 2) == pytest.approx(1e5, rel=1e-5)
    expected = probe_of(optics, 64, 20e-9, WAVELENGTH)
    np.testing.assert_allclose(read.probe / np.linalg.norm(read.probe), expected / np.linalg.norm(expected), atol=1e-5)
    assert not ingested(IngestSettings(**GEOMETRY)).probe_known
    by_photons = {"pixel_size": 20e-9, "detector_distance": 1.0}
    with pytest.raises(InputError, match="energy must be known to draw the probe of a zone_plate"):
        ingested(IngestSettings(optics=optics), **by_photons)


@pytest.mark.parametrize(
    ("optics", "reason"),
    [
        ({"kind": "zone_plate"}, "optics is a zone_plate without outer_zone_width"),
        (
            {"kind": "lens", "convergence_angle": 1e-3, "diameter": 1e-4},
            "expected the kind that has diameter",
        ),
        ({"defocus": 1e-6}, "optics.kind is none: expected the kind that has defocus"),
        (
            {"kind": "zone_plate", "outer_zone_width": 5e-8, "central_stop": 1e-5},
            "expected less than the diameter",
        ),
        ({"kind": "mirrors", "aperture": (1e-4, 0.0), "focal_lengths": (1.0, 1.0)}, "optics.aperture is"),
        ({"kind": "lens", "convergence_angle": 20.0}, "optics.convergence_angle is 20.0"),
        ({"kind": "pinhole", "diameter": -1.0}, "optics.diameter is -1.0"),
        ({"kind": "pinhole", "diameter": 1e-6, "defocus": float("nan")}, "optics.defocus is nan"),
    ],
)
def test_optics_that_cannot_be_are_refused(optics: dict, reason: str):
    with pytest.raises(InputError, match=reason.replace(".", r"\.")):
        OpticsSettings(**optics)


@pytest.mark.parametrize(
    ("optics", "reason"),
    [
        (
            {"kind": "zone_plate", "outer_zone_width": 10e-9},
            "half-angle of 0.00775 rad, the detector reaches to 0.00387",
        ),
        ({"kind": "zone_plate", "outer_zone_width": 1e-6}, "expected one between"),
        ({"kind": "zone_plate", "outer_zone_width": 50e-9, "defocus": 1e-3}, "spreads the beam over 155 pixels"),
        ({"kind": "pinhole", "diameter": 5e-6}, "is 250 pixels: expected 2 to 80% of the frame's 64"),
        ({"kind": "pinhole", "diameter": 1e-7, "defocus": 1e-3}, "of the light behind a hole of 1e-07 m out"),
    ],
)
def test_beams_that_do_not_fit_are_refused(optics: dict, reason: str):
    with pytest.raises(InputError, match=reason):
        ingested(IngestSettings(**GEOMETRY, optics=OpticsSettings(**optics)))


def test_two_answers_and_near_fields_are_refused():
    with pytest.raises(InputError, match="zone_plate beside probe_diameter"):
        IngestSettings(optics=ZONE_PLATE, probe_diameter=1e-6)
    with pytest.raises(InputError, match="zone_plate and propagation near"):
        IngestSettings(optics=ZONE_PLATE, propagation="near")
