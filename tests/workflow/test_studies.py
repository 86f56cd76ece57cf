"""A small study runs from its config to its tables and figure: a network, the same one again, and a solver."""

import csv
import json
import zipfile
from pathlib import Path

import pytest
import yaml
from workflow_runs import SMALL, run_snakemake

from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.reconstruction.ensemble import read_ensemble

NETWORK = SMALL["experiments"]["small"]
STUDY = {
    "scale": "smoke",
    "studies": {
        "methods": {
            "question": "Network or solver?",
            "scores": ["amplitude_ssim", "seconds_on_scan"],
            "compare": "method",
            "datasets": {"train": SMALL["datasets"]["seen"], "test": SMALL["datasets"]["unseen"]},
            "experiment": {"test": ["test"]},
            "axes": {
                "method": {
                    "network": {
                        "experiment": {key: NETWORK[key] for key in ("model", "training")} | {"train": ["train"]}
                    },
                    "single shot": {
                        "experiment": {
                            "network_of": {"method": "network"},
                            "inference": {"single_shot": True},
                            "seeds": [0],
                        }
                    },
                    "LSQ-ML": {"experiment": {"seeds": [0], "solver": {"epochs": 20}}},
                    "both": {
                        "experiment": {"seeds": [0], "solver": {"epochs": 5}, "start_from": {"method": "network"}}
                    },
                },
            },
            "published": [{"method": "network", "amplitude_ssim": 0.5}],
            "scales": {"smoke": {"experiment": {"seeds": [0, 1]}}},
        }
    },
}
UNCERTAINTY = "results/methods-network/seeds/methods-test/figures/uncertainty.png"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    result = run_snakemake(folder, STUDY, "studies", UNCERTAINTY, "results/crate.zip")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results"


def test_the_table_holds_every_method_over_all_seeds(studied: Path):
    with open(studied / "studies/methods/table.csv", newline="") as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    results = {name: row["results"] for name, row in rows.items()}
    assert results == {"network": "2", "single shot": "1", "LSQ-ML": "1", "both": "1"}
    # Started from the network's image, a few iterations take the network's time as well.
    assert float(rows["both"]["seconds_on_scan"]) > float(rows["network"]["seconds_on_scan"])
    assert float(rows["LSQ-ML"]["amplitude_ssim"]) > 0.5
    assert rows["network"]["amplitude_ssim_published"] == "0.5"
    text = (studied / "studies/methods/table.md").read_text()
    assert text.startswith("# methods\n\nNetwork or solver?\n")
    assert "amplitude SSIM of LSQ-ML is" in text
    assert (studied / "studies/methods/table.tex").read_text().startswith(r"\begin{tabular}{l")


def test_the_figure_knows_what_it_shows(studied: Path):
    for suffix in ("png", "svg"):
        provenance = read_provenance(studied / f"studies/methods/figure.{suffix}")
        assert provenance["study"] == "methods"
        assert len(provenance["results"]) == 5


def test_a_borrowed_network_is_the_lenders(studied: Path):
    lent = read_provenance(studied / "methods-single_shot/seed0/methods-test/provenance.json")
    own = read_provenance(studied / "methods-network/seed0/methods-test/provenance.json")
    assert lent["checkpoint_sha256"] == own["checkpoint_sha256"]
    assert (lent["single_shot"], own["single_shot"]) == (True, False)
    assert not (studied / "methods-single_shot/seed0/model.ckpt").exists()


def test_seeds_are_combined(studied: Path):
    ensemble = read_ensemble(studied / "methods-network/seeds/methods-test/ensemble.h5")
    assert len(ensemble.provenance["members"]) == 2
    assert ensemble.amplitude_deviation[ensemble.area].mean() > 1e-4
    assert (studied.parent / UNCERTAINTY).stat().st_size > 10_000


def test_the_report_shows_the_study(studied: Path):
    result = run_snakemake(studied.parent, STUDY, "results/report.html")
    assert result.returncode == 0, result.stdout + result.stderr + (studied / "logs/report.log").read_text()
    assert "figure.png" in (studied / "logs/report.log").read_text()
    assert yaml.safe_load((studied / "config.yaml").read_text()) == STUDY


def test_the_crate_holds_results_without_figures_and_the_tables_that_they_are_in(studied: Path):
    with zipfile.ZipFile(studied / "crate.zip") as crate:
        packed, metadata = set(crate.namelist()), json.loads(crate.read("ro-crate-metadata.json"))
    assert {"studies/methods/table.csv", "studies/methods/figure.png", "methods-network/seed1/model.ckpt"} <= packed
    assert "methods-both/seed0/methods-test/reconstruction.h5" in packed
    (drawn,) = (part for part in metadata["@graph"] if part.get("name") == "plot_study")
    assert {"@id": "studies/methods/figure.png"} in drawn["result"]


def test_nothing_is_left_to_do(studied: Path):
    assert "Nothing to be done" in run_snakemake(studied.parent, STUDY, "--dry-run", "studies").stdout
