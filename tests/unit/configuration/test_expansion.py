"""A study becomes datasets and experiments: one of each for every combination that differs in it."""

import copy

import pytest

from ptychoflow.configuration.expansion import expand, file_name, merged
from ptychoflow.errors import InputError

STUDY = {
    "question": "Which?",
    "scores": ["phase_ssim"],
    "datasets": {"train": {"simulate": {"seed": 1}}, "test": {"simulate": {"seed": 2}}},
    "experiment": {"train": ["train"], "test": ["test"], "training": {"max_epochs": 9}},
    "axes": {
        "dose": {
            "1e4": {"datasets": {"*": {"simulate": {"probe": {"flux": 1e4}}}}},
            "1e6": {"datasets": {"*": {"simulate": {"probe": {"flux": 1e6}}}}},
        },
        "method": {
            "net": None,
            "borrowed net": {"experiment": {"network_of": {"dose": "1e6", "method": "net"}}},
            "solver": {"experiment": {"solver": {"epochs": 3}, "start_from": {"method": "net"}}},
        },
        "frames": {
            4: {},
            16: {"only": {"method": ["net"]}, "datasets": {"train": {"simulate": {"scan": {"frames": 16}}}}},
        },
    },
    "scales": {
        "smoke": {"experiment": {"seeds": [0], "training": {"max_epochs": 1}}, "axes": {"dose": ["1e6"]}},
        "paper": {"experiment": {"seeds": [0, 1, 2]}},
    },
}


def test_every_combination_that_is_asked_for_is_an_experiment():
    paper = expand("s", STUDY, "paper", {})
    assert len(paper.experiments) == len(paper.combinations) == 2 * (3 + 1)
    assert paper.combinations["s-1e4-net-16"] == {"dose": "1e4", "method": "net", "frames": "16"}
    assert "s-1e4-solver-16" not in paper.experiments
    smoke = expand("s", STUDY, "smoke", {})
    assert set(smoke.experiments) == {"s-1e6-net-4", "s-1e6-net-16", "s-1e6-borrowed_net-4", "s-1e6-solver-4"}


def test_layers_are_laid_over_each_other():
    defaults = {"device": "gpu", "training": {"max_epochs": 2, "loss": "poisson"}}
    smoke = expand("s", STUDY, "smoke", defaults).experiments["s-1e6-net-4"]
    assert smoke["training"] == {"max_epochs": 1, "loss": "poisson"}
    assert (smoke["seeds"], smoke["device"]) == ([0], "gpu")
    assert expand("s", STUDY, "paper", defaults).experiments["s-1e6-net-4"]["training"]["max_epochs"] == 9


def test_combinations_share_the_datasets_that_they_do_not_differ_in():
    paper = expand("s", STUDY, "paper", {})
    assert set(paper.datasets) == {
        *("s-train-1e4-4", "s-train-1e4-16", "s-train-1e6-4", "s-train-1e6-16"),
        *("s-test-1e4", "s-test-1e6"),
    }
    assert paper.datasets["s-train-1e4-16"] == {"simulate": {"seed": 1, "probe": {"flux": 1e4}, "scan": {"frames": 16}}}
    assert paper.experiments["s-1e4-solver-4"]["test"] == ["s-test-1e4"]


def test_a_refined_dataset_follows_the_one_that_it_is_made_of():
    study = copy.deepcopy(STUDY)
    study["datasets"]["mended"] = {"refine": {"dataset": "test", "rounds": 5}}
    study["experiment"]["test"] = ["mended"]
    paper = expand("s", study, "paper", {})
    assert paper.datasets["s-mended-1e4"] == {"refine": {"dataset": "s-test-1e4", "rounds": 5}}
    assert paper.experiments["s-1e4-net-16"]["test"] == ["s-mended-1e4"]
    study["axes"]["rounds"] = {"few": {}, "many": {"datasets": {"mended": {"refine": {"rounds": 50}}}}}
    paper = expand("s", study, "paper", {})
    assert paper.datasets["s-mended-1e4-many"] == {"refine": {"dataset": "s-test-1e4", "rounds": 50}}
    assert "s-test-1e4-many" not in paper.datasets


def test_references_name_the_experiment_with_other_labels():
    paper = expand("s", STUDY, "paper", {})
    assert paper.experiments["s-1e4-solver-4"]["start_from"] == "s-1e4-net-4"
    assert paper.experiments["s-1e4-borrowed_net-4"]["network_of"] == "s-1e6-net-4"


def test_what_is_not_trained_has_no_settings_of_a_training():
    paper = expand("s", STUDY, "paper", {"stitching": {"phase_iterations": 2}}).experiments
    assert paper["s-1e4-solver-4"].keys() == {"test", "seeds", "solver", "start_from"}
    assert paper["s-1e4-borrowed_net-4"].keys() == {"test", "seeds", "network_of", "stitching"}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("scales", "smoke", "axes"), {"doze": ["1e4"]}, "has no axis doze: expected one of dose, method, frames"),
        (("scales", "smoke", "axes"), {"dose": ["1e5"]}, "dose has no value 1e5: expected one of 1e4, 1e6"),
        (("experiment", "test"), ["tests"], "test names tests: expected one of its datasets, train, test"),
    ],
)
def test_names_that_are_not_there_are_refused(path: tuple, value: object, sentence: str):
    study = copy.deepcopy(STUDY)
    place = study
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=sentence):
        expand("s", study, "smoke", {})
    with pytest.raises(InputError, match="has no scale large: expected one of smoke, paper"):
        expand("s", STUDY, "large", {})


def test_merging_changes_neither_layer():
    first, second = {"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"b": 2}, "d": {"e": 3}}
    assert merged(first, second) == {"a": {"b": 2, "c": [1]}, "d": {"e": 3}}
    merged(first, second)["a"]["c"].append(2)
    assert first == {"a": {"b": 1, "c": [1]}, "d": 1}


def test_names_become_folders():
    assert file_name("time", "network, then LSQ-ML", "10 %") == "time-network_then_LSQ_ML-10"


def test_an_axis_may_say_the_same_to_the_pretrained_network_and_to_solvers():
    study = copy.deepcopy(STUDY)
    study["axes"] = {
        "method": {
            "network": {"experiment": {"network": "pretrained"}},
            "solver": {"experiment": {"solver": {"algorithm": "rpie"}}},
        },
        "positions": {
            "solved for": {
                "experiment": {"solver": {"refine_positions": True}, "reconstruction": {"solve_positions": True}}
            }
        },
    }
    study["experiment"] = {"test": ["test"]}
    study["scales"] = {"smoke": {}}
    found = expand("s", study, "smoke", {"model": {"depth": 2}}).experiments
    assert found == {
        "s-network-solved_for": {
            "test": ["s-test"],
            "network": "pretrained",
            "reconstruction": {"solve_positions": True},
        },
        "s-solver-solved_for": {"test": ["s-test"], "solver": {"algorithm": "rpie", "refine_positions": True}},
    }
