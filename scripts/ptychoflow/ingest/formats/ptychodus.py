"""Ptychodus's ``diffraction.h5`` with ``product.h5``, and its training files that hold both.

Positions are metres, x along columns and y along rows; frames and positions belong together by their indexes.
"""

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.chained import ChosenFrames
from ptychoflow.ingest.formats.coordinates import paired_axes
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, companion_path, hdf5_source, unless_stated
from ptychoflow.settings.ingest import IngestSettings


def read_ptychodus(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read the patterns that have a position, in the order of the patterns.

    The product is the first file itself, the companion, or ``product.h5`` beside it.
    """
    if settings.companion is None and ("probe_position_x_m" in source or "probe_position_x_px" in source):
        return _scan(source, source, settings)
    with hdf5_source(companion_path(source.path, settings.companion, "product.h5")) as product:
        return _scan(source, product, settings)


def _scan(source: HDF5Source, product: HDF5Source, settings: IngestSettings) -> RawScan:
    frames, far = source.frames("patterns"), product.attribute("/", "far_field")
    if far is not None and not far and settings.propagation == "far":
        raise InputError("attribute far_field is false: expected the setting propagation near")
    in_pixels = "probe_position_x_px" in product
    unit = "px" if in_pixels else "m"
    columns, rows = (product.real(f"probe_position_{axis}_{unit}").reshape(-1) for axis in "xy")
    positions = paired_axes(rows, columns, len(frames))
    chosen, order = _rows(source, product, len(frames), len(positions))
    return RawScan(
        frames=frames if chosen is None else ChosenFrames(frames, chosen),
        positions=positions[order],
        positions_unit="pixels" if in_pixels else "metres",
        probe=product.probe("probe"),
        good=source.good("bad_pixels", good_is=False),
        energy=unless_stated(settings.stated_energy, lambda: _known(product, "photon_energy_eV", "probe_energy_eV")),
        detector_distance=unless_stated(
            settings.detector_distance, lambda: _known(product, "detector_object_distance_m", "detector_distance_m")
        ),
        detector_pixel_size=source.attribute_number("patterns", "detector_pixel_width_m"),
        companion=None if product is source else product.path,
        pixel_size=product.attribute_number("object", "pixel_width_m") or product.number("object_pixel_width_m"),
    )


def _known(product: HDF5Source, *names: str) -> float | None:
    """Take a positive attribute of the product, or a dataset of a training file; Ptychodus writes 0 for none."""
    value = product.attribute_number("/", *names)
    if value is None:
        value = product.number(*names)
    return value if value and value > 0 else None


def _rows(source: HDF5Source, product: HDF5Source, frames: int, positions: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Patterns that have a position, rising, or none where all have; and which position each of them has."""
    order = np.arange(positions)
    if "probe_position_indexes" not in product:
        return None, order
    wanted = product.real("probe_position_indexes").reshape(-1)
    have = source.real("indexes").reshape(-1) if "indexes" in source else np.arange(frames, dtype=np.float64)
    if len(wanted) != positions or len(have) != frames:
        raise InputError(
            f"{len(wanted)} indexes stand beside {positions} positions and {len(have)} beside {frames} patterns"
        )
    if len(np.unique(wanted)) < positions or len(np.unique(have)) < frames:
        raise InputError("an index of patterns or positions stands twice: expected each once")
    known, rows, order = np.intersect1d(have, wanted, assume_unique=True, return_indices=True)
    if not len(known):
        raise InputError("no index of a position is that of a pattern: expected files that belong together")
    rising = np.argsort(rows)
    rows, order = rows[rising], order[rising]
    return (None if len(rows) == frames else rows), order
