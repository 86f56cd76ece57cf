"""A pixel at the sample that the file has is the dataset's, whatever else the file and the settings leave open."""

import numpy as np
import pytest
from scipy import constants

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.ingestion import ingest
from ptychoflow.settings.ingest import IngestSettings, PositionSettings

PIXEL = 20e-9
METRES = np.array([[0, 0], [0, 1.5e-7], [1e-7, 0]])


def wavelength(energy: float) -> float:
    return constants.h * constants.c / (energy * constants.e)


def ingested(known: dict, settings: IngestSettings) -> Dataset:
    frames = np.ones((3, 32, 32), np.float32)
    scan = RawScan(frames, METRES, "metres", probe=np.ones((1, 32, 32), complex), pixel_size=PIXEL, **known)
    return ingest(scan, settings, "scan")


FAR = {"energy": 9000.0, "detector_distance": 2.0, "detector_pixel_size": 2.0 * wavelength(9000.0) / (32 * PIXEL)}


@pytest.mark.parametrize("missing", [["energy"], ["detector_distance"], ["detector_pixel_size"], []])
@pytest.mark.parametrize("said_by", ["file", "settings"])
def test_what_is_missing_follows_from_the_pixel_at_the_sample(missing: list[str], said_by: str):
    known = {key: value for key, value in FAR.items() if key not in missing}
    file, settings = (known, {}) if said_by == "file" else ({}, known)
    read = ingested(file, IngestSettings(**settings))
    assert {key: getattr(read, key) for key in FAR} == pytest.approx(FAR, rel=1e-6)
    assert read.pixel_size == pytest.approx(PIXEL)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(METRES, axis=0) / PIXEL, rtol=1e-6)


@pytest.mark.parametrize("name", FAR)
def test_where_two_are_missing_the_pixel_at_the_sample_stays(name: str):
    read = ingested({name: FAR[name]}, IngestSettings())
    assert read.pixel_size == pytest.approx(PIXEL)
    assert getattr(read, name) == FAR[name]
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(METRES, axis=0) / PIXEL, rtol=1e-6)


@pytest.mark.parametrize(("distance", "source", "magnification"), [(5e-5, None, 1), (0.05, 5e-5, 1001)])
def test_the_pixel_at_the_sample_of_a_near_field_is_that_of_the_detector_made_smaller(
    distance: float, source: float | None, magnification: float, caplog: pytest.LogCaptureFixture
):
    settings = IngestSettings(propagation="near", source_distance=source)
    read = ingested({"energy": 9000.0, "detector_distance": distance}, settings)
    assert read.pixel_size == pytest.approx(PIXEL)
    assert read.detector_pixel_size == pytest.approx(PIXEL * magnification)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(METRES, axis=0) / PIXEL, rtol=1e-6)
    assert read.fresnel_number == pytest.approx(PIXEL**2 / (wavelength(9000.0) * distance / magnification), rel=1e-6)
    assert not caplog.text


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"detector_distance": 5e-5}, "energy must be known to propagate near fields: expected them as settings"),
        ({"energy": 9000.0}, "detector_distance and detector_pixel_size must be known to propagate near fields"),
    ],
)
def test_near_fields_are_not_propagated_by_guesses(known: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        ingested(known, IngestSettings(propagation="near"))


def test_a_pixel_at_the_sample_against_the_geometry_is_told(caplog: pytest.LogCaptureFixture):
    read = ingested(FAR, IngestSettings(detector_distance=3.0))
    assert read.pixel_size == pytest.approx(1.5 * PIXEL)
    assert "scan: the pixel at the sample is 2e-08 m in the file, and 3e-08 m by energy" in caplog.text
    caplog.clear()
    ingested(FAR, IngestSettings())
    assert not caplog.text


def test_geometry_that_cannot_be_is_refused():
    frames = np.ones((3, 32, 32), np.float32)
    scan = RawScan(frames, METRES, "metres", pixel_size=1e-300, detector_distance=1.0, detector_pixel_size=1e-300)
    with pytest.raises(InputError, match=r"the pixel at the sample is 1e-300 m beside .*: expected one that can be"):
        ingest(scan, IngestSettings(), "scan")


def scanned(places: np.ndarray, **settings: object) -> Dataset:
    """Frames of one beam at these pixels at the sample."""
    frames = np.random.default_rng(0).poisson(20, (len(places), 32, 32)).astype(np.float32)
    scan = RawScan(frames, places * PIXEL, "metres", probe=np.ones((1, 32, 32), complex), pixel_size=PIXEL, **FAR)
    return ingest(scan, IngestSettings(**settings), "scan")


RASTER = np.stack(np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij"), axis=-1).reshape(-1, 2) * 4


@pytest.mark.parametrize(("factor", "sentence"), [(1e3, "4000 pixels of 2e-08 m apart"), (1e-3, "over 0.02 pixels")])
@pytest.mark.parametrize("repeats", [1, 2])
def test_a_scan_in_a_wrong_unit_is_refused_with_what_mends_it(factor: float, sentence: str, repeats: int):
    with pytest.raises(InputError, match=rf"{sentence}.*\(positions.unit, .*; energy in electronvolts, detector_dist"):
        scanned(np.repeat(RASTER * factor, repeats, axis=0))


def test_an_object_that_fills_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ptychoflow.ingest.ingestion.memory_bytes", lambda: 4 * 52 * 56 * 8 - 1)
    with pytest.raises(InputError, match="an object of 52 by 56 pixels of 2e-08 m would fill the memory"):
        scanned(RASTER)
    monkeypatch.setattr("ptychoflow.ingest.ingestion.memory_bytes", lambda: 4 * 52 * 56 * 8 + 8)
    scanned(RASTER)


@pytest.mark.parametrize("key", ["energy", "detector_distance", "detector_pixel_size"])
@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_setting_in_thousandths_of_the_unit_is_refused(key: str, factor: float):
    with pytest.raises(InputError, match=f"{key} is .* in the file: expected (electronvolts|metres)"):
        scanned(RASTER, **{key: FAR[key] * factor})


def test_an_energy_that_may_be_in_kiloelectronvolts_is_told(caplog: pytest.LogCaptureFixture):
    ingested({}, IngestSettings(energy=8.0))
    assert "energy is 8: expected electronvolts" in caplog.text
    caplog.clear()
    ingested({}, IngestSettings(energy=92.0))
    assert "expected electronvolts" not in caplog.text


@pytest.mark.parametrize(("voltage", "expected"), [(80e3, 4.1757e-12), (200e3, 2.5079e-12), (300e3, 1.9687e-12)])
def test_electrons_are_given_by_their_voltage(voltage: float, expected: float):
    read = ingested({}, IngestSettings(voltage=voltage))
    assert wavelength(read.energy) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match=r"energy is 8000\.0 and voltage 80000.0: expected one of them"):
        IngestSettings(energy=8000.0, voltage=80e3)


def moves(read: Dataset) -> np.ndarray:
    return read.positions[1:] - read.positions[0]


def test_a_scan_is_scaled_stretched_sheared_and_turned():
    given = RASTER[1:] - RASTER[0]

    def change(**settings: float) -> np.ndarray:
        return moves(scanned(RASTER, positions=PositionSettings(**settings)))

    np.testing.assert_allclose(change(rotation=90), np.stack([-given[:, 1], given[:, 0]], axis=1), atol=1e-9)
    np.testing.assert_allclose(change(scale=1.03), 1.03 * given)
    np.testing.assert_allclose(change(stretch=1.21, scale=2.0), given * [2 * 1.1, 2 / 1.1])
    np.testing.assert_allclose(change(shear=0.2), np.stack([given[:, 0], given[:, 1] + 0.2 * given[:, 0]], axis=1))
    both = change(stretch=4.0, shear=0.5)
    np.testing.assert_allclose(both, np.stack([2 * given[:, 0], given[:, 1] / 2 + given[:, 0]], axis=1))
    # As complex numbers, rows real and columns imaginary, a turn is a factor.
    turned = change(rotation=-126.0, row_sign=-1, scale=0.9)
    wanted = 0.9 * (-given[:, 0] + 1j * given[:, 1]) * np.exp(-1j * np.radians(126.0))
    np.testing.assert_allclose(turned[:, 0] + 1j * turned[:, 1], wanted, atol=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"scale": 0.0}, {"stretch": -1.0}, {"rotation": float("nan")}, {"shear": float("inf")}]
)
def test_a_deformation_that_cannot_be_is_refused(wrong: dict):
    with pytest.raises(InputError, match=f"positions.{next(iter(wrong))} is"):
        PositionSettings(**wrong)
