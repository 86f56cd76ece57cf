"""Whether what a file says of its geometry is what its photons tell, in a few seconds or in a whole measurement."""

import logging

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.measurement.measured_facts import measured_facts
from ptychoflow.measurement.measurement import FEWEST, measure

log = logging.getLogger(__name__)


def geometry_doubts(dataset: Dataset, source: str, whole: bool) -> list[str]:
    """Measure the geometry of a scan and log where the file says otherwise.

    Parameters
    ----------
    dataset : Dataset
        The scan; its frames may be in a file still.
    source : str
        Name of the file it came from, for the message.
    whole : bool
        Whether to measure as well as can be, or for a few seconds what is far off.

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
    facts, sentences = measured_facts(measure(load_blind()[0], dataset, quick=not whole), dataset)
    if whole:
        measured = "; ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value is str(value)
        )
        log.info("%s: %s", source, measured)
    else:
        sentences = [f"{sentence}; a quick look (measure: true looks closer)" for sentence in sentences]
    for sentence in sentences:
        log.warning("%s: %s", source, sentence)
    return sentences
