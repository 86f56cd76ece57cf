"""From a dataset to a reconstruction by the blind network, with a record of all that it found and doubts."""

import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ptychoflow.blind.beyond import beyond_doubts
from ptychoflow.blind.doubts import brightness_doubts, defocus_metres, light_found, scan_doubts, start_doubts
from ptychoflow.blind.frames import split_of
from ptychoflow.blind.freed import freed_doubts
from ptychoflow.blind.halves import half_objects
from ptychoflow.blind.judged import wandered
from ptychoflow.blind.left_over import left_over, left_over_doubts
from ptychoflow.blind.misplaced import misplaced_doubts
from ptychoflow.blind.pretrained import PLAIN, TUNED, chosen_network, method_of, require_unseen
from ptychoflow.blind.result import BlindResult, Progress
from ptychoflow.blind.slips import slip_doubts
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.blind.uncertainty import deviations, require_halves
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.files import sha256_of
from ptychoflow.metrics.doubts import doubts, misfit_line, misfits, much_left
from ptychoflow.models.blind_state import photons_per_pixel
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.provenance.record import circumstances, now
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.scoring import own_scores
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.running.hardware import device_name
from ptychoflow.running.progress import progress_line
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.values import plain

log = logging.getLogger(__name__)

TUNING_PAYS = (50.0, 2000.0)
"""Photons on a pixel of the object between which tuning on the scan was seen to make images better."""


def reconstruct(
    dataset: Dataset,
    data: Path,
    settings: BlindReconstructionSettings,
    weights: Path | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    show: Callable[[Progress], None] | None = None,
    look: Callable[[BlindReconstruction], None] | None = None,
) -> Reconstruction:
    """Reconstruct a dataset whose probe need not be known, and say how sure the image is.

    By a network that was tuned it is reconstructed twice, without what was learned as well, and the image is the one
    that explains the frames that judge better.

    Parameters
    ----------
    dataset : Dataset
        Validated dataset.
    data : Path
        Its file, to be fingerprinted.
    settings : BlindReconstructionSettings
        What is solved for, and for how long.
    weights : Path, optional
        Checkpoint of a blind network; the shipped one if not given.
    seed : int
        Fixes which frames are held out, their order, and further probe modes.
    device : torch.device, optional
        The CPU if not given.
    show : callable, optional
        Is given what is known after each iteration; if not given, a line of the log tells it.
    look : callable, optional
        Is then given the scan on its way, whose ``result()`` is the image so far.

    Returns
    -------
    Reconstruction
        In the dataset's object frame, or, where the axes of its positions were found to run otherwise, in the one that
        they make then: ``orientation`` of the provenance says so, and scores follow it.

    Raises
    ------
    InputError
        Where the weights cannot be used or were tuned on frames that are to judge, or where frames are too few to hold
        some out or to tell the uncertainty.
    """
    if settings.uncertainty:
        require_halves(dataset, data)
    made, device = circumstances(), device or torch.device("cpu")
    network, record = chosen_network(settings, weights)
    log.info("%s: %d frames of %d pixels, looking for a start", data, len(dataset.frames), dataset.size)
    split, data_digest = split_of(dataset, settings, seed), sha256_of(data)
    if settings.learned:
        require_unseen(weights, data, data_digest, split[1])
    began = time.perf_counter()
    solving = BlindReconstruction(network.to(device), dataset, settings, seed, device, split)
    tell = show or _shown()

    def shown(progress: Progress) -> None:
        tell(progress)
        if look is not None:
            look(solving)

    result, method = solving.run(shown), method_of(record)
    if method == TUNED:
        solving, result, method = _or_without_what_was_tuned(solving, result, dataset, tell)
    solving_seconds = time.perf_counter() - began
    reconstruction = _with_halves(solving, dataset, as_reconstruction(result, dataset.pixel_size), seed)
    scores = own_scores(reconstruction, solving.dataset)
    warnings = all_doubts(solving, result, reconstruction, scores)
    reconstruction.provenance = {
        "result": "reconstruction",
        "method": method,
        "run_id": None,
        **record,
        "data_file": str(data),
        "data_sha256": data_digest,
        "data": dataset.provenance,
        "geometry": dataset.geometry,
        "seed": seed,
        "config": {"reconstruction": plain(settings)},
        **_findings(result, solving, scores),
        "half_displacements": [[0.0, 0.0], [0.0, 0.0]],
        "warnings": warnings,
        "device": device_name(device),
        "solving_seconds": solving_seconds,
        **made,
        "finished": now(),
    }
    log.info("%s, after %.3g s", misfit_line(scores), solving_seconds)
    if method == PRETRAINED:
        _recommend_tuning(float(photons_per_pixel(solving.state, solving.frames)[0]))
    for sentence in warnings:
        log.warning(sentence)
    return reconstruction


def all_doubts(
    solving: BlindReconstruction,
    result: BlindResult,
    reconstruction: Reconstruction,
    scores: dict[str, float | int | None],
) -> list[str]:
    """Say all that is doubtful about an image: what is cheap to find always, and why it misfits only where it does.

    Parameters
    ----------
    solving : BlindReconstruction
        At its end; it is left as it is.
    result : BlindResult
        What it came to.
    reconstruction : Reconstruction
        The same as an image.
    scores : dict
        As `own_scores` gives them.
    """
    dataset = solving.dataset
    said = [*doubts(scores), *start_doubts(solving.start, dataset), *scan_doubts(reconstruction)]
    # What a dataset holds is on the CPU, and a few frames are looked at.
    network = deepcopy(solving.network).cpu()
    said += slip_doubts(network, reconstruction, dataset, much_left(scores))
    said += misplaced_doubts(reconstruction, dataset)
    if misfits(scores):
        said += brightness_doubts(reconstruction, dataset)
        said += beyond_doubts(solving.network, reconstruction, dataset, solving.seed)
    elif not said:
        left = left_over(reconstruction, dataset)
        said = left_over_doubts(left, reconstruction, dataset) or freed_doubts(solving, network, reconstruction, left)
    if result.brightness_rms is not None and solving.settings.solve_brightness is None:
        said.append(light_found(result.brightness_rms))
    return said


def as_reconstruction(result: BlindResult, pixel_size: float) -> Reconstruction:
    """Give what was found the form of every reconstruction, without halves, doubts and a record."""
    probe = result.probe.numpy()
    return Reconstruction(
        object=result.object.numpy(),
        coverage=coverage_of(probe, result.positions[result.used], result.object_shape),
        halves=np.full((2, *result.object.shape), np.nan, np.complex64),
        probe=probe,
        positions=result.positions,
        held_out=np.isin(np.arange(len(result.positions)), result.held_out),
        pixel_size=pixel_size,
        background=result.background,
        brightness=result.brightness,
    )


def _or_without_what_was_tuned(
    tuned: BlindReconstruction, result: BlindResult, dataset: Dataset, tell: Callable[[Progress], None]
) -> tuple[BlindReconstruction, BlindResult, str]:
    """Reconstruct the dataset by plain iterations as well; give what explains the frames left out better, and its name.

    What was learned of one scan may mislead, and nothing else would tell.
    """
    unlearned, split = replace(tuned.settings, learned=False), (tuned.used, tuned.held_out)
    without = BlindReconstruction(tuned.network, dataset, unlearned, tuned.seed, tuned.device, split, tuned.start)
    other = without.run(tell)
    if not other.deviance < result.deviance:
        return tuned, result, TUNED
    log.info(
        "what was tuned explains the frames left out no better (%.4g) than plain iterations do (%.4g): those make the "
        "image",
        result.deviance,
        other.deviance,
    )
    return without, other, PLAIN


def _recommend_tuning(photons: float) -> None:
    """Say where tuning would pay, by the photons on a pixel of the object."""
    if TUNING_PAYS[0] < photons < TUNING_PAYS[1]:
        log.info(
            "some %.0f photons fell on a pixel of the object: a network tuned on the scan itself may show more "
            "where they are as few (tune.py, or init_from: pretrained)",
            photons,
        )


def _shown() -> Callable[[Progress], None]:
    """Write a line for each iteration, with the time left from the second on."""
    first: list[Progress] = []

    def show(progress: Progress) -> None:
        first.append(progress)
        done = progress.iteration - first[0].iteration
        each = (progress.seconds - first[0].seconds) / done if done else None
        left = None if each is None else each * (progress.planned - progress.iteration)
        found = f"deviance of frames left out {progress.deviance:.4g}, {progress.seconds:.3g} s"
        log.info("%s", progress_line("iteration", progress.iteration, progress.planned, left, found))

    return show


def _with_halves(
    solving: BlindReconstruction, dataset: Dataset, reconstruction: Reconstruction, seed: int
) -> Reconstruction:
    """Add what halves of the frames tell of an image, as far as the settings ask for it."""
    if solving.settings.halves and dataset.truth is None:
        canvases = half_objects(solving.state, solving.frames, solving.fitted, seed, solving.smoothed)
        # Placed as `BlindReconstruction.result` does.
        away = -wandered(solving.state, solving.home)
        edge = solving.border
        reconstruction.halves = fourier_shift(canvases, away)[:, edge:-edge, edge:-edge].cpu().numpy()
    if solving.settings.uncertainty:
        parts = deviations(solving, reconstruction, seed)
        reconstruction.amplitude_deviation, reconstruction.phase_deviation = parts
    return reconstruction


def _findings(
    result: BlindResult, solving: BlindReconstruction, scores: dict[str, float | int | None]
) -> dict[str, Any]:
    """What was found beside the object, and how well it explains the frames left out, as plain containers."""
    start = result.start
    moved = result.positions - solving.dataset.positions
    powers = result.probe.abs().square().sum(dim=(-2, -1))
    return {
        "orientation": start.candidate.orientation,
        "start": {
            "name": start.candidate.name,
            "defocus_metres": defocus_metres(start, solving.dataset),
            "errors": dict(sorted(start.errors.items(), key=lambda pair: pair[1])),
        },
        "iterations": len(result.history),
        "corrections": solving.corrections,
        "gains": [one.gain for one in result.history],
        "smoothing": solving.smoothed,
        "deviances": [one.deviance for one in result.history],
        "background": result.background,
        "brightness_rms": result.brightness_rms,
        "probe_mode_shares": (powers / powers.sum()).tolist(),
        "position_shift_rms": float(np.sqrt(np.square(moved - moved.mean(axis=0)).sum(axis=1).mean())),
        "held_out_deviance": scores["deviance"],
        "expected_deviance": scores["expected_deviance"],
        "explained_share": scores["explained_share"],
    }
