"""From patches at scan positions to one object: sub-pixel, weighted by the probe, phases brought into agreement."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor

from ptychoflow.errors import InputError
from ptychoflow.physics.diffraction import incoherent_sum
from ptychoflow.physics.patches import accumulate_patches, extract_patches, weighted_mean
from ptychoflow.provenance.embedded import from_hdf5_attributes
from ptychoflow.provenance.record import now
from ptychoflow.reconstruction.file import Reconstruction

PATCHES_AT_ONCE = 1024
PATCH_KEYS = (
    *("patches", "frames", "frames_asked", "positions", "held_out", "trained", "probe", "object_shape", "pixel_size"),
)


class Portion(NamedTuple):
    """Some of the patches of a scan.

    Parameters
    ----------
    frames : Tensor
        (frames,) int64, numbers in the scan, which decide which frames are even.
    patches : Tensor
        (frames, N, N) complex64.
    half_patches : Tensor or None
        The same, reconstructed from the even or from the odd frames alone, where patches of all frames know of each
        other.
    """

    frames: Tensor
    patches: Tensor
    half_patches: Tensor | None = None


PatchSource = Callable[[], Iterable[Portion]]
"""Gives all patches anew at each call, portion by portion."""


def stitch(
    patches: PatchSource, positions: Tensor, probe: Tensor, shape: tuple[int, int], phase_iterations: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Average patches where they overlap.

    Diffraction does not tell the global phase of a patch, so single-shot patches may disagree in it. Each phase
    iteration turns every patch towards the object stitched so far and stitches again.

    Parameters
    ----------
    patches : PatchSource
        Gives all patches at each call.
    positions : Tensor
        (frames of the scan, 2) float, (row, column) pixels of the patch centres.
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
        (3, H, W) complex64, weighted sums for the object of the even frames, of the odd ones, and of all.
    coverages : Tensor
        (2, H, W) float32, accumulated weights of the even and of the odd frames.
    """

    totals: Tensor
    coverages: Tensor

    def __add__(self, other: "WeightedSums") -> "WeightedSums":
        return WeightedSums(self.totals + other.totals, self.coverages + other.coverages)

    @property
    def object(self) -> Tensor:
        """(H, W) complex64; 1 where no light fell."""
        return weighted_mean(self.totals[2], self.coverage)

    @property
    def coverage(self) -> Tensor:
        """(H, W) float32, the accumulated weight; one frame's peak counts as 1."""
        return self.coverages.sum(dim=0)

    @property
    def halves(self) -> Tensor:
        """(2, H, W) complex64, the objects of the even and of the odd frames alone."""
        return weighted_mean(self.totals[:2], self.coverages)


def add_up(
    portions: Iterable[Portion],
    positions: Tensor,
    probe: Tensor,
    shape: tuple[int, int],
    canvas: Tensor | None = None,
) -> WeightedSums:
    """Add up patches, each turned to the phase of an object where one is given.

    Parameters
    ----------
    portions : iterable of Portion
        The patches.
    positions : Tensor
        (frames of the scan, 2) float, pixels of their centres.
    probe : Tensor
        (modes, N, N) complex; its intensity is the weight.
    shape : tuple of int
        (H, W) of the object.
    canvas : Tensor, optional
        (H, W) complex64, the object whose phase the patches take.
    """
    weight = incoherent_sum(probe)[None, None]
    totals = torch.zeros(3, *shape, dtype=torch.complex64, device=positions.device)
    coverages = torch.zeros(2, *shape, device=positions.device)

    def turned(patches: Tensor, place: Tensor) -> Tensor:
        if canvas is None:
            return patches
        target = extract_patches(canvas[None], place, patches.shape[-1])
        return patches * _phase_towards(target, patches, weight)

    for frames, patches, half_patches in portions:
        if not len(frames):
            continue
        place = positions[None, frames].float()
        patches = turned(patches[None], place)
        own = patches if half_patches is None else turned(half_patches[None], place)
        for half in range(2):
            mine = frames % 2 == half
            if not mine.any():  # a portion of one frame
                continue
            part, light = accumulate_patches(own[:, mine], weight, place[:, mine], shape)
            totals[half] += part[0]
            coverages[half] += light[0]
        if half_patches is not None:
            totals[2] += accumulate_patches(patches, weight, place, shape)[0][0]
        else:
            totals[2] = totals[0] + totals[1]
    return WeightedSums(totals, coverages)


def _phase_towards(target: Tensor, patches: Tensor, weight: Tensor) -> Tensor:
    """Unit factors (1, frames, 1, 1) that turn patches to the phase of their targets, by weighted least squares."""
    overlap = (target * patches.conj() * weight).sum(dim=(-2, -1), keepdim=True)
    return overlap / overlap.abs().clamp_min(1e-12)


def coverage_of(probe: np.ndarray, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probe intensity accumulated over the scan, (H, W) float32, zero of no frames; one frame's peak counts as 1."""
    weight = incoherent_sum(torch.from_numpy(probe))[None, None]
    coverage = torch.zeros(shape)
    for places in torch.from_numpy(positions).float().split(512) if len(positions) else ():
        patches = torch.zeros(1, len(places), *probe.shape[1:], dtype=torch.complex64)
        coverage += accumulate_patches(patches, weight, places[None], shape)[1][0]
    return coverage.numpy()


def stitch_file(path: Path, phase_iterations: int = 0) -> Reconstruction:
    """Stitch the patches of a file that inference wrote.

    Raises
    ------
    InputError
        Where the file cannot be read or has a key missing.
    """
    started = time.perf_counter()
    with patch_file(path) as file:
        positions, held_out, trained, probe = (file[name][()] for name in ("positions", "held_out", "trained", "probe"))
        shape = tuple(int(length) for length in file["object_shape"])
        places, light = torch.from_numpy(positions), torch.from_numpy(probe)
        stitched = stitch(lambda: portions_of(file), places, light, shape, phase_iterations)
        canvas, coverage, halves = (array.numpy() for array in stitched)
        used = np.union1d(file["frames"][()], np.flatnonzero(held_out))
        if len(used) < file["frames_asked"][()]:  # of a part, which those that are held out may lie outside
            used = np.sort(file["frames"][()])
        return Reconstruction(
            object=canvas,
            coverage=coverage,
            halves=halves,
            probe=probe,
            positions=positions[used],
            held_out=held_out[used],
            trained=trained[used],
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


def portions_of(file: h5py.File) -> Iterator[Portion]:
    """Read the patches of a file, a thousand at a time."""
    halves = file.get("half_patches")
    for first in range(0, len(file["patches"]), PATCHES_AT_ONCE):
        some = slice(first, first + PATCHES_AT_ONCE)
        yield Portion(
            torch.from_numpy(file["frames"][some]),
            torch.from_numpy(file["patches"][some]),
            None if halves is None else torch.from_numpy(halves[some]),
        )


def stitched_provenance(file: h5py.File, phase_iterations: int, seconds: float) -> dict[str, Any]:
    """What made a reconstruction, from what made its patches."""
    return from_hdf5_attributes(file.attrs) | {
        "result": "reconstruction",
        "phase_iterations": phase_iterations,
        "stitching_seconds": seconds,
        "finished": now(),
    }
