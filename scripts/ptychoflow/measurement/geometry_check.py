"""Whether what a file says of its geometry is what its photons tell, in a few seconds or in a whole measurement."""

import logging

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.measurement.measured_facts import measured_facts, turn_told
from ptychoflow.measurement.measurement import FEWEST, Measurement, measure

log = logging.getLogger(__name__)

SUSPECTED = 2.0
"""Degrees by which a scan seems to be turned, from which on a quick look that is not sure of it goes on as a whole one.
Those of sound scans find up to 1.9, and up to 4 of wedges, which hardly tell a turn."""


def geometry_doubts(dataset: Dataset, source: str, whole: bool) -> list[str]:
    """Measure the geometry of a scan and log where the file says otherwise.

    Parameters
    ----------
    dataset : Dataset
        The scan; its frames may be in a file still.
    source : str
        Name of the file it came from, for the message.
    whole : bool
        Whether to measure as well as can be, or for a few seconds what is far off, and go on only where these leave it
        open whether the scan is turned: where photons are few, nothing but a better look would ever show it.

    Returns
    -------
    list of str
        One sentence each of what seems to be wrong; none where a quick look is told nothing by so few frames or fields.

    Raises
    ------
    InputError
        Where the whole is asked for and cannot be measured.
    """
    if not whole and (dataset.propagation != "far" or len(dataset.frames) < FEWEST):
        return []
    network = load_blind()[0]
    found, quick = measure(network, dataset, quick=not whole), not whole
    if quick and left_open(found):
        found, quick = measure(network, dataset), False
    facts, sentences = measured_facts(found, dataset)
    if whole:
        measured = "; ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value is str(value)
        )
        log.info("%s: %s", source, measured)
    elif quick:
        sentences = [f"{sentence}; a quick look (measure: true looks closer)" for sentence in sentences]
    for sentence in sentences:
        log.warning("%s: %s", source, sentence)
    return sentences


def left_open(found: Measurement) -> bool:
    """Whether a scan may be turned by so much, or not at all."""
    return abs(found.rotation.value) > SUSPECTED and not turn_told(found)
