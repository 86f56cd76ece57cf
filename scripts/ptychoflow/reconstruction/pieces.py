"""What inference leaves in a file, patches of single frames or tiles of the object, and its stitching."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ptychoflow.dataset.hdf5 import write_packed
from ptychoflow.errors import InputError
from ptychoflow.physics.tiles import ObjectTile
from ptychoflow.provenance.embedded import from_hdf5_attributes
from ptychoflow.provenance.record import now
from ptychoflow.reconstruction.file import BITS_OF_HALVES, Reconstruction
from ptychoflow.reconstruction.stitching import Portion, stitch

PATCHES_AT_ONCE = 1024
KEYS = ("frames", "frames_asked", "positions", "held_out", "trained", "probe", "object_shape", "pixel_size")
HALVES = ("even", "odd")
BITS = 16
"""Of the mantissa of a tile's object, which float32 transforms do not know to many more."""


def stitch_file(path: Path, phase_iterations: int = 0) -> Reconstruction:
    """Stitch the patches or tiles of a file that inference wrote.

    Raises
    ------
    InputError
        Where the file cannot be read or has a key missing.
    """
    started = time.perf_counter()
    with predicted_file(path) as file:
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
def predicted_file(path: Path) -> Iterator[h5py.File]:
    """Open a file of patches or tiles that inference wrote.

    Raises
    ------
    InputError
        Where the file cannot be read or has a key missing.
    """
    try:
        with h5py.File(path, "r") as file:
            for key in (*KEYS, "patches" if "tiles" not in file else "tiles"):
                if key not in file:
                    raise InputError(f"{path} has no {key}: expected patches or tiles written by infer.py")
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None


def portions_of(file: h5py.File) -> Iterator[Portion | ObjectTile]:
    """Read the tiles of a file one by one, or its patches a thousand at a time."""
    if "tiles" in file:
        yield from (_tile_of(file["tiles"][name]) for name in file["tiles"])
        return
    halves = file.get("half_patches")
    for first in range(0, len(file["patches"]), PATCHES_AT_ONCE):
        some = slice(first, first + PATCHES_AT_ONCE)
        yield Portion(
            torch.from_numpy(file["frames"][some]),
            torch.from_numpy(file["patches"][some]),
            None if halves is None else torch.from_numpy(halves[some]),
        )


def write_tile(group: h5py.Group, tile: ObjectTile) -> None:
    """Write a tile into a group of its own."""
    group["frames"] = tile.frames.cpu().numpy()
    _write_placed(group, tile.object, tile.corner, BITS)
    for name, half in zip(HALVES, tile.halves or (), strict=False):
        own = group.create_group(name)
        if half is not None:
            _write_placed(own, *half, BITS_OF_HALVES)


def _write_placed(group: h5py.Group, canvas: Tensor, corner: Tensor, bits: int) -> None:
    write_packed(group, "object", canvas.cpu().numpy(), bits)
    group["corner"] = corner.cpu().numpy()


def _tile_of(group: h5py.Group) -> ObjectTile:
    """Read what `write_tile` wrote."""

    def placed(group: h5py.Group) -> tuple[Tensor, Tensor] | None:
        if "object" not in group:
            return None
        return torch.from_numpy(group["object"][()]), torch.from_numpy(group["corner"][()])

    halves = tuple(placed(group[name]) for name in HALVES) if HALVES[0] in group else None
    return ObjectTile(torch.from_numpy(group["frames"][()]), *placed(group), halves)


def stitched_provenance(file: h5py.File, phase_iterations: int, seconds: float) -> dict[str, Any]:
    """What made a reconstruction, from what made its patches or tiles."""
    return from_hdf5_attributes(file.attrs) | {
        "result": "reconstruction",
        "phase_iterations": phase_iterations,
        "stitching_seconds": seconds,
        "finished": now(),
    }
