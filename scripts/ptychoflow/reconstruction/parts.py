"""A scan reconstructed in parts: each is stitched by itself, and the sums are merged into the very same image.

Patches take the phase of the object stitched so far. So each round of that is stitched in parts and merged before the
next one begins: the files are ``sums`` of a part, and reconstructions that hold the object of a round.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import torch

from ptychoflow.dataset.hdf5 import new_hdf5
from ptychoflow.errors import InputError
from ptychoflow.provenance.embedded import from_hdf5_attributes, hdf5_attributes
from ptychoflow.provenance.record import now
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction
from ptychoflow.reconstruction.pieces import portions_of, predicted_file
from ptychoflow.reconstruction.stitching import WeightedSums, add_up

COPIED = ("frames", "frames_asked", "positions", "held_out", "trained", "probe", "pixel_size")


def part_of(name: str, pieces: int) -> slice:
    """Which of some pieces make up a part named as Snakemake names it, ``2-of-8``, counted from 1; maybe none.

    Raises
    ------
    InputError
        Where the name is no part.
    """
    match = re.fullmatch(r"(\d+)-of-(\d+)", name)
    number, count = (int(text) for text in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"part is {name}: expected one such as 2-of-8")
    return slice((number - 1) * pieces // count, number * pieces // count)


def stitch_part(patches: Path, output: Path, previous: Path | None = None) -> None:
    """Add up the patches or tiles of one part.

    Parameters
    ----------
    patches : Path
        HDF5 file that infer.py wrote for the part.
    output : Path
        HDF5 file of sums to write.
    previous : Path, optional
        Reconstruction of the round before, whose phase the patches take.
    """
    started = time.perf_counter()
    canvas = None if previous is None else torch.from_numpy(read_reconstruction(previous).object)
    with predicted_file(patches) as file:
        positions, probe = (torch.from_numpy(file[name][()]) for name in ("positions", "probe"))
        shape = tuple(int(length) for length in file["object_shape"])
        sums = add_up(portions_of(file), positions, probe, shape, canvas)
        with new_hdf5(output) as written:
            written["totals"], written["coverages"] = sums.totals.numpy(), sums.coverages.numpy()
            for name in COPIED:
                written[name] = file[name][()]
            written["seconds"] = time.perf_counter() - started
            written.attrs.update(hdf5_attributes(from_hdf5_attributes(file.attrs)))


def merge_parts(sums: Iterable[Path], phase_iterations: int) -> Reconstruction:
    """Merge the sums of all parts into a reconstruction.

    Parameters
    ----------
    sums : iterable of Path
        Files that `stitch_part` wrote, of one round.
    phase_iterations : int
        Which round that is.

    Raises
    ------
    InputError
        Where a file cannot be read, or parts are missing.
    """
    merged, parts, provenance = None, [], {}
    for path in sums:
        try:
            with h5py.File(path, "r") as file:
                part = {name: file[name][()] for name in (*COPIED, "totals", "coverages", "seconds")}
                provenance = from_hdf5_attributes(file.attrs)
        except (OSError, KeyError) as error:
            raise InputError(f"{path} cannot be read as sums of a part ({error}): expected stitch_part.py's") from None
        own = WeightedSums(torch.from_numpy(part.pop("totals")), torch.from_numpy(part.pop("coverages")))
        merged = own if merged is None else merged + own
        parts.append(part | {"inference_seconds": provenance.get("inference_seconds", 0.0)})
    used = np.union1d(np.concatenate([part["frames"] for part in parts]), np.flatnonzero(parts[0]["held_out"]))
    missing = np.setdiff1d(np.arange(parts[0]["frames_asked"]), used)
    if len(missing):
        raise InputError(f"frame {missing[0]} is in no part, nor are {len(missing) - 1} others: expected all parts")
    return Reconstruction(
        object=merged.object.numpy(),
        coverage=merged.coverage.numpy(),
        halves=merged.halves.numpy(),
        probe=parts[0]["probe"],
        positions=parts[0]["positions"][used],
        held_out=parts[0]["held_out"][used],
        trained=parts[0]["trained"][used],
        pixel_size=float(parts[0]["pixel_size"]),
        provenance=provenance
        | {
            "result": "reconstruction",
            "parts": len(parts),
            "phase_iterations": phase_iterations,
            "inference_seconds": sum(part["inference_seconds"] for part in parts),
            "stitching_seconds": sum(float(part["seconds"]) for part in parts),
            "finished": now(),
        },
    )
