"""Whether what a file says of its geometry is what its photons tell, in a few seconds or in a whole measurement."""

import logging
from dataclasses import replace

import numpy as np

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.measurement.measured_facts import hardly_told, measured_facts, place_doubted, scale_doubted
from ptychoflow.measurement.measurement import FEWEST, Measurement, measure

log = logging.getLogger(__name__)

TURNED, DEFORMED = 2.0, 0.02
"""Degrees, and stretch or shear, that a scan seems to be turned or deformed by, from which on a quick look that is not
sure of it goes on as a whole one. Those of sound scans find up to 1.9 and mostly less than 0.02."""


def geometry_doubts(dataset: Dataset, source: str, whole: bool) -> list[str]:
    """Measure the geometry of a scan and log where the file says otherwise.

    Parameters
    ----------
    dataset : Dataset
        The scan; its frames may be in a file still.
    source : str
        Name of the file it came from, for the message.
    whole : bool
        Whether to measure as well as can be, or for a few seconds what is far off, and go on only where these find the
        scan wider, turned or deformed, or leave it open: an image takes that on, and nothing would ever show it.

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
    network, quick = load_blind()[0], not whole
    try:
        found = measure(network, dataset, quick=quick)
        if quick and left_open(found):
            log.info("%s: in a quick look the scan may be wider, turned or deformed: looking closer", source)
            found, quick = looked_closer(found, measure(network, dataset)), False
    except InputError as error:
        if whole:
            raise
        log.warning("%s: its geometry was not looked at: %s", source, error)
        return [f"its geometry was not looked at: {error}"]
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
    """Whether a scan whose axes are not told to run otherwise may be wider, turned or deformed.

    The errors of a quick look are those that it makes of simulated scans, and may be larger of others.
    """
    if found.orientation:
        return not found.orientation_told
    deformed = max(abs(found.stretch.value - 1), abs(found.shear.value)) > DEFORMED
    return deformed or abs(found.rotation.value) > TURNED or place_doubted(found)


def looked_closer(quick: Measurement, whole: Measurement) -> Measurement:
    """What counts of a quick look and of the whole measurement that followed it: of that, what was in question."""
    if not place_doubted(quick) and hardly_told(whole):
        return quick
    scale = quick.scale
    if scale_doubted(quick):
        # The whole may come to the same scale, and not know how surely.
        same = abs(np.log(whole.scale.value / scale.value)) < scale.error
        scale = scale if same and whole.scale.error is None else whole.scale
    return replace(whole, scale=scale, defocus=quick.defocus)
