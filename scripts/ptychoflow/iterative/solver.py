"""Iterative reconstruction by pty-chi, in the same form as a network's: the baseline that users have now.

pty-chi is imported when a solver runs, not before: only the environment of that rule has it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ingest_settings_of
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.iterative.ptychi import import_ptychi
from ptychoflow.loading.groups import split_frames
from ptychoflow.metrics.alignment import probe_displacement, scored_area
from ptychoflow.metrics.doubts import LEAST_VARIATION
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.physics.modes import coherence_modes
from ptychoflow.provenance.record import circumstances, now, package_versions
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, seconds_of
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.scoring import read_scores, variation
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.running.progress import ProgressLog
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.settings.values import plain

log = logging.getLogger(__name__)

CORNER_OFFSET = -0.5
"""pty-chi counts a patch's centre from (N − 1) / 2, positions of this library from N / 2."""
START_FRAMES = 256
"""Frames whose photons judge an image to start from."""
Solution = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Object (H, W), probe (modes, N, N), both complex64, and positions (frames, 2) of the frames that were fitted."""


def solve(
    settings: SolverSettings,
    dataset: Dataset,
    data: Path,
    seed: int = 0,
    start: Path | None = None,
    start_scores: Path | None = None,
    show: Callable[[int], None] | None = None,
    look: Callable[[int, Callable[[], Reconstruction]], None] | None = None,
    halves: bool = True,
) -> Reconstruction:
    """Reconstruct a dataset iteratively.

    Parameters
    ----------
    settings : SolverSettings
        Algorithm and its settings.
    dataset : Dataset
        Validated dataset.
    data : Path
        Its file, to be fingerprinted.
    seed : int
        Fixes the order of the frames and those that are held out.
    start : Path, optional
        Reconstruction whose object and probe to start from, such as a network's; an empty object and the dataset's
        probe if not given.
    start_scores : Path, optional
        What evaluate.py wrote about that reconstruction.
    show : callable, optional
        Is given the number of epochs that are done after each, of the halves as well; if not given, lines of the log
        tell it.
    look : callable, optional
        Is given the number of epochs that are done after each, not of the halves, and what gives the reconstruction so
        far, without halves and record.
    halves : bool
        Solve for the even and for the odd frames as well, where no truth is known.

    Returns
    -------
    Reconstruction
        Where no truth is known, ``halves`` are solved for as well, each from its own frames; else they are NaN.

    Raises
    ------
    InputError
        Where pty-chi is missing, or the start does not belong to the dataset or is known to show nothing.
    """
    if dataset.propagation == "near":
        raise InputError(f"{data} is a near field: expected a far field, which is all that this solver is set up for")
    import_ptychi()  # which takes seconds that are no part of solving
    made = circumstances()
    canvas, probe = np.ones(dataset.object_shape, np.complex64), dataset.probe
    used, held_out = split_frames(np.arange(len(dataset.frames)), settings.held_out, seed)
    origin: dict[str, Any] = {}
    if start is not None:
        earlier = sound_start(start, dataset, data, start_scores)
        canvas, probe, held_out = earlier.object, earlier.probe, unseen_by(earlier, held_out)
        origin = {
            "start_file": str(start),
            "start_sha256": sha256_of(start),
            "start": earlier.provenance,
            "starting_seconds": seconds_of(earlier.provenance),
        }
    probe = coherence_modes(probe, settings.probe_modes)
    image_of = partial(_as_reconstruction, dataset=dataset, used=used, held_out=held_out)
    begun_solving = time.perf_counter()
    watched = None if look is None else lambda epoch, state: look(epoch, lambda: image_of(state()))
    solution = _run(settings, dataset, used, canvas, probe, seed, show, watched)
    solving_seconds = time.perf_counter() - begun_solving
    image = image_of(solution)
    if halves and dataset.truth is None:
        solved = [_run(settings, dataset, used[half::2], canvas, probe, seed, show) for half in range(2)]
        image.halves = np.stack([one for one, _, _ in solved])
        # Each half has found a probe of its own, with which its object has moved.
        origin["half_displacements"] = [probe_displacement(own, image.probe).tolist() for _, own, _ in solved]
    return replace(
        image,
        provenance={
            "result": "reconstruction",
            "method": settings.algorithm
            if start is None
            else f"{settings.algorithm} after {origin['start']['method']}",
            "run_id": None,
            "data_file": str(data),
            "data_sha256": sha256_of(data),
            "data": dataset.provenance,
            "geometry": dataset.geometry,
            "seed": seed,
            "config": {"solver": plain(settings)},
            **origin,
            "device": f"cpu, {torch.get_num_threads()} threads",
            "solving_seconds": solving_seconds,
            **made,
            "packages": made["packages"] | package_versions("ptychi"),
            "finished": now(),
        },
    )


def _as_reconstruction(solution: Solution, dataset: Dataset, used: np.ndarray, held_out: np.ndarray) -> Reconstruction:
    """Give what was found from frames `used` the form of every reconstruction, without halves and record."""
    found, probe, solved_positions = solution
    positions = dataset.positions.copy()
    positions[used] = solved_positions
    return Reconstruction(
        object=found,
        coverage=coverage_of(probe, solved_positions, found.shape),
        halves=np.full((2, *found.shape), np.nan, np.complex64),
        probe=probe,
        positions=positions,
        held_out=np.isin(np.arange(len(dataset.frames)), held_out),
        pixel_size=dataset.pixel_size,
    )


def sound_start(path: Path, dataset: Dataset, data: Path, scores: Path | None = None) -> Reconstruction:
    """Read a reconstruction to start from, once it is sure that it is better than nothing.

    Parameters
    ----------
    path : Path
        The reconstruction.
    dataset : Dataset
        What is to be solved for from there.
    data : Path
        Its file, for messages.
    scores : Path, optional
        What evaluate.py wrote about the reconstruction.

    Raises
    ------
    InputError
        Where it does not belong to the dataset, is empty, or is recorded to have collapsed. One that explains the
        photons worse than an empty object under the dataset's probe is warned of.
    """
    earlier = read_reconstruction(path)
    if earlier.orientation:
        keys = ingest_settings_of(earlier.orientation, dataset.provenance)
        raise InputError(
            f"{path} has the axes of its positions otherwise than {data}: expected a dataset ingested with {keys}, and "
            "a start made from it"
        )
    if earlier.object.shape != tuple(dataset.object_shape) or earlier.probe.shape[1:] != dataset.probe.shape[1:]:
        raise InputError(
            f"{path} has an object of {earlier.object.shape} and a probe of {earlier.probe.shape[1:]} pixels: "
            f"expected those of {data}, {tuple(dataset.object_shape)} and {dataset.probe.shape[1:]}"
        )
    record = earlier.provenance if scores is None else read_scores(scores)
    varied = variation(earlier.object, scored_area(earlier.coverage, earlier.probe, earlier.positions))
    if record.get("collapsed") or not varied >= LEAST_VARIATION:
        empty = f"empty, it varies by {varied:.2g} of its mean"
        found = "collapsed, by its scores" if record.get("collapsed") else empty
        raise InputError(
            f"{path} is {found}: expected an image to start from that shows something; without start_from the solver "
            "begins with an empty object"
        )
    everything = np.arange(len(dataset.frames))
    some = everything[:: -(-len(everything) // START_FRAMES)]
    placed = replace(earlier, positions=dataset.positions)
    nothing = replace(placed, object=np.ones_like(earlier.object), probe=dataset.probe, background=0.0)
    own, none = (photon_deviance(one, dataset, some) for one in (placed, nothing))
    if not own < none:
        log.warning(
            "%s explains the photons worse than nothing: deviance %.3g, that of an empty object under the dataset's "
            "probe %.3g; expected a start that is better, or none (start_from)",
            path,
            own,
            none,
        )
    return earlier


def unseen_by(earlier: Reconstruction, held_out: np.ndarray) -> np.ndarray:
    """Those of the held-out frames (chosen,) int64 that the image to start from was not made from either."""
    left_out = earlier.held_out
    if earlier.provenance.get("held_out_seen"):  # as earlier versions say of networks that were given all frames
        left_out = np.zeros_like(left_out)
    unseen = np.setdiff1d(held_out, np.flatnonzero(~left_out))
    if len(unseen) < len(held_out):
        log.warning(
            "the image to start from was made from %d of the %d frames that are held out: expected the same share and "
            "seed of both, and those frames judge nothing now",
            len(held_out) - len(unseen),
            len(held_out),
        )
    return unseen


def _options(api: ModuleType, settings: SolverSettings, dataset: Dataset, frames: int, seed: int) -> Any:
    """What pty-chi is told of a task with so many frames."""
    options = {"lsqml": api.LSQMLOptions, "rpie": api.RPIEOptions}[settings.algorithm]()
    options.data_options.fft_shift = True
    options.data_options.wavelength_m = wavelength_of(dataset.energy)
    options.object_options.pixel_size_m = dataset.pixel_size
    options.object_options.determine_position_origin_coords_by = api.enums.ObjectPosOriginCoordsMethods.SPECIFIED
    options.object_options.position_origin_coords = np.array([CORNER_OFFSET, CORNER_OFFSET])
    options.probe_options.optimizable = settings.refine_probe
    options.probe_position_options.optimizable = settings.refine_positions
    options.probe_position_options.optimization_plan.start = min(settings.positions_delay, settings.epochs - 1)
    solver = options.reconstructor_options
    solver.num_epochs = settings.epochs
    solver.batch_size = min(settings.batch_size, frames)
    solver.random_seed = seed
    solver.default_device = api.enums.Devices.CPU
    solver.displayed_loss_function = None
    if settings.algorithm == "lsqml":
        solver.momentum_acceleration_gain = settings.momentum
        solver.rescale_probe_intensity_in_first_epoch = False
    return options


def _run(
    settings: SolverSettings,
    dataset: Dataset,
    frames: np.ndarray,
    canvas: np.ndarray,
    probe: np.ndarray,
    seed: int,
    show: Callable[[int], None] | None,
    look: Callable[[int, Callable[[], Solution]], None] | None = None,
) -> Solution:
    """Solve for object, probe and positions of some frames."""
    api, size = import_ptychi(), dataset.size
    # pty-chi draws the same batches whatever its seed: the order of the frames is where ours comes in.
    order = np.random.default_rng(seed).permutation(len(frames))
    shuffled = frames[order]
    rows, columns = dataset.positions[shuffled].T
    task = api.task.PtychographyTask(
        _options(api, settings, dataset, len(frames), seed),
        diffraction_data=dataset.frames[shuffled],
        object_data=torch.from_numpy(canvas[None]),
        # Its Fourier transform is not normalised: N² Σ|P|² = photons.
        probe_data=torch.from_numpy(probe[None] / size),
        probe_position_x_px=columns.copy(),
        probe_position_y_px=rows.copy(),
        valid_pixel_mask=dataset.mask,
    )

    def state() -> Solution:
        positions = np.empty((len(frames), 2))
        positions[order] = task.get_data_to_cpu("probe_positions", as_numpy=True)
        return (
            task.get_data_to_cpu("object", as_numpy=True)[0].astype(np.complex64),
            (task.get_data_to_cpu("probe", as_numpy=True)[0] * size).astype(np.complex64),
            positions,
        )

    tell = show or ProgressLog("epoch", settings.epochs).tell
    for epoch in range(1, settings.epochs + 1):
        task.run(1)
        tell(epoch)
        if look is not None:
            look(epoch, state)
    return state()
