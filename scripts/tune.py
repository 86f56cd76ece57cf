"""Tune the blind network on scans themselves."""

from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.blind import TuningSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.tracking import TrackingSettings


def main(
    train_data_file: list[Path] | Path,
    output_dir: Path,
    tuning: TuningSettings,
    blind: BlindReconstructionSettings,
    tracking: TrackingSettings,
    init_from: Path | None = None,
    run_dir: Path | None = None,
    seed: NonNegativeInt = 0,
    threads: PositiveInt | None = None,
) -> None:
    """Tune the pretrained network on scans whose true objects nobody knows: to explain frames that it was not given.

    It pays where photons are few. Leaves model.ckpt, which reconstruct.py takes by --model_path, metrics.csv,
    config.yaml and provenance.json in the output folder. Started again after an interruption it goes on from the last
    whole epoch, if settings, data, seed and code are still the same.

    Parameters
    ----------
    train_data_file : list of Path
        Datasets to tune it on, in any format of docs/formats.md.
    output_dir : Path
        Folder for the results.
    tuning : TuningSettings
        How it is tuned.
    blind : BlindReconstructionSettings
        How the scans are reconstructed on the way; such as reconstruct.py is told.
    tracking : TrackingSettings
        Where metrics go.
    init_from : Path, optional
        Checkpoint of a blind network to begin with, or the output folder of another tuning; the pretrained network if
        not given, or if it is the word pretrained.
    run_dir : Path, optional
        Folder for the working state; OUTPUT_DIR/checkpoints if not given.
    seed : int
        Fixes what is drawn; that of the reconstructions that come after, so that the frames by which they are judged
        are those that the tuning has not seen.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.interface.scan_to_image import find_checkpoint
    from ptychoflow.pretraining.tuning import TuningRun
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    TuningRun(
        output_dir=output_dir,
        run_dir=run_dir or output_dir / "checkpoints",
        data=train_data_file if isinstance(train_data_file, list) else [train_data_file],
        settings=tuning,
        reconstruction=blind,
        init_from=find_checkpoint(init_from),
        seed=int(seed),
        tracking=tracking,
    ).run()


if __name__ == "__main__":
    run_program(main, flat={"tracking": TrackingSettings})
