"""ptypy's ``.ptyd``: chunks of frames with positions (y, x) in metres, and the geometry, whose energy is in keV.

The file has no probe; a reconstruction ``.ptyr`` given as the companion lends its own.
"""

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.chained import ChainedFrames
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, companion_path, hdf5_source, unless_stated
from ptychoflow.settings.ingest import IngestSettings


def read_ptypy(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read all chunks in the order of their numbers; a pixel is good where its weight is not zero in any frame."""
    numbers = sorted((name for name in source.names("chunks") if name.isdecimal()), key=int)
    chunks = [f"chunks/{number}" for number in numbers if f"chunks/{number}/data" in source]
    if not chunks:
        raise InputError("key chunks holds no data: expected chunks/0/data")
    frames = ChainedFrames([source.frames(f"{chunk}/data") for chunk in chunks])
    if all(_is_array(source, f"{chunk}/positions") for chunk in chunks):
        positions = np.concatenate([_positions(source, f"{chunk}/positions") for chunk in chunks])
    else:
        positions = source.real("info/positions_scan", "info/positions_theory")
    pixels = source.real("meta/psize").reshape(-1) if _is_array(source, "meta/psize") else None
    return RawScan(
        frames=frames,
        positions=positions,
        positions_unit="metres",
        companion=None if settings.companion is None else source.path.parent / settings.companion,
        probe=_probe(source, settings),
        good=_good(source, chunks),
        energy=unless_stated(settings.stated_energy, lambda: source.number("meta/energy", unit="kev")),
        detector_distance=unless_stated(settings.detector_distance, lambda: source.number("meta/distance")),
        detector_pixel_size=None if pixels is None or not len(pixels) else float(pixels[0]),
    )


def _positions(source: HDF5Source, key: str) -> np.ndarray:
    positions = source.real(key)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise InputError(f"key {key} has shape {positions.shape}: expected (frames, 2)")
    return positions


def _is_array(source: HDF5Source, key: str) -> bool:
    """Whether there are numbers under a key; what ptypy has not, it writes as an empty group or a text."""
    item = source.item(key)
    return bool(getattr(item, "size", 0)) and item.dtype.kind in "iuf"


def _good(source: HDF5Source, chunks: list[str]) -> np.ndarray | None:
    keys = [f"{chunk}/weights" for chunk in chunks] + ["info/weight2d", "meta/weight2d"]
    masks = [source.good(key, good_is=True) for key in keys if getattr(source.item(key), "ndim", 0) in (2, 3)]
    if len({mask.shape for mask in masks}) > 1:
        raise InputError(f"weights have the shapes {sorted({mask.shape for mask in masks})}: expected one")
    return np.logical_and.reduce(masks) if masks else None


def _probe(source: HDF5Source, settings: IngestSettings) -> np.ndarray | None:
    if settings.companion is None:
        return None
    with hdf5_source(companion_path(source.path, settings.companion, "")) as second:
        storages = sorted(second.names("content/probe"))
        if not storages:
            raise InputError(f"{second.path.name} has no key content/probe: expected a reconstruction of ptypy")
        return second.probe(f"content/probe/{storages[0]}/data")
