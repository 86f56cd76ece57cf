"""Iterative reconstruction by pty-chi, in the same form as a network's: the baseline that users have now.

pty-chi is imported when a solver runs, not before: only the environment of that rule has it.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.iterative.ptychi import import_ptychi
from ptychoflow.iterative.start import origin_of, sound_start, unseen_by
from ptychoflow.loading.groups import split_frames
from ptychoflow.metrics.alignment import probe_displacement
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.physics.modes import coherence_modes
from ptychoflow.provenance.record import circumstances, now, package_versions
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.running.progress import ProgressLog
from ptychoflow.settings.solver import SolverSettings
from ptychoflow.settings.values import plain

CORNER_OFFSET = -0.5
"""pty-chi counts a patch's centre from (N − 1) / 2, positions of this library from N / 2."""
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
    method = settings.algorithm
    origin: dict[str, Any] = {}
    if start is not None:
        earlier = sound_start(start, dataset, data, start_scores)
        canvas, probe, held_out = earlier.object, earlier.probe, unseen_by(earlier, held_out)
        method, origin = f"{method} after {earlier.provenance['method']}", origin_of(start, earlier)
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
    image.provenance = {
        "result": "reconstruction",
        "method": method,
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
    }
    return image


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
