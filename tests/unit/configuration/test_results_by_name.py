"""Files of results are known by their names; who asks for another hears what there is."""

import re

import pytest

from ptychoflow.configuration.results import OF_SOME, known_results, refusal

NAMES = {"experiments": ["net", "net.2"], "datasets": ["scan", "scan-b"], "studies": ["dose"]}
KNOWN = re.compile(known_results(**NAMES))


@pytest.mark.parametrize(
    "path",
    [
        *("runs.csv", "report.html", "logs/report.log", "benchmarks/collect_runs.tsv", "mlflow/mlflow.db"),
        *("data/scan-b.cxi", "data/scan.yaml", "data/scan.provenance.json", "data/logs/scan.log", "raw/scan/a.h5"),
        *("studies/dose/table.tex", "studies/dose/figure.svg", "studies/dose/study.yaml", "studies/dose/logs/a.log"),
        *("net.2/training.yaml", "net/seed3/model.ckpt", "net/seed3/run/last.ckpt", "net/seed12/figures/training.svg"),
        *(
            "net/seed0/scan/predicted.h5",
            "net/seed0/scan/parts/round_0.h5",
            "net/seed0/scan/view.html",
            "net/seed0/scan-b/figures/probe.png",
        ),
        *("net/seeds/scan/ensemble.h5", "net/seeds/scan/figures/uncertainty.png", "net/logs/training_settings.log"),
    ],
)
def test_what_a_rule_makes_is_known(path: str):
    assert KNOWN.match(path)


def test_a_figure_of_uncertainty_is_known_where_it_is_asked_for():
    path = "net/seed0/scan/figures/uncertainty.svg"
    assert not KNOWN.match(path)
    assert re.match(known_results(**NAMES, having={"uncertainty": ["net"]}), path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("run.csv", "expected results/ and one of runs.csv, runs.html"),
        ("net2/seed0/model.ckpt", "experiments are net, net.2, datasets scan, scan-b, studies dose"),
        ("netx2/seed0/model.ckpt", "experiments are net, net.2"),
        ("net/seedx/model.ckpt", "results/{experiment}/seed{number}/ and one of model.ckpt"),
        ("net/seed0/model.ckpts", "results/{experiment}/seed{number}/ and one of model.ckpt"),
        ("data/scan.cxi.bak", "expected results/data/, a dataset, scan, scan-b, and .cxi"),
        ("data/scam.cxi", "expected results/data/, a dataset, scan, scan-b, and .cxi"),
        ("studies/does/table.csv", "expected results/studies/, a study, dose, and one of results.csv, table.csv"),
        ("studies/dose/tables.csv", "expected results/studies/, a study, dose, and one of results.csv, table.csv"),
        (
            "net/seed0/scan/figures/reconstruction.jpg",
            "one of reconstruction.png, correlation.png, probe.png, scan.png",
        ),
        ("net/seed0/figures/loss.png", "expected figures/training.png or .svg in the folder of a seed"),
        ("net/seeds/scan/figures/doubt.png", "expected figures/uncertainty.png or .svg"),
    ],
)
def test_who_asks_for_another_file_hears_what_there_is(path: str, expected: str):
    assert not KNOWN.match(path)
    assert refusal(path, **NAMES).startswith(f"results/{path} is no result of this config: expected ")
    assert expected in refusal(path, **NAMES)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("net/training.yaml", "training.yaml"),
        ("net/solver.yaml", "solver.yaml"),
        ("net/seed3/model.ckpt", "run"),
        ("net/seed3/figures/training.png", "run"),
        ("net/seed3/scan/view.html", "image"),
        ("net/seed3/scan/figures/probe.png", "image"),
        ("net/seed3/scan/predicted.h5", "predicted.h5"),
        ("net/seed3/scan/tracked.json", "tracked.json"),
        ("net/seed3/scan/figures/uncertainty.png", "uncertainty"),
        ("studies/dose/tracked.json", "tracked study"),
    ],
)
def test_what_not_all_have_is_known_of_those_that_have_it(path: str, key: str):
    assert re.match(known_results(**NAMES, having={key: ["net", "dose"]}), path)
    others = {key: ["net.2", "overlap"]}
    assert not re.match(known_results(**NAMES, having=others), path)
    sentence = f"results/{path} is no result of this config: expected it of {OF_SOME[key]}: net.2, overlap; "
    assert refusal(path, **NAMES, having=others).startswith(sentence)
    assert re.match(known_results(**NAMES, having={other: ["net.2"] for other in OF_SOME if other != key}), path)


def test_of_many_names_the_first_are_said():
    sentence = refusal("run.csv", [f"e{number}" for number in range(100)], [], [])
    assert "experiments are e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, and 88 more, datasets none" in sentence
