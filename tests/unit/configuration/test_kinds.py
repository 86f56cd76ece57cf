"""What an experiment is, by its keys, and which of the others say nothing to it."""

from typing import Any

import pytest

from ptychoflow.configuration.kinds import kinds_of, useless_keys


@pytest.mark.parametrize(
    ("settings", "tunes", "kinds"),
    [
        ({"train": ["a"]}, False, ["train"]),
        ({"train": ["a"], "init_from": "pretrained"}, True, ["tune"]),
        ({"solver": {}, "train": []}, False, ["solver"]),
        ({"network": "pretrained", "solver": {}}, False, ["network", "solver"]),
        ({}, False, ["train"]),
    ],
)
def test_a_kind_is_told_by_its_key(settings: dict[str, Any], tunes: bool, kinds: list[str]):
    assert kinds_of(settings, tunes) == kinds


def test_what_an_axis_says_to_all_kinds_is_dropped_where_it_says_nothing():
    said = {"train": ["a"], "test": ["b"], "training": {}, "inference": {}, "reconstruction": {}, "start_from": "c"}
    assert useless_keys(said) & said.keys() == {"reconstruction"}
    assert useless_keys(said | {"solver": {}}) & said.keys() == {"train", "training", "inference", "reconstruction"}
    network = useless_keys(said | {"network": "pretrained", "solver": {}})
    assert network & (said.keys() | {"solver"}) == {"train", "training", "inference", "solver"}
    tuned = useless_keys({"train": ["a"], "init_from": "pretrained", "training": {}, "reconstruction": {}})
    assert "training" in tuned
    assert "reconstruction" not in tuned
