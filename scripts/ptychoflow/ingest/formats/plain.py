"""Plain files of any container, whose arrays the settings name one by one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.raw_scan import Frames, RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.file_names import names_files
from ptychoflow.ingest.formats.arrays import ArraySource, LoneArray, is_stack
from ptychoflow.ingest.formats.coordinates import paired_axes, places
from ptychoflow.ingest.formats.file_lists import listed_frames
from ptychoflow.ingest.formats.hdf5_access import opened
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, companion_path, unless_stated
from ptychoflow.ingest.formats.matlab import MATLAB_SIGN, MatlabHDF5Source, MatlabSource
from ptychoflow.ingest.formats.npz import NpzSource
from ptychoflow.ingest.formats.zarr_store import ZarrSource, is_store
from ptychoflow.physics.geometry import energy_of
from ptychoflow.settings.ingest import IngestSettings

FRAMES, POSITIONS = "frames", "positions"
"""What the one array of a stack, or of a second file of one array, is called."""


def read_plain(source: HDF5Source | ArraySource, settings: IngestSettings) -> RawScan:
    """Read the datasets that `settings.paths` names; what the file has not is looked for in the companion.

    Frames are photon counts with the zero frequency in the centre, positions metres or what their attribute ``units``
    says, unless the settings say otherwise.
    """
    if settings.companion is None:
        return _scan(source, source, settings)
    with plain_source(companion_path(source.path, settings.companion, ""), POSITIONS) as second:
        return _scan(source, second, settings)


@contextmanager
def plain_source(path: Path, key: str) -> Iterator[HDF5Source | ArraySource]:
    """Open a file of any container; if it has one array and nothing else, under a key of its own."""
    if is_store(path):
        yield ZarrSource(path, key)
        return
    with open(path, "rb") as stream:
        beginning = stream.read(4)
    if h5py.is_hdf5(path):
        with opened(path) as file:
            yield (MatlabHDF5Source if beginning == MATLAB_SIGN else HDF5Source)(path, file)
    elif beginning == MATLAB_SIGN:
        yield MatlabSource(path)
    elif beginning.startswith((b"PK", b"BZh")):
        yield NpzSource(path)
    elif is_stack(beginning) or key == POSITIONS:
        yield LoneArray(path, key)
    else:
        raise InputError(f"{path} is of no known kind: expected HDF5, NPZ, Zarr, MATLAB, .npy or TIFF")


def _scan(source: HDF5Source | ArraySource, second: HDF5Source | ArraySource, settings: IngestSettings) -> RawScan:
    paths = settings.paths
    named = {
        FRAMES: paths.frames or ([FRAMES] if source.lone else []),
        POSITIONS: paths.positions or ([POSITIONS] if second.lone and second is not source else []),
    }
    for role, keys in named.items():
        if not keys:
            found = _contents(source, second)
            raise InputError(f"paths.frames and paths.positions are needed, and paths.{role} is not set: {found}")

    def holder(key: str) -> HDF5Source | ArraySource:
        if key in source:
            return source
        if second is not source and key not in second:
            raise InputError(f"key {key} is missing: {_contents(source, second)}")
        return second

    def number(key: str | None, unit: str = "m") -> float | None:
        if key is not None and key not in holder(key):
            raise InputError(f"key {key} is missing: the file has {source.names('/')[:12]}")
        return None if key is None else holder(key).number(key, unit=unit)

    coordinates = [holder(key).lengths(key, settings.positions.unit) for key in named[POSITIONS]]
    frames, raster, files = _frames(source, holder, named[FRAMES], _counts(coordinates))
    if len(coordinates) == 1:
        positions = places(coordinates[0], len(frames), f"key {named[POSITIONS][0]}")
    else:
        positions = paired_axes(*coordinates, len(frames), raster)
    marks = [(paths.mask, False), (paths.good, True)]
    masks = [_mask(holder(key), key, good_is) for key, good_is in marks if key is not None]

    def energy() -> float | None:
        wavelength = number(paths.wavelength)
        return energy_of(wavelength) if wavelength else number(paths.energy, "ev")

    return RawScan(
        frames=frames,
        positions=positions,
        positions_unit="metres",
        probe=None if paths.probe is None else _probe(holder(paths.probe), paths.probe),
        good=np.logical_and.reduce(masks) if masks else None,
        dark=None if paths.dark is None else holder(paths.dark).real(paths.dark),
        energy=unless_stated(settings.stated_energy, energy),
        detector_distance=unless_stated(settings.detector_distance, lambda: number(paths.detector_distance)),
        detector_pixel_size=unless_stated(settings.detector_pixel_size, lambda: number(paths.detector_pixel_size)),
        companion=None if second is source else second.path,
        files=files,
    )


def _contents(*files: HDF5Source | ArraySource) -> str:
    """What each file has at its top."""
    return " and ".join(
        f"{name} has {keys}" for name, keys in {file.path.name: file.names("/")[:12] for file in files}.items()
    )


def _frames(
    source: HDF5Source | ArraySource,
    holder: Callable[[str], HDF5Source | ArraySource],
    names: list[str],
    counts: set[int],
) -> tuple[Frames, tuple[int, ...], list[Path]]:
    """Frames, the axes that they have among themselves, and the files that they are in where that is a list."""
    listed = [name for name in names if names_files(name)]
    if not listed:
        return *holder(names[0]).chained(names, counts), []
    if len(listed) < len(names):
        raise InputError(f"paths.frames names {names}: expected files alone, or datasets alone")
    frames, files = listed_frames(listed, source.path.parent)
    return frames, frames.raster, files


def _counts(coordinates: list[np.ndarray]) -> set[int]:
    """How many frames there may be beside coordinates: as many, or as the axes of a raster cross."""
    if len(coordinates) == 1:
        return {coordinates[0].size // 2}
    return {coordinates[0].size, coordinates[0].size * coordinates[1].size}


def _probe(source: HDF5Source | ArraySource, key: str) -> np.ndarray:
    probe = source.probe(key)
    if probe is None:
        raise InputError(f"key {key} is missing: expected the probe")
    return probe


def _mask(source: HDF5Source | ArraySource, key: str, good_is: bool) -> np.ndarray:
    good = source.good(key, good_is)
    if good is None:
        raise InputError(f"key {key} is missing: expected a mask (H, W)")
    return good
