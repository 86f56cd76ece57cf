"""From patches at scan positions to one object: sub-pixel, weighted by the probe, phases brought into agreement."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
PATCH_KEYS = ("patches", "positions", "held_out", "probe", "object_shape", "pixel_size")

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
    canvas = None
    for _ in range(phase_iterations + 1):
        sums = add_up(patches(), positions, probe, shape, canvas)
        canvas = sums.object
    return canvas, sums.coverage, sums.halves


@dataclass
class WeightedSums:
    """Patches added up, before they are divided by the light: what parts of a scan can be merged by.

    Parameters
    ----------
    totals : Tensor
        (2, H, W) complex64, weighted sums of the even and of the odd frames.
    coverages : Tensor
        (2, H, W) float32, their accumulated weights.
    """

    totals: Tensor
    coverages: Tensor

    def __add__(self, other: "WeightedSums") -> "WeightedSums":
        return WeightedSums(self.totals + other.totals, self.coverages + other.coverages)

    @property
    def object(self) -> Tensor:
        """(H, W) complex64; 1 where no light fell."""
        return weighted_mean(self.totals.sum(dim=0), self.coverages.sum(dim=0))

    @property
    def coverage(self) -> Tensor:
        """(H, W) float32, the accumulated weight; one frame's peak counts as 1."""
        return self.coverages.sum(dim=0)

    @property
    def halves(self) -> Tensor:
        """(2, H, W) complex64, the objects of the even and of the odd frames alone."""
        return weighted_mean(self.totals, self.coverages)


def add_up(
    portions: Iterable[Tensor],
    positions: Tensor,
    probe: Tensor,
    shape: tuple[int, int],
    canvas: Tensor | None = None,
    first: int = 0,
) -> WeightedSums:
    """Add up patches, each turned to the phase of an object where one is given.

    Parameters
    ----------
    portions : iterable of Tensor
        Patches (frames, N, N) complex64.
    positions : Tensor
        (all frames, 2) float, pixels of their centres.
    probe : Tensor
        (modes, N, N) complex; its intensity is the weight.
    shape : tuple of int
        (H, W) of the object.
    canvas : Tensor, optional
        (H, W) complex64, the object whose phase the patches take.
    first : int
        Number of the first frame in the scan, which decides which frames are even.
    """
    weight = incoherent_sum(probe)[None, None]
    totals = torch.zeros(2, *shape, dtype=torch.complex64, device=positions.device)
    coverages = torch.zeros(2, *shape, device=positions.device)
    done = 0
    for portion in portions:
        place = positions[None, done : done + len(portion)].float()
        parity = torch.arange(first + done, first + done + len(portion)) % 2
        portion, done = portion[None], done + len(portion)
        if canvas is not None:
            target = extract_patches(canvas[None], place, portion.shape[-1])
            portion = portion * _phase_towards(target, portion, weight)
        for half in range(2):
            mine = parity == half
            if not mine.any():  # a portion of one frame
                continue
            part, light = accumulate_patches(portion[:, mine], weight, place[:, mine], shape)
            totals[half] += part[0]
            coverages[half] += light[0]
    return WeightedSums(totals, coverages)


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
    with patch_file(path) as file:
        positions, probe = (torch.from_numpy(file[name][()]) for name in ("positions", "probe"))
        shape = tuple(int(length) for length in file["object_shape"])
        stitched = stitch(lambda: portions_of(file), positions, probe, shape, phase_iterations)
        canvas, coverage, halves = (array.numpy() for array in stitched)
        return Reconstruction(
            object=canvas,
            coverage=coverage,
            halves=halves,
            probe=file["probe"][()],
            positions=file["positions"][()],
            held_out=file["held_out"][()],
            pixel_size=float(file["pixel_size"][()]),
            provenance=stitched_provenance(file, phase_iterations, time.perf_counter() - started),
        )


@contextmanager
def patch_file(path: Path) -> Iterator[h5py.File]:
    """Open a file of patches that inference wrote.

    Raises
    ------
    InputError
        Where the file cannot be read or has a key missing.
    """
    try:
        with h5py.File(path, "r") as file:
            for key in PATCH_KEYS:
                if key not in file:
                    raise InputError(f"{path} has no {key}: expected patches written by infer.py")
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None


def portions_of(file: h5py.File) -> Iterator[Tensor]:
    """Read the patches of a file, a thousand at a time."""
    dataset = file["patches"]
    for first in range(0, len(dataset), PATCHES_AT_ONCE):
        yield torch.from_numpy(dataset[first : first + PATCHES_AT_ONCE])


def stitched_provenance(file: h5py.File, phase_iterations: int, seconds: float) -> dict[str, Any]:
    """What made a reconstruction, from what made its patches."""
    return from_hdf5_attributes(file.attrs) | {
        "result": "reconstruction",
        "phase_iterations": phase_iterations,
        "stitching_seconds": seconds,
        "finished": now(),
    }
