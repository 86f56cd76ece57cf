"""Write a dataset frame by frame, as a detector would."""

from pathlib import Path

from jsonargparse.typing import PositiveFloat, PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.ingest import IngestSettings


def main(
    input: Path,
    output: Path,
    settings: IngestSettings,
    rate: PositiveFloat = 200.0,
    frames_at_once: PositiveInt = 1,
) -> None:
    """Write a dataset into a growing file at a given rate, for watch.py to follow.

    Parameters
    ----------
    input : Path
        Dataset of any known format.
    output : Path
        CXI file to write; others may read it while it grows.
    settings : IngestSettings
        What the file does not say about itself.
    rate : float
        Frames in a second.
    frames_at_once : int
        Frames that are written together.
    """
    from ptychoflow.dataset.growing import replay
    from ptychoflow.ingest.readers import read_dataset

    replay(output, read_dataset(input, settings), rate, frames_at_once)


if __name__ == "__main__":
    run_program(main, flat={"settings": IngestSettings})
