"""From a scan to an image, or to a network, in one call."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptychoflow.blind.result import Progress
from ptychoflow.configuration.reading import read_settings
from ptychoflow.interface.image import Image, judged
from ptychoflow.interface.scan import Scan, read
from ptychoflow.interface.scan_to_image import (
    by_blind_network,
    by_trained_network,
    find_checkpoint,
    solves_for_the_probe,
)
from ptychoflow.running.hardware import use_threads
from ptychoflow.running.warnings_kept import lightning_hushed
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.settings.values import Accelerator

with warnings.catch_warnings():
    # Where a notebook has no widgets the bar is one of letters, which is as good.
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

log = logging.getLogger(__name__)


def reconstruct(
    scan: Scan | str | Path,
    network: str | Path = PRETRAINED,
    *,
    seed: int = 0,
    accelerator: Accelerator = "auto",
    progress: bool = True,
    **settings: Any,
) -> Image:
    """Reconstruct a scan by a network: the pretrained one, which solves for the probe as well, or one of your own.

    What is doubtful about the image is logged as warnings, which are seen unless they are caught, and kept as its
    `warnings`.

    Parameters
    ----------
    scan : Scan or str or Path
        From `ptychoflow.read`; or the name of a file that needs no settings to be read.
    network : str or Path
        ``"pretrained"``; or a checkpoint, or the output folder of `ptychoflow.train`.
    seed : int
        Fixes the frames that the pretrained network holds out, and their order; one of your own has that of its
        training.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to run on.
    progress : bool
        Show a bar over the iterations of the pretrained network; one of your own makes its image at once.
    **settings : Any
        For the pretrained network the keys of ``reconstruction`` in config/README.md, such as ``probe_modes=1``,
        ``iterations=60``, ``solve_positions=True`` or ``uncertainty=True``; for one of your own those of ``inference``,
        such as ``probe="checkpoint"``.

    Returns
    -------
    Image
        Amplitude, phase, probe, how well they explain the photons, and what is doubtful.

    Raises
    ------
    InputError
        Where scan and network do not fit, or a setting is none of this kind of network.
    """
    scan = _scan(scan)
    use_threads(None)
    checkpoint = find_checkpoint(network)
    if solves_for_the_probe(checkpoint):
        told = read_settings(BlindReconstructionSettings, settings)
        with _iterations(told.iterations, progress) as show:
            return Image(by_blind_network(checkpoint, scan.dataset, scan.file, told, seed, accelerator, show))
    told = read_settings(InferenceSettings, settings)
    with lightning_hushed():
        made = by_trained_network(checkpoint, scan.dataset, scan.file, told, accelerator=accelerator)
    return _warned(made, scan)


def solve(
    scan: Scan | str | Path, *, seed: int = 0, start: str | Path | None = None, progress: bool = True, **settings: Any
) -> Image:
    """Reconstruct a scan by iterations of pty-chi, to compare with: LSQ-ML or rPIE, which the extra ``baseline`` has.

    Parameters
    ----------
    scan : Scan or str or Path
        From `ptychoflow.read`; or the name of a file that needs no settings to be read.
    seed : int
        Fixes the order of the frames and those that are held out.
    start : str or Path, optional
        An image's file whose object and probe to start from; an empty object and the scan's probe if not given.
    progress : bool
        Show a bar.
    **settings : Any
        The keys of ``solver`` in config/README.md, such as ``algorithm="lsqml"``, ``epochs=100``, ``probe_modes=3`` and
        ``held_out=0.05``.

    Returns
    -------
    Image
        As `reconstruct` gives it.

    Raises
    ------
    InputError
        Where pty-chi is missing, or cannot solve this scan.
    """
    from ptychoflow.iterative.solver import solve as solved

    scan, told = _scan(scan), read_settings(SolverSettings, settings)
    use_threads(None)
    begin = None if start is None else Path(start)
    with _epochs(told.epochs, progress) as show:
        made = solved(told, scan.dataset, scan.file, seed, begin, show=show)
    return _warned(made, scan)


def _scan(scan: Scan | str | Path) -> Scan:
    return scan if isinstance(scan, Scan) else read(scan)


def _warned(made: Any, scan: Scan) -> Image:
    image, sentences = judged(made, scan.dataset)
    for sentence in sentences:
        log.warning(sentence)
    return image


@contextmanager
def _iterations(planned: int, progress: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar over the iterations of the pretrained network, with the deviance of frames that they were not given."""
    with tqdm(total=planned, desc="looking for a start", unit="iteration", disable=not progress) as bar:

        def show(known: Progress) -> None:
            bar.total = max(known.planned, known.iteration)
            bar.set_description("reconstructing", refresh=False)
            bar.set_postfix_str(f"deviance {known.deviance:.4g}", refresh=False)
            bar.update(known.iteration - bar.n)

        yield show


@contextmanager
def _epochs(epochs: int, progress: bool) -> Iterator[Callable[[int], None]]:
    """A bar over the epochs of a solver, which may be gone through again for halves of the frames."""
    with tqdm(total=epochs, unit="epoch", desc="solving", disable=not progress) as bar:

        def show(done: int) -> None:
            if done == 1 and bar.n >= bar.total:
                bar.total += epochs
            bar.update()

        yield show
