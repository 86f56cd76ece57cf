"""A config becomes what it asks for; what cannot be right, or may be a mistake, is said in a sentence."""

import copy
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow_runs import SMALL

from ptychoflow.configuration.reading import read_config
from ptychoflow.configuration.resolution import resolve
from ptychoflow.errors import InputError

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(path for path in (ROOT / "config").rglob("*.yaml") if "schemas" not in path.parts)
STUDY = {
    "question": "Which?",
    "scores": ["amplitude_ssim"],
    "compare": "method",
    "datasets": {"test": {"simulate": {"seed": 2}}},
    "experiment": {"test": ["test"]},
    "axes": {
        "method": {"network": {"experiment": {"network": "pretrained"}}, "LSQ-ML": {"experiment": {"solver": {}}}}
    },
    "scales": {"smoke": {}},
}


def changed(config: dict[str, Any], path: tuple, value: object) -> dict[str, Any]:
    """Copy of a config with one value put in."""
    config = copy.deepcopy(config)
    place = config
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    return config


def experiment(**settings: Any) -> dict[str, Any]:
    return {"train": ["seen"], "test": ["unseen"]} | settings


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_stays_as_it_was_given(path: Path):
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    before = copy.deepcopy(config)
    plan = resolve(config)
    assert config == before
    again = resolve(yaml.safe_load(yaml.safe_dump(config, sort_keys=False)))
    assert (again.datasets, again.experiments, again.studies) == (plan.datasets, plan.experiments, plan.studies)
    assert plan.doubts == []


def test_an_experiment_that_begins_with_a_blind_network_tunes_it():
    roles = {"train": ["seen"], "test": ["seen"]}
    config = changed(SMALL, ("experiments", "own"), {"pretrain": {}})
    config["experiments"] |= {
        "shipped": {"init_from": "pretrained", "tuning": {"max_epochs": 3}, "reconstruction": {}} | roles,
        "other": {"init_from": "own"} | roles,
        "again": {"init_from": "shipped"} | roles,
        "usual": {"init_from": "small"} | roles,
    }
    assert resolve(config).tuned == ["shipped", "other", "again"]
    with pytest.raises(InputError, match=r"usual.network_of names shipped: expected another experiment, small"):
        resolve(changed(config, ("experiments", "usual"), {"network_of": "shipped", "test": ["seen"]}))
    with pytest.raises(InputError, match="begin with what comes of itself, shipped from again from shipped"):
        resolve(changed(config, ("experiments", "shipped"), {"init_from": "again"} | roles))
    # By its name an experiment goes before the shipped network.
    config["experiments"]["pretrained"] = config["experiments"].pop("own")
    config["experiments"]["other"]["init_from"] = "pretrained"
    assert resolve(config).tuned == ["shipped", "other", "again"]


def test_an_experiment_has_the_defaults_laid_under_it():
    config = changed(SMALL, ("defaults", "training"), {"max_epochs": 7, "groups": {"size": 2, "neighbours": 5}})
    training = resolve(config).experiments["small"]["training"]
    assert training == {"max_epochs": 2, "groups": {"size": 4, "neighbours": 5}, "batch_size": 16}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("experiments", "small", "traning"), {}, "experiments.small has traning: expected training, "),
        (("experiments", "small", "solver"), {}, "experiments.small has solver and train: expected one of them"),
        (("experiments", "small", "network_of"), "large", "has network_of and train"),
        (("experiments", "small", "network"), "pretrained", "has network and train: expected one of them"),
        (("experiments", "small", "reconstruction"), {}, "has reconstruction and no network: expected"),
        (("experiments", "small", "start_from"), "small", "has start_from and train: expected one without the other"),
        (("experiments", "new"), {"network": "pretrained", "test": ["seen"], "model": {}}, "has model and network"),
        (("experiments", "new"), {"network": "pretrained"}, "experiments.new has no test"),
        (("experiments", "new"), {"solver": {}, "test": ["seen"], "init_from": "small"}, "has init_from and solver"),
        (("experiments", "new"), {"pretrain": {}, "test": ["seen"]}, "has test and pretrain"),
        (("experiments", "new"), None, "experiments.new has no train: expected a list of datasets"),
        (("experiments", "small", "reconstruction"), {"modes": 3}, "reconstruction has modes: expected probe_modes"),
        (("experiments", "small", "init_from"), "small", "init_from names small: expected another experiment"),
        (("experiments", "small", "init_from"), "pretrained", "small has model and init_from of a blind network"),
        (("experiments", "small", "tuning"), {}, "has tuning and no init_from of a blind network: expected"),
        (
            ("experiments", "new"),
            {"init_from": "pretrained", "train": ["seen"]},
            "experiments.new has no test: expected a list of datasets",
        ),
        (("experiments", "small", "seeds"), [1, 1], r"experiments.small.seeds is \[1, 1\]: expected each of them once"),
        (("experiments", "small", "test"), ["elsewhere"], "names elsewhere: expected one of seen, unseen"),
        (
            ("experiments", "small", "training", "groups"),
            {"size": 31},
            "training.groups.neighbours is 30: expected at ",
        ),
        (("experiments", "small", "tracking"), {"logger": "mlfow"}, "small.tracking.logger is mlfow: expected any of"),
        (("experiments", "data"), experiment(), "experiments.data: the name is taken by a file or folder of results"),
        (("experiments", "runs.csv"), experiment(), "experiments.runs.csv: the name is taken by a file or folder"),
        (("experiments", "report.html"), experiment(), "experiments.report.html: the name is taken by a file or"),
        (("datasets", "figures"), {"simulate": {}}, "datasets.figures: the name is taken by a file or folder"),
        (("experiments", "../escape"), experiment(), r"experiments has the key ../escape: expected a name of letters"),
        (("datasets", "seen"), {"refine": {"dataset": "lost"}}, "datasets.seen.refine.dataset names lost: expected"),
        (("datasets", "seen"), {"refine": {"dataset": "seen"}}, "a dataset that is simulated or ingested, unseen"),
        (("datasets", "seen"), {"refine": {"rounds": 3}}, "datasets.seen.refine.dataset is null: expected the name"),
        (("datasets", "seen"), {}, "datasets.seen has nothing: expected one of simulate, ingest, refine"),
        (("datasets", "seen", "ingest"), {"path": "x.npz"}, "datasets.seen has simulate, ingest: expected one of"),
        (("datasets", "seen"), {"ingest": {"format": "cxi"}}, "datasets.seen.ingest.path is null: expected a local"),
        (("datasets", "seen"), {"ingest": {"url": "https://example.org/x"}}, "seen.ingest.sha256 is null: expected"),
        (("datasets", "seen"), {"ingest": {"url": "http://example.org/x"}}, "expected an address that begins with ht"),
        (
            ("datasets", "seen"),
            {"ingest": {"companion": "b.h5", "url": "https://x.org/a.h5", "sha256": 64 * "0"}},
            "datasets.seen.ingest.companion is b.h5: expected none beside url",
        ),
        (
            ("datasets", "seen"),
            {"ingest": {"path": "x", "detector": {"background": 1, "background_percentile": 5}}},
            "datasets.seen.ingest.detector has background and background_percentile: expected one of them",
        ),
        (("studies", "which"), STUDY, "studies but no scale"),
        (("parts",), 0, "parts is 0: expected a whole number of at least 1"),
        (("experiments",), {}, "the config has defaults, datasets, but neither experiments nor studies: expected one"),
        (("datasets",), {}, "names seen: expected datasets in the config, and there are none"),
        (("experiments",), 3, "experiments is 3: expected keys with values"),
    ],
)
def test_what_cannot_be_right_is_refused(path: tuple, value: object, sentence: str):
    with pytest.raises(InputError, match=sentence):
        resolve(changed(SMALL, path, value))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("scores",), ["amplitude_sim"], "studies.which.scores names amplitude_sim: expected one of amplitude_ssim"),
        (("scores",), [], "studies.which has no scores: expected one"),
        (("compare",), "methods", "studies.which.compare names methods: expected one of method"),
        (("x",), "step", "studies.which.x names step: expected one of method, amplitude_ssim"),
        (("axes", "method", "network", "only"), {"light": ["a"]}, "only names light: expected one of method"),
        (("axes", "method", "network", "datasets"), {"tset": {}}, r"datasets names tset: expected one of \*, test"),
        (("axes", "step"), {}, "studies.which.axes.step has no values: expected at least one"),
        (("scales", "smoke", "axes"), {"method": ["rPIE"]}, "axes.method names rPIE: expected one of network, LSQ-ML"),
        (("experiment", "test"), ["tset"], "studies.which.experiment.test names tset: expected one of test"),
        (("experiment", "reference"), {"method": "rPIE"}, "reference.method names rPIE: expected one of network"),
        (("published",), [{"method": "network", "amplitude_ssim": "high"}], "is high: expected a number"),
    ],
)
def test_what_a_study_names_must_be_there(path: tuple, value: object, sentence: str):
    config = {"scale": "smoke", "studies": {"which": STUDY}}
    assert len(resolve(config).experiments) == 2
    with pytest.raises(InputError, match=sentence):
        resolve(changed(config, ("studies", "which", *path), value))


@pytest.mark.parametrize(
    "place", [("experiment", "test"), ("scales", "smoke", "experiment", "train"), ("axes", "method", "network")]
)
def test_datasets_of_a_study_stand_within_it(place: tuple):
    config = {"scale": "smoke", "studies": {"which": STUDY}, "datasets": SMALL["datasets"]}
    value = {"experiment": {"test": ["seen"]}} if place[0] == "axes" else ["seen"]
    sentence = r"^studies\.which: \w+ names seen, which stands in datasets at the top .* it in studies\.which\.datasets"
    with pytest.raises(InputError, match=sentence):
        resolve(changed(config, ("studies", "which", *place), value))


@pytest.mark.parametrize(
    "experiments",
    [
        {"a": experiment(init_from="b"), "b": experiment(init_from="a")},
        {"a": experiment(init_from="b"), "b": experiment(init_from="c"), "c": experiment(init_from="b")},
        {
            "a": {"test": ["seen"], "solver": {}, "start_from": "b"},
            "b": {"test": ["seen"], "solver": {}, "start_from": "a"},
        },
    ],
)
def test_what_would_begin_with_itself_is_refused(experiments: dict):
    with pytest.raises(InputError, match=r"is to begin with what comes of itself, .* from .*: expected"):
        resolve({"datasets": SMALL["datasets"], "experiments": experiments})


def test_experiments_may_hang_together_otherwise():
    experiments = {
        "first": experiment(),
        "second": experiment(init_from="first", reference="third"),
        "third": {"test": ["unseen"], "solver": {}, "start_from": "second", "reference": "second"},
    }
    assert len(resolve({"datasets": SMALL["datasets"], "experiments": experiments}).experiments) == 3


def test_a_dataset_that_nothing_uses_is_doubtful():
    config = changed(SMALL, ("datasets", "forgotten"), {"simulate": {}})
    assert resolve(config).doubts == [
        "datasets.forgotten is used by no experiment: it is made only where it is asked for by name"
    ]
    config["datasets"]["mended"] = {"refine": {"dataset": "forgotten"}}
    config["experiments"]["small"]["train"] = ["mended"]
    assert [doubt.split()[0] for doubt in resolve(config).doubts] == ["datasets.seen"]


def read(text: str) -> dict[str, Any]:
    return read_config(yaml.safe_load(text))


def test_numbers_that_yaml_takes_for_text_are_numbers():
    training = "{learning_rate: 1e-3, max_epochs: 8e3, weight_decay: '0', region: {rows: [0e0, 5e-1]}}"
    taken = read(f"experiments: {{a: {{training: {training}, seeds: [0.0, '3', 1e1]}}}}")["experiments"]["a"]
    assert taken["training"] == {
        "learning_rate": 0.001,
        "max_epochs": 8000,
        "weight_decay": 0.0,
        "region": {"rows": [0.0, 0.5]},
    }
    assert taken["seeds"] == [0, 3, 10]
    assert all(type(seed) is int for seed in taken["seeds"])
    ingest = read("datasets: {a: {ingest: {detector_pixel_size: 75e-6, energy: 8e3}}}")["datasets"]["a"]["ingest"]
    assert ingest == {"detector_pixel_size": 75e-6, "energy": 8000.0}


def test_names_that_yaml_takes_for_numbers_are_names():
    taken = read("{datasets: {42: {simulate: {}}}, experiments: {2024: {train: [42], test: [42]}}, scale: 3}")
    assert taken == {
        "datasets": {"42": {"simulate": {}}},
        "experiments": {"2024": {"train": ["42"], "test": ["42"]}},
        "scale": "3",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("experiments: {on: {}}", r"experiments has the key true: expected a name .*, in quotes where YAML takes it"),
        ("experiments: {2024-01-31: {}}", r"the key 2024-01-31 \(a date\): expected a name .*, in quotes where"),
        ("experiments: {a: {train: [on]}}", r"experiments.a.train is \[true\]: expected a list"),
        ("experiments: {a: {train: [2024-01-31]}}", r"experiments.a.train is .*2024-01-31.*: expected a list"),
        ("experiments: {a: {seeds: [0.5]}}", r"experiments.a.seeds is \[0.5\]: expected a list, each entry a whole"),
        ("experiments: {a: {seeds: [true]}}", r"experiments.a.seeds is \[true\]: expected a list, each entry a whole"),
        ("experiments: {a: {training: {max_epochs: 1.5}}}", "max_epochs is 1.5: expected a whole number of at least"),
        ("experiments: {a: {training: {supervised: 1}}}", "supervised is 1: expected true or false"),
        ("experiments: {a: {training: {learning_rate: .inf}}}", "learning_rate is inf: expected a number above 0"),
        ("experiments: {a: {training: {compile: false}}}", "training has compile: expected none any more, as .*; take"),
        ("{}", "the config has nothing, but neither experiments nor studies"),
    ],
)
def test_what_has_no_one_meaning_is_refused(text: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        resolve(yaml.safe_load(text))


def test_sections_of_a_command_line_are_text_that_means_what_it_says():
    # So Snakemake reads --config "experiments={…}".
    said = yaml.load(
        "{a: {train: [x], test: [x], seeds: [1], training: {supervised: true, max_epochs: 3, n_groups: null}}}",
        Loader=yaml.BaseLoader,
    )
    taken = read_config({"experiments": said})["experiments"]["a"]
    assert taken["training"] == {"supervised": True, "max_epochs": 3, "n_groups": None}
    assert taken["seeds"] == [1]


def test_a_section_whose_keys_are_commented_out_says_nothing():
    assert read("{datasets: {a: {simulate: }}, experiments: {b: {training: }}, defaults: }") == {
        "datasets": {"a": {"simulate": {}}},
        "experiments": {"b": {"training": {}}},
        "defaults": {},
    }


def test_a_date_is_shown_as_such():
    with pytest.raises(InputError, match=r"experiments.a.network is 2024-01-31 \(a date\): expected text, or null"):
        read_config({"experiments": {"a": {"network": datetime.date(2024, 1, 31)}}})
