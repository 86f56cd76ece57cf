"""A pixel at the sample that the file has is the dataset's, whatever else the file and the settings leave open."""

import numpy as np
import pytest
from scipy import constants

from ptychoflow.data.dataset import Dataset
from ptychoflow.data.ingest_settings import IngestSettings
from ptychoflow.data.ingestion import ingest
from ptychoflow.data.raw_scan import RawScan
from ptychoflow.errors import InputError

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
