"""The programs behind the tables of docs/pretrained.md run, on little, and write what their tables are made of."""

from dataclasses import replace
from pathlib import Path

import interval_coverage
import measured_scans
import numpy as np
import pytest
import weak_phases
from blind_rows import main as blind_rows
from blind_rows import measured, situations, study_plan
from blind_scans import small_scan
from live_lag import main as live_lag
from random_scans import COLUMNS, report
from random_scans import main as random_scans
from rows_table import TARGETS, kept_rows, method_table, reached_in, table, to_its_best

FEW = {"iterations": 6, "most_iterations": 6}
LIKE = {"method": "network", "situation": "nothing wrong", "seed": "2", "position_error": "", "mode_shares": "1.0"}


@pytest.mark.slow
def test_a_row_is_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture):
    output, only = tmp_path / "rows.csv", ["defocus 75 %"]
    blind_rows(output, only, scale="smoke")
    rows = measured(output)
    assert {row["method"] for row in rows} == {"network", "plain iterations", "LSQ-ML", "rPIE"}
    kept = kept_rows({"2": [row for row in rows if row["method"] == "network"]})
    assert len(kept) == 1
    assert float(kept[0]["phase_ssim"]) > 0.9
    blind_rows(output, only, scale="smoke")
    assert measured(output) == rows
    capsys.readouterr()
    blind_rows(output, table_only=True)
    tables = capsys.readouterr().out
    assert tables.count(f"| defocus 75 % | {float(kept[0]['amplitude_ssim']):.3f} / ") == 2
    assert tables.rstrip().endswith(" s (1) |")


def test_situations_are_those_of_the_study():
    of_study = situations(study_plan("paper"))
    assert set(TARGETS) < set(of_study)
    assert of_study["two modes"]["network"]["reconstruction"]["probe_modes"] == 3
    assert all(len(entry["LSQ-ML"]["test"]) == 5 for entry in of_study.values())


def test_methods_stand_beside_each_other():
    kept = [LIKE | {"pace": "1", "passes": "kept", "seconds": "4", "amplitude_ssim": "0.9", "phase_ssim": "0.8"}]
    kept += [kept[0] | {"seed": "3", "seconds": "6", "phase_ssim": "0.7"}]
    solved = rows_of([1, 2, 3], [0.5, 0.6, 0.4], [0.5, 0.6, 0.4])
    solved = [row | {"method": "rPIE"} for row in solved]
    assert method_table([*kept, *solved]).splitlines()[2] == (
        "| nothing wrong | 0.900 / 0.750, 5.0 s (2) | – | – | 0.600 / 0.600, 2.0 s (1) |"
    )


def rows_of(
    seconds: list[float], amplitude: list[float], phase: list[float], pace: float = 1.0
) -> list[dict[str, str]]:
    values = zip(seconds, amplitude, phase, strict=True)
    names = ("seconds", "amplitude_ssim", "phase_ssim")
    return [LIKE | {"pace": str(pace), "passes": "5"} | dict(zip(names, map(str, row), strict=True)) for row in values]


def test_seconds_are_those_to_a_score():
    rows = rows_of([1, 2, 3, 4], [0.5, 0.9, 0.95, 0.96], [0.3, 0.92, 0.901, 0.9])
    assert reached_in(rows, (0.9, 0.9), usual=1.0) == 2
    assert reached_in(rows, (None, 0.3), usual=0.5) == 0.5
    assert reached_in(rows, (0.97, 0.9), usual=1.0) is None
    assert to_its_best(rows_of([1, 2, 3], [0.9, 0.9585, 0.96], [0.9, 0.9585, 0.96]), usual=1.0) == 2


def test_a_target_that_is_missed_is_said_to_be():
    kept = [row | {"passes": "kept"} for row in rows_of([5, 7], [0.99, 0.98], [0.99, 0.98])]
    kept[1]["seed"] = "3"
    solved = [row | {"method": "LSQ-ML"} for row in rows_of([1, 10], [0.9, 0.98], [0.9, 0.98], pace=0.5)]
    line = table([*kept, *solved]).splitlines()[2]
    assert line.startswith(
        "| nothing wrong | 0.985 / 0.985 | 0.980 / 0.980 | 0.980 / 0.980 (1 of 2) | 0.987 / 0.988 | no |"
    )


@pytest.mark.slow
def test_a_random_scan_is_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture):
    output = tmp_path / "random.csv"
    random_scans(output, count=1)
    assert capsys.readouterr().out.splitlines()[1].startswith("1 scans; complex correlation with the truth 0.")
    written = output.read_text(encoding="utf-8")
    random_scans(output, count=1)
    assert output.read_text(encoding="utf-8") == written


def test_scans_that_are_worse_or_not_named_are_listed():
    row = dict.fromkeys(COLUMNS, "") | {"misfit": "1", "amplitude_ssim": "0.5", "phase_ssim": "0.5"}
    found = {"0": ("0.5", "0.6", "0.9", "0"), "1": ("0.5", "0.5", "0.1", "2"), "2": ("0.95", "0.9", "", "1")}
    found |= {"3": ("", "", "", "0"), "4": ("0.6", "0.6", "0.8", "1")}
    names = ("complex_pearson", "plain", "explained_share", "warnings")
    lines = "".join(
        report([row | {"number": number} | dict(zip(names, of, strict=True)) for number, of in found.items()])
    )
    assert lines.startswith("4 scans;")
    assert "1 better by more than 0.01, 1 worse" in lines
    assert "- worse: scan 0" in lines
    assert "- not warned of: scan 0" in lines
    assert "- not named: scan 4" in lines
    assert "- named without need: scan 2" in lines
    assert "| below 0.7 (failed) | 3 | 1 | 0 | 1 | 2 |" in lines


def test_a_weak_object_is_moved_and_blurred_and_its_lattice_measured():
    right, wrong = (weak_phases.scan("smooth", 2, frames=49, wrong=wrong) for wrong in (False, True))
    assert np.abs(wrong.frames.sum() / right.frames.sum() - 1) < 0.01
    pixels = np.arange(right.size) - right.size // 2
    centre, moved = (dataset.frames.sum(axis=(0, 2)) @ pixels / dataset.frames.sum() for dataset in (right, wrong))
    assert moved - centre == pytest.approx(weak_phases.PIXELS_OFF, abs=0.05)
    scores = weak_phases.measured(wrong, replace(weak_phases.SETTINGS, **FEW))
    assert 0 <= scores["lattice_share"] <= 1
    assert 0 <= scores["true_lattice_share"] < 0.01
    assert scores["phase_ssim"] > 0.1


def test_intervals_are_held_against_the_truth():
    dataset = interval_coverage.scan("lines", 1e6, seed=1, frames=49)
    shares = interval_coverage.covered(dataset, replace(interval_coverage.SETTINGS, **FEW))
    assert (shares > 0.3).all()
    lines = list(interval_coverage.table({"lines": np.array([shares, [0.8, 0.96]])}))
    assert lines[2].startswith(f"| lines | {shares[0]:.2f} / 0.80 |")
    assert lines[-1].endswith(" 1 above, 1 below.") or not 0.85 <= shares.min() <= shares.max() <= 0.95


def test_measured_scans_that_are_not_there_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture):
    measured_scans.main(tmp_path, tmp_path / "images")
    assert capsys.readouterr().out.count("skipped") == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", measured_scans.PARTS)
def test_a_measured_scan_is_held_against_a_solver(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measured_scans, "EPOCHS", dict.fromkeys(measured_scans.EPOCHS, 30))
    for settings in ("UNKNOWN", "PLAIN"):
        few = replace(getattr(measured_scans, settings), **FEW)
        monkeypatch.setattr(measured_scans, settings, few)
    dataset, data, kept = replace(small_scan(scan={"frames": 100}), truth=None), tmp_path / "scan.npz", []
    data.write_bytes(b"only fingerprinted")
    lines = list(measured_scans.PARTS[name](dataset, data, lambda what, image: kept.append(what)))
    assert "network" in kept
    assert any(line.startswith("Pearson correlation with it: phase ") for line in lines)
    assert all("None" not in line for line in lines)


@pytest.mark.slow
def test_the_lag_of_a_live_image_is_measured(capsys: pytest.CaptureFixture):
    # Its last picture is due long after its end, and is drawn there.
    live_lag(rate=500.0, frames=150, every=30.0)
    row = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    written, shown, pictures = (float(row[column]) for column in (0, 1, 5))
    median, most, largest = (float(value.removesuffix(" s")) for value in row[2:5])
    assert written == 500
    assert 0 < shown <= 501
    assert 0 < median <= most <= largest < 60
    assert pictures > 1
