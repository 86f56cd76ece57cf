"""From scans to a network, in one call."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ptychoflow.configuration.reading import read_settings
from ptychoflow.errors import InputError
from ptychoflow.interface.scan import Scan, read
from ptychoflow.interface.scan_to_image import find_checkpoint
from ptychoflow.running.hardware import use_threads
from ptychoflow.running.warnings_kept import lightning_hushed
from ptychoflow.settings.blind import PRETRAINED, TuningSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import Accelerator


def train(
    scans: Scan | str | Path | Sequence[Scan | str | Path],
    output: str | Path,
    *,
    model: dict[str, Any] | None = None,
    tracking: dict[str, Any] | None = None,
    seed: int = 0,
    init_from: str | Path | None = None,
    test: str | Path | None = None,
    accelerator: Accelerator = "auto",
    progress: bool = True,
    **settings: Any,
) -> Path:
    """Train a network of your own on scans, without ground truth; called again it goes on where it was interrupted.

    Parameters
    ----------
    scans : Scan or str or Path, or several of them
        What to train on. A scan that was read with settings is written as CXI into the output folder first.
    output : str or Path
        Folder for model.ckpt, metrics.csv, config.yaml and provenance.json.
    model : dict, optional
        The keys of ``model`` in config/README.md, such as ``{"name": "unrolled", "iterations": 10}``.
    tracking : dict, optional
        The keys of ``tracking``, such as ``{"logger": ["csv", "mlflow"]}``.
    seed : int
        Fixes initial weights, split and order of the frames.
    init_from : str or Path, optional
        Network whose weights to start from: a checkpoint, or an output folder.
    test : str or Path, optional
        Dataset to test on in the end.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to train on.
    progress : bool
        Show a bar.
    **settings : Any
        The keys of ``training``, such as ``max_epochs=20``, ``train_probe=True`` and ``groups={"size": 4}``.

    Returns
    -------
    Path
        model.ckpt, which `reconstruct` takes as its network.

    Raises
    ------
    InputError
        For scans that cannot be trained on together, and settings that are none.
    """
    from ptychoflow.runs.run import TrainingRun

    output = Path(output)
    told = replace(read_settings(TrainingSettings, settings), accelerator=accelerator)
    use_threads(None)
    run = TrainingRun(
        data=_files(scans, output),
        output_dir=output,
        run_dir=output / "checkpoints",
        model=read_settings(ModelSettings, model or {}),
        training=told,
        tracking=read_settings(TrackingSettings, tracking or {}),
        seed=seed,
        quiet=not progress,
        bar=progress,
        init_from=None if init_from is None else find_checkpoint(init_from),
        test_data=None if test is None else Path(test),
    )
    with lightning_hushed():
        return run.run()


def tune(
    scans: Scan | str | Path | Sequence[Scan | str | Path],
    output: str | Path,
    *,
    reconstruction: dict[str, Any] | None = None,
    tracking: dict[str, Any] | None = None,
    seed: int = 0,
    init_from: str | Path = PRETRAINED,
    accelerator: Accelerator = "auto",
    **settings: Any,
) -> Path:
    """Tune the pretrained network on scans themselves, which pays where photons are few; called again it goes on.

    Parameters
    ----------
    scans : Scan or str or Path, or several of them
        What to tune it on, as in `train`.
    output : str or Path
        Folder for model.ckpt, metrics.csv, config.yaml and provenance.json.
    reconstruction : dict, optional
        The keys of ``reconstruction`` in config/README.md, as `reconstruct` is told them later.
    tracking : dict, optional
        The keys of ``tracking``.
    seed : int
        Fixes what is drawn; that of the reconstructions to come.
    init_from : str or Path
        ``"pretrained"``, or another blind network.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to train on.
    **settings : Any
        The keys of ``tuning``, such as ``max_epochs=10``.

    Returns
    -------
    Path
        model.ckpt, which `reconstruct` takes as its network.
    """
    from ptychoflow.pretraining.tuning import TuningRun

    output, use = Path(output), read_settings(TuningSettings, settings)
    use_threads(None)
    run = TuningRun(
        data=_files(scans, output),
        output_dir=output,
        run_dir=output / "checkpoints",
        settings=replace(use, accelerator=accelerator),
        reconstruction=read_settings(BlindReconstructionSettings, reconstruction or {}),
        init_from=find_checkpoint(init_from),
        seed=seed,
        tracking=read_settings(TrackingSettings, tracking or {}),
    )
    with lightning_hushed():
        return run.run()


def _files(scans: Scan | str | Path | Sequence[Scan | str | Path], output: Path) -> list[Path]:
    given = [scans] if isinstance(scans, (Scan, str, Path)) else list(scans)
    if not given:
        raise InputError("scans are none: expected at least one to train on")
    return [_file(scan, output / "scans" / f"{number}.cxi") for number, scan in enumerate(given)]


def _file(scan: Scan | str | Path, canonical: Path) -> Path:
    """File of a scan that says all about itself: its own, or one that is written."""
    scan = scan if isinstance(scan, Scan) else read(scan)
    return scan.file if scan.canonical else scan.save(canonical).file
