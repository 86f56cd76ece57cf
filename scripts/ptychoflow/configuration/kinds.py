"""Kinds of experiments, and the keys that one of a kind has no use for."""

from typing import Any

from ptychoflow.settings.blind import PRETRAINED

KINDS = ("network", "solver", "network_of", "pretrain", "train")
"""Keys by which an experiment has its images; it has one of them."""
TRAINING = ("init_from", "model", "training", "tracking")
NETWORK = ("inference", "stitching")
USELESS = {
    "train": ("start_from", "reconstruction", "tuning"),
    "tune": ("start_from", "model", "training", *NETWORK),
    "network_of": ("start_from", *TRAINING, "reconstruction", "tuning"),
    "solver": (*TRAINING, *NETWORK, "reconstruction", "tuning"),
    "network": ("start_from", *TRAINING, *NETWORK, "tuning"),
    "pretrain": ("start_from", "reference", "test", *TRAINING, *NETWORK, "reconstruction", "tuning"),
}
"""Keys of an experiment that one of a kind has no use for; of those that train, some tune a blind network."""
ASKED_FOR = ("start_from", "reference", "test")
"""Such keys that are never said to all kinds at once: who says them means this one."""


def kinds_of(settings: dict[str, Any], tunes: bool) -> list[str]:
    """Kinds that an experiment says it is; where it is of one that trains, and tunes a blind network, that."""
    found = [key for key in KINDS if settings.get(key) not in (None, [])] or ["train"]
    return ["tune"] if found == ["train"] and tunes else found


def useless_keys(settings: dict[str, Any]) -> set[str]:
    """Keys that an experiment of a study has no use for: such as what an axis says to all kinds.

    Of several kinds that it is said to be, the first is meant.
    """
    kind = kinds_of(settings, settings.get("init_from") == PRETRAINED)[0]
    others = set(KINDS[KINDS.index(kind) + 1 :]) if kind in KINDS else set()
    return (others | {*USELESS[kind]}) - {*ASKED_FOR}
