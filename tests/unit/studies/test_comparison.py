"""The table of all results has a row for each, with all that is known of it."""

import csv
import json
from pathlib import Path

import pytest

from ptychoflow.errors import InputError
from ptychoflow.settings.values import flattened
from ptychoflow.studies.comparison import result_row, write_table


def result(place: Path, seed: int, **scores: float | None) -> Path:
    folder = place / f"first/seed{seed}/unseen"
    folder.mkdir(parents=True)
    config = {"model": {"name": "unet", "features": 8}, "groups": {"size": 4}, "loss": "poisson", "logger": ["csv"]}
    provenance = {
        "run_id": f"run{seed}",
        "method": "unet",
        "data_file": "results/data/unseen.cxi",
        "seed": seed,
        "commit": "c" * 40,
        "dirty": False,
        "training": {
            "stage": "train",
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:01:30+00:00",
            "config": config | {"tags": {"experiment": "first"}},
        },
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


def test_a_row_holds_identity_scores_times_and_settings(tmp_path: Path):
    row = result_row(result(tmp_path / "a", 0, phase_ssim=0.9, deviance=None))
    assert row == {
        "experiment": "first",
        "seed": 0,
        "dataset": "unseen",
        "method": "unet",
        "stage": "train",
        "run_id": "run0",
        "commit": "c" * 40,
        "dirty": False,
        "phase_ssim": 0.9,
        "deviance": None,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:30+00:00",
        "train_seconds": 90.0,
        "model.name": "unet",
        "model.features": 8,
        "groups.size": 4,
        "loss": "poisson",
    }


def test_a_row_tells_the_precision_that_was_used_and_not_that_it_was_left_to_the_machine(tmp_path: Path):
    folder = result(tmp_path, 0)
    provenance = json.loads((folder / "provenance.json").read_text())
    provenance["training"]["config"]["precision"] = "auto"
    provenance["training"]["precision"] = "bf16-mixed"
    (folder / "provenance.json").write_text(json.dumps(provenance))
    assert result_row(folder)["precision"] == "bf16-mixed"


def test_results_of_different_columns_stand_in_one_table(tmp_path: Path):
    folders = [result(tmp_path / "a", 0, phase_ssim=0.9), result(tmp_path / "b", 1, amplitude_ssim=0.8)]
    write_table(tmp_path / "runs.csv", [result_row(folder) for folder in folders])
    with open(tmp_path / "runs.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["seed"], row["phase_ssim"], row["amplitude_ssim"]) for row in rows] == [
        ("0", "0.9", ""),
        ("1", "", "0.8"),
    ]


def test_nested_settings_become_one_level():
    assert flattened({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}


def test_a_folder_without_provenance_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"provenance.json cannot be read"):
        result_row(tmp_path)
