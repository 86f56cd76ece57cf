"""Refine the scan positions of a dataset."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.solver import RefinementSettings


def main(
    data: Path,
    output: Path,
    settings: RefinementSettings,
    provenance: Path | None = None,
    threads: PositiveInt | None = None,
) -> None:
    """Find the scan positions of a dataset again from its photons, and write it with those.

    Parameters
    ----------
    data : Path
        Dataset, in any format of docs/formats.md. Its probe is taken as it is.
    output : Path
        CXI file to write.
    settings : RefinementSettings
        How to refine.
    provenance : Path, optional
        JSON file to write about what made the dataset.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    import logging
    from dataclasses import asdict

    from ptychoflow.dataset.cxi import keep_dataset
    from ptychoflow.files import sha256_of
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.iterative.refinement import position_error, refined
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    given = read_dataset(data)
    dataset, refinement = refined(given, settings)
    first, last = refinement.misfits[0], refinement.misfits[-1]
    logging.info("misfit of the amplitudes %.3g at first, %.3g at last; %.1f s", first, last, refinement.seconds)
    if given.true_positions is not None:
        logging.info(
            "error of the positions %.2f pixels before, %.2f after",
            position_error(given.positions, given.true_positions)[0],
            position_error(dataset.positions, dataset.true_positions)[0],
        )
    dataset.provenance = {
        "result": "dataset",
        "program": "refine.py",
        "settings": asdict(settings),
        "source": {"file": data.name, "sha256": sha256_of(data), "made_by": given.provenance},
    }
    keep_dataset(output, dataset.validate(str(output)), provenance)


if __name__ == "__main__":
    run_program(main, flat={"settings": RefinementSettings})
