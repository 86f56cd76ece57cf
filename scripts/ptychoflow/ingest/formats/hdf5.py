"""Which HDF5 format a foreign file has, and its reader."""

from collections.abc import Callable
from pathlib import Path

import h5py

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.cxi import read_cxi
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, hdf5_source
from ptychoflow.ingest.formats.plain import FRAMES, plain_source, read_plain
from ptychoflow.ingest.formats.ptychodus import read_ptychodus
from ptychoflow.ingest.formats.ptychoshelves import read_ptychoshelves
from ptychoflow.ingest.formats.ptylab import read_ptylab
from ptychoflow.ingest.formats.ptypy import read_ptypy
from ptychoflow.settings.ingest import IngestSettings

READERS: dict[str, Callable[[HDF5Source, IngestSettings], RawScan]] = {
    "ptychoshelves": read_ptychoshelves,
    "ptypy": read_ptypy,
    "ptychodus": read_ptychodus,
    "ptylab": read_ptylab,
    "cxi": read_cxi,
}
"""Readers of HDF5 formats by name."""
SIGNS = {
    "ptychoshelves": {"dp"},
    "ptypy": {"chunks", "meta"},
    "ptychodus": {"patterns"},
    "ptylab": {"ptychogram"},
    "cxi": {"entry_1"},
}
"""Keys by which they are known, in this order; plain HDF5 must be named."""


def read_hdf5(path: Path, settings: IngestSettings) -> RawScan:
    """Read a foreign HDF5 file of any format, or a stack of frames beside which one may stand.

    Raises
    ------
    InputError
        Where it is of no known format, or holds something that cannot be right.
    """
    if not h5py.is_hdf5(path):
        with plain_source(path, FRAMES) as source:
            return read_plain(source, settings)
    with hdf5_source(path) as source:
        names, name = source.names("/"), settings.format
        if name == "auto" and settings.paths.frames:
            name = "hdf5"
        elif name == "auto":
            name = next((format for format, signs in SIGNS.items() if signs.issubset(names)), None)
        if name is None:
            raise InputError(
                f"keys {sorted(names)[:12]} are of no known format: expected one of docs/formats.md, or the format "
                "hdf5 with the paths of its datasets"
            )
        if name != "hdf5":
            return READERS[name](source, settings)
    with plain_source(path, FRAMES) as source:
        return read_plain(source, settings)
