"""Warnings of datasets and results stand on one page, each with its dataset and the settings that mend it."""

import json
from pathlib import Path

import pytest

from ptychoflow.errors import InputError
from ptychoflow.figures.warnings_page import settings_named, warnings_of_data, warnings_of_result, write_warnings


@pytest.mark.parametrize(
    ("sentence", "settings"),
    [
        ("the zero frequency seems to lie in the corner (zero_frequency)", ["zero_frequency"]),
        ("12 counts stand at the largest value, 255 (detector.saturation)", ["detector.saturation"]),
        (
            "a frame holds 3 photons: expected more (frames.photons, frames.leave_out)",
            ["frames.leave_out", "frames.photons"],
        ),
        ("the energy of the flux is in the paths", []),
        ("expected about as many (flux, quantity)", ["quantity", "flux"]),
        ("0.1 (detector.photons_per_count: 0.2 times what it is)", ["detector.photons_per_count"]),
        ("the axes seem to run otherwise; ingest says so by positions.swap: true", ["positions.swap"]),
        (
            "axes seem to differ (positions: {swap: true, row_sign: -1}); a quick look (measure: true looks closer)",
            ["positions.swap", "positions.row_sign", "measure"],
        ),
        ("the mean frame lies 3, 4 pixels (rows, columns) off", []),
    ],
)
def test_settings_are_told_in_a_sentence(sentence: str, settings: list[str]):
    assert settings_named(sentence) == settings


def result(place: Path, scores: dict, **provenance: object) -> Path:
    folder = place / "first/seed3/unseen"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps({"method": "unet", **provenance}))
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


def test_warnings_of_data_and_results_are_put_together(tmp_path: Path):
    (tmp_path / "unseen.provenance.json").write_text(json.dumps({"warnings": ["a < b (flux)"]}))
    (tmp_path / "sound.provenance.json").write_text(json.dumps({"result": "dataset"}))
    folder = result(tmp_path, {"misfit": 9.0, "deviance": 3.0})
    data = [
        *warnings_of_data(tmp_path / "unseen.provenance.json"),
        *warnings_of_data(tmp_path / "sound.provenance.json"),
    ]
    found = data + warnings_of_result(folder)
    assert [warning[:2] for warning in found] == [("unseen", "the data"), ("unseen", "first, seed 3")]
    assert "does not explain its photons" in found[1][2]
    write_warnings(tmp_path / "page.html", found + found)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<tr>") == 3
    assert "<td>a &lt; b (flux)</td><td>flux</td>" in page


def test_what_a_reconstruction_found_itself_counts_more_than_its_scores(tmp_path: Path):
    folder = result(tmp_path, {"misfit": 9.0, "deviance": 3.0}, warnings=["its probe is wrong"])
    assert [warning[2] for warning in warnings_of_result(folder)] == ["its probe is wrong"]


def test_a_page_without_warnings_says_so(tmp_path: Path):
    write_warnings(tmp_path / "page.html", [])
    assert "no warnings" in (tmp_path / "page.html").read_text()


def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path):
    (tmp_path / "scan.provenance.json").write_text("{")
    with pytest.raises(InputError, match=r"scan\.provenance\.json"):
        warnings_of_data(tmp_path / "scan.provenance.json")
