"""Tell what a scan holds and what about it looks wrong."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.ingest import IngestSettings


def main(
    data: Path,
    settings: IngestSettings,
    json: bool = False,
    png: Path | None = None,
    try_orientations: bool = False,
    threads: PositiveInt | None = None,
) -> None:
    """Tell what a scan holds, and warn, in a sentence each, of what looks wrong.

    Parameters
    ----------
    data : Path
        Dataset of any known format.
    settings : IngestSettings
        What the file does not say about itself.
    json : bool
        Print it as JSON.
    png : Path, optional
        Picture to draw of positions, photons, mean frame and probe, named .png, .svg or .pdf.
    try_orientations : bool
        Reconstruct the middle of the scan under each sign and order of the positions, and compare their photons.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from dataclasses import replace

    from ptychoflow.dataset.storage import storage_of
    from ptychoflow.ingest.inspection import as_json, as_text, inspect
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.settings.training import FRAMES_IN_MEMORY

    # A picture is drawn of all frames.
    reading = replace(settings, measure=None)
    dataset = read_dataset(data, reading, FRAMES_IN_MEMORY if png is None else None, examined=False)
    facts, warnings = inspect(dataset)
    # What reading it brought to light, or did when it was ingested.
    warnings += [sentence for sentence in dataset.provenance.get("warnings", []) if sentence not in warnings]
    facts = storage_of(data) | facts
    if try_orientations:
        from ptychoflow.iterative.orientation import orientation_warnings, photon_errors
        from ptychoflow.running.hardware import use_threads

        use_threads(threads)
        facts["photon_errors"] = photon_errors(dataset)
        warnings += orientation_warnings(facts["photon_errors"])
    if settings.measure:
        from ptychoflow.blind.pretrained import load_blind
        from ptychoflow.measurement.measured_facts import measured_facts
        from ptychoflow.measurement.measurement import measure
        from ptychoflow.running.hardware import use_threads

        use_threads(threads)
        own, doubts = measured_facts(measure(load_blind()[0], dataset), dataset)
        facts |= own
        warnings += doubts
    if png is not None:
        from ptychoflow.figures.result import dataset_figure, save_figure

        save_figure(dataset_figure(dataset), dataset.provenance, png)
    print(as_json(facts, warnings) if json else as_text(facts, warnings))


if __name__ == "__main__":
    run_program(main, flat={"settings": IngestSettings})
