"""Tables of a study: means and deviations as statistics has them, and words that seeds can bear."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ptychoflow.errors import InputError
from ptychoflow.studies.figures import study_figure
from ptychoflow.studies.tables import Study, findings, latex, markdown, read_rows, result_rows, score_name, summary_rows

VALUES = {("1e4", "a"): [0.5, 0.6, 0.7], ("1e4", "b"): [0.55, 0.6, 0.62], ("1e6", "a"): [0.9], ("1e6", "b"): [0.1]}


def provenance(seed: int, digest: str = "other") -> dict:
    training = {
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:40+00:00",
        "data": [{"sha256": digest}],
    }
    return {"seed": seed, "data_sha256": "own", "training": training}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    results = []
    for (dose, method), values in VALUES.items():
        for seed, value in enumerate(values):
            folder = tmp_path / f"{dose}-{method}/seed{seed}/data"
            folder.mkdir(parents=True)
            scores = {"phase_ssim": value, "seconds": 2.0, "collapsed": value < 0.2, "frc_half": None}
            (folder / "metrics.json").write_text(json.dumps(scores))
            (folder / "provenance.json").write_text(json.dumps(provenance(seed)))
            results.append({"labels": {"dose": dose, "method": method}, "folder": str(folder)})
    return Study(
        name="doses",
        question="Which?",
        axes=["dose", "method"],
        scores=["phase_ssim", "frc_half"],
        results=results,
        x="dose",
        compare="method",
        published=[{"dose": "1e6", "method": "a", "phase_ssim": 0.8}],
    )


def test_means_and_deviations_are_those_of_numpy(study: Study):
    summary = summary_rows(study, result_rows(study))
    assert [(row["dose"], row["method"], row["results"]) for row in summary] == [
        *(("1e4", "a", 3), ("1e4", "b", 3), ("1e6", "a", 1), ("1e6", "b", 1))
    ]
    assert summary[0]["phase_ssim"] == pytest.approx(np.mean(VALUES["1e4", "a"]))
    assert summary[0]["phase_ssim_sd"] == pytest.approx(np.std(VALUES["1e4", "a"], ddof=1))
    assert summary[2]["phase_ssim_sd"] is None
    assert summary[0]["frc_half"] is None
    assert [row["collapsed"] for row in summary] == [0, 0, 0, 1]
    assert [row.get("phase_ssim_published") for row in summary] == [None, None, 0.8, None]


def test_a_table_read_back_from_csv_gives_the_same(study: Study, tmp_path: Path):
    rows = result_rows(study)
    with open(tmp_path / "results.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert summary_rows(study, read_rows(tmp_path / "results.csv")) == summary_rows(study, rows)
    (tmp_path / "empty.csv").write_text("seed,dataset\n")
    with pytest.raises(InputError, match=r"empty\.csv has no rows"):
        read_rows(tmp_path / "empty.csv")


def test_a_training_on_the_scan_itself_counts_as_time_on_it(study: Study):
    assert {row["seconds_on_scan"] for row in result_rows(study)} == {2.0}
    folder = Path(study.results[0]["folder"])
    (folder / "provenance.json").write_text(json.dumps(provenance(0, digest="own")))
    first, *others = result_rows(study)
    assert (first["seconds_on_scan"], first["training_seconds"]) == (102.0, 100.0)
    assert {row["seconds_on_scan"] for row in others} == {2.0}


def test_words_follow_from_welchs_test(study: Study):
    first, second = findings(study, result_rows(study))
    probability = stats.ttest_ind(VALUES["1e4", "a"], VALUES["1e4", "b"], equal_var=False).pvalue
    assert probability > 0.05
    assert first.startswith("dose 1e4: phase SSIM of a is not told from chance (0.6 against 0.59")
    assert "too few to tell" in second
    rows = [row | {"phase_ssim": row["phase_ssim"] + (row["method"] == "b")} for row in result_rows(study)]
    assert findings(study, rows)[0].startswith("dose 1e4: phase SSIM of b is significantly higher (1.59 against 0.6")


def test_markdown_and_latex_have_a_line_for_each_combination(study: Study):
    rows = result_rows(study)
    summary = summary_rows(study, rows)
    text = markdown(study, summary, findings(study, rows))
    assert "| 1e4 | a | 0.6 ± 0.1 |" in text
    assert "| 1e6 | a | 0.9 |" in text
    assert "| phase SSIM published |" in text
    table = latex(study, summary).splitlines()
    assert table[0].startswith(r"\begin{tabular}{llrr")
    assert table[4].startswith(r"1e4 & a & 0.6 $\pm$ 0.1 &")
    assert len(table) == 10


def test_figures_show_what_the_table_says(study: Study, monkeypatch: pytest.MonkeyPatch):
    rows = result_rows(study)
    summary = summary_rows(study, rows)
    over_dose = study_figure(study, rows, summary).axes[0]
    assert over_dose.get_xscale() == "log"
    (line, _, _), _ = (container.lines for container in over_dose.containers)
    np.testing.assert_allclose(line.get_xydata(), [[1e4, 0.6], [1e6, 0.9]])
    study.x = None
    places = study_figure(study, rows, summary).axes[0]
    assert [label.get_text() for label in places.get_xticklabels()] == ["1e4\na", "1e4\nb", "1e6\na", "1e6\nb"]
    np.testing.assert_allclose(places.lines[0].get_ydata(), VALUES["1e4", "a"])
    monkeypatch.setattr("ptychoflow.studies.figures.LETTERS_BELOW", 11)
    slanting = study_figure(study, rows, summary).axes[0].get_xticklabels()
    assert [(label.get_text(), label.get_rotation()) for label in slanting[:2]] == [("1e4, a", 30), ("1e4, b", 30)]
    study.x = "seconds"
    over_time = study_figure(study, rows, summary_rows(study, rows)).axes[0]
    assert over_time.get_xlabel() == "seconds"


def test_scores_are_named_as_people_write_them():
    assert score_name("amplitude_ssim") == "amplitude SSIM"
    assert score_name("frc_half") == "FRC half"
