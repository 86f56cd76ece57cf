"""From patches at scan positions to one object: sub-pixel, weighted by the probe, phases brought into agreement."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import torch
from torch import Tensor

from ptychoflow.embedded_provenance import from_hdf5_attributes
from ptychoflow.errors import InputError
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.provenance import now
from ptychoflow.reconstruction import Reconstruction

PATCHES_AT_ONCE = 1024

PatchSource = Callable[[], Iterable[Tensor]]
"""Gives all patches anew at each call, in portions (frames, N, N) complex64."""


def stitch(
    patches: PatchSource, positions: Tensor, probe: Tensor, shape: tuple[int, int], phase_iterations: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Average patches where they overlap.

    Diffraction does not tell the global phase of a patch, so single-shot patches may disagree in it. Each phase
    iteration turns every patch towards the object stitched so far and stitches again.

    Parameters
    ----------
    patches : PatchSource
        Gives portions (frames, N, N) complex64.
    positions : Tensor
        (all frames, 2) float, (row, column) pixels of the patch centres.
    probe : Tensor
        (modes, N, N) complex; its intensity is the weight.
    shape : tuple of int
        (H, W) of the object.
    phase_iterations : int
        How often the phases of the patches are aligned.

    Returns
    -------
    object : Tensor
        (H, W) complex64; 1 where no light fell.
    coverage : Tensor
        (H, W) float32, the accumulated weight; one frame's peak counts as 1.
    halves : Tensor
        (2, H, W) complex64, the objects of the even and of the odd frames alone, to be correlated with each other.
    """
    weight = incoherent_sum(probe)[None, None]
    canvas = None
    for _ in range(phase_iterations + 1):
        totals = torch.zeros(2, *shape, dtype=torch.complex64, device=positions.device)
        coverages = torch.zeros(2, *shape, device=positions.device)
        first = 0
        for portion in patches():
            place = positions[None, first : first + len(portion)].float()
            parity = torch.arange(first, first + len(portion)) % 2
            portion, first = portion[None], first + len(portion)
            if canvas is not None:
                portion = portion * _phase_towards(extract_patches(canvas, place, portion.shape[-1]), portion, weight)
            for half in range(2):
                mine = parity == half
                if not mine.any():  # a portion of one frame
                    continue
                part, light = accumulate_patches(portion[:, mine], weight, place[:, mine], shape)
                totals[half] += part[0]
                coverages[half] += light[0]
        canvas = weighted_mean(totals.sum(dim=0), coverages.sum(dim=0))[None]
    return canvas[0], coverages.sum(dim=0), weighted_mean(totals, coverages)


def _phase_towards(target: Tensor, patches: Tensor, weight: Tensor) -> Tensor:
    """Unit factors (1, frames, 1, 1) that turn patches to the phase of their targets, by weighted least squares."""
    overlap = (target * patches.conj() * weight).sum(dim=(-2, -1), keepdim=True)
    return overlap / overlap.abs().clamp_min(1e-12)


def stitch_file(path: Path, phase_iterations: int = 0) -> Reconstruction:
    """Stitch the patches of a file that inference wrote.

    Raises
    ------
    InputError
        Where the file cannot be read or has a key missing.
    """
    started = time.perf_counter()
    try:
        with h5py.File(path, "r") as file:
            for key in ("patches", "positions", "held_out", "probe", "object_shape", "pixel_size"):
                if key not in file:
                    raise InputError(f"{path} has no {key}: expected patches written by infer.py")
            dataset = file["patches"]

            def portions() -> Iterable[Tensor]:
                for first in range(0, len(dataset), PATCHES_AT_ONCE):
                    yield torch.from_numpy(dataset[first : first + PATCHES_AT_ONCE])

            positions, probe = file["positions"][()], file["probe"][()]
            shape = tuple(int(length) for length in file["object_shape"])
            stitched = stitch(portions, torch.from_numpy(positions), torch.from_numpy(probe), shape, phase_iterations)
            canvas, coverage, halves = (array.numpy() for array in stitched)
            provenance = from_hdf5_attributes(file.attrs) | {
                "result": "reconstruction",
                "phase_iterations": phase_iterations,
                "stitching_seconds": time.perf_counter() - started,
                "finished": now(),
            }
            return Reconstruction(
                object=canvas,
                coverage=coverage,
                halves=halves,
                probe=probe,
                positions=positions,
                held_out=file["held_out"][()],
                pixel_size=float(file["pixel_size"][()]),
                provenance=provenance,
            )
    except OSError as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None
