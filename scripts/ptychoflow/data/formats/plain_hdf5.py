"""Plain HDF5, whose datasets the settings name one by one."""

import numpy as np

from ptychoflow.data.formats.coordinates import paired_axes, places
from ptychoflow.data.formats.hdf5_source import HDF5Source, companion_path, hdf5_source, unless_stated
from ptychoflow.data.geometry import energy_of
from ptychoflow.data.ingest_settings import IngestSettings
from ptychoflow.data.raw_scan import RawScan
from ptychoflow.errors import InputError


def read_plain(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read the datasets that `settings.paths` names; what the file has not is looked for in the companion.

    Frames are photon counts with the zero frequency in the centre, positions metres or what their attribute ``units``
    says, unless the settings say otherwise.
    """
    paths = settings.paths
    if paths.frames is None or not paths.positions:
        raise InputError(
            f"the format hdf5 needs paths.frames and paths.positions: the file has {source.names('/')[:12]}"
        )
    if settings.companion is None:
        return _scan(source, source, settings)
    with hdf5_source(companion_path(source.path, settings.companion, "")) as second:
        return _scan(source, second, settings)


def _scan(source: HDF5Source, second: HDF5Source, settings: IngestSettings) -> RawScan:
    paths = settings.paths

    def holder(key: str) -> HDF5Source:
        return source if key in source else second

    def number(key: str | None, unit: str = "m") -> float | None:
        if key is not None and key not in holder(key):
            raise InputError(f"key {key} is missing: the file has {source.names('/')[:12]}")
        return None if key is None else holder(key).number(key, unit=unit)

    frames = holder(paths.frames).frames(paths.frames)
    coordinates = [holder(key).lengths(key, settings.positions.unit) for key in paths.positions]
    if len(coordinates) == 1:
        positions = places(coordinates[0], len(frames), f"key {paths.positions[0]}")
    else:
        positions = paired_axes(*coordinates, len(frames), frames.raster)
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
    )


def _probe(source: HDF5Source, key: str) -> np.ndarray:
    probe = source.probe(key)
    if probe is None:
        raise InputError(f"key {key} is missing: expected the probe")
    return probe


def _mask(source: HDF5Source, key: str, good_is: bool) -> np.ndarray:
    good = source.good(key, good_is)
    if good is None:
        raise InputError(f"key {key} is missing: expected a mask (H, W)")
    return good
