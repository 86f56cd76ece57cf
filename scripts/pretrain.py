"""Train the blind network on scans that a recipe draws."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.blind import BlindSettings, PretrainingSettings
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.tracking import TrackingSettings


def main(
    output_dir: Path,
    model: BlindSettings,
    pretraining: PretrainingSettings,
    recipe: RecipeSettings,
    tracking: TrackingSettings,
    run_dir: Path | None = None,
    seed: int = 0,
    threads: PositiveInt | None = None,
) -> None:
    """Train the blind network, which then reconstructs scans that it never saw, under probes that nobody knows.

    Leaves model.ckpt, metrics.csv, config.yaml and provenance.json in the output folder. Started again after an
    interruption it goes on from the last whole epoch, if settings, recipe, seed and code are still the same.

    Parameters
    ----------
    output_dir : Path
        Folder for the results.
    model : BlindSettings
        The network.
    pretraining : PretrainingSettings
        How it is trained.
    recipe : RecipeSettings
        On what scans.
    tracking : TrackingSettings
        Where metrics go.
    run_dir : Path, optional
        Folder for the working state; OUTPUT_DIR/checkpoints if not given.
    seed : int
        Fixes initial weights and what is drawn.
    threads : int, optional
        CPU threads; by default what the environment says.
    """
    from ptychoflow.pretraining.run import Pretraining
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    Pretraining(
        output_dir=output_dir,
        run_dir=run_dir or output_dir / "checkpoints",
        model=model,
        settings=pretraining,
        recipe=recipe,
        seed=seed,
        tracking=tracking,
    ).run()


if __name__ == "__main__":
    run_program(main, flat={"tracking": TrackingSettings})
