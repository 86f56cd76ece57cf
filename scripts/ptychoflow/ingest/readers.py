"""One door for all formats: which one a file has is told by its content, then a reader of `formats` reads it."""

import logging
from dataclasses import fields
from pathlib import Path

import h5py

from ptychoflow.dataset.cxi import read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.arrays import is_stack
from ptychoflow.ingest.formats.matlab import MATLAB_SIGN
from ptychoflow.ingest.formats.npz import NpzSource
from ptychoflow.ingest.formats.plain import read_plain
from ptychoflow.ingest.formats.ptychopinn import read_ptychopinn
from ptychoflow.ingest.formats.tike import read_tike
from ptychoflow.ingest.formats.zarr_store import is_store
from ptychoflow.ingest.ingestion import ingest
from ptychoflow.ingest.inspection import inspect
from ptychoflow.ingest.rehearsal import is_ours, rehearse
from ptychoflow.running.warnings_kept import warnings_kept
from ptychoflow.settings.ingest import IngestSettings

log = logging.getLogger(__name__)

__all__ = ["IngestSettings", "read_dataset"]

NPZ_READERS = {"tike": read_tike, "ptychopinn": read_ptychopinn, "npz": read_plain}
NPZ_SIGNS = {"tike": ("data", "probe", "scan"), "ptychopinn": ("probeGuess",)}
"""Keys by which NPZ formats are known, in this order."""


def read_dataset(
    path: Path,
    settings: IngestSettings | None = None,
    frames_in_memory: int | None = None,
    examined: bool = True,
) -> Dataset:
    """Read and validate a dataset of any known format.

    What is doubtful about a foreign one is logged as a warning, and kept as ``warnings`` in its provenance.

    Parameters
    ----------
    path : Path
        A CXI file of PtychoFlow, or a file of another tool, as docs/formats.md lists them.
    settings : IngestSettings, optional
        What the file does not say about itself.
    frames_in_memory : int, optional
        Where a file holds more frames than that, they stay as they are until they are wanted.
    examined : bool
        Whether a foreign one is inspected for what looks wrong, beside what reading it brings to light.

    Raises
    ------
    InputError
        Where the file cannot be read, is of no known format, or holds something that cannot be right.
    """
    settings, path = settings or IngestSettings(), Path(path)
    store, packed = is_store(path), False
    if path.is_dir() and not store:
        raise InputError(f"{path} is a folder, and no Zarr store: expected a file, or a pattern of them (paths.frames)")
    try:
        if not store:
            with open(path, "rb") as stream:
                beginning = stream.read(4)
            packed = not (is_stack(beginning) or beginning == MATLAB_SIGN or h5py.is_hdf5(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if packed and not beginning.startswith((b"PK", b"BZh")):
        raise InputError(
            f"{path}: neither an HDF5 nor a whole NPZ, NPY, TIFF or MATLAB file, nor a Zarr store: expected one of the "
            "formats of docs/formats.md"
        )
    try:
        with warnings_kept() as sentences:
            reader = _from_npz if packed else _from_hdf5
            dataset = reader(path, settings, frames_in_memory)
            if examined and (packed or not is_ours(path, settings)):
                for sentence in inspect(dataset)[1]:
                    log.warning("%s: %s", path, sentence)
    except InputError as error:
        message = " ".join(str(error).split())
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    if sentences:
        # A record does not hang on where the file lies.
        kept = [sentence.removeprefix(f"{path}: ") for sentence in sentences]
        dataset.provenance = dataset.provenance | {"warnings": kept}
    return dataset


def _from_npz(path: Path, settings: IngestSettings, frames_in_memory: int | None) -> Dataset:
    source = NpzSource(path)
    name = settings.format
    if name not in ("auto", *NPZ_READERS):
        raise InputError(f"an NPZ file: expected the format {name}")
    if name == "auto" and settings.paths.frames:
        name = "npz"
    elif name == "auto":
        name = next((format for format, signs in NPZ_SIGNS.items() if source.keys.issuperset(signs)), None)
    if name is None:
        raise InputError(
            f"keys {sorted(source.keys)} are of no known format: expected diffraction, probeGuess, xcoords, ycoords of "
            "PtychoPINN, data, probe, scan of tike, or the names of others as paths"
        )
    return ingest(NPZ_READERS[name](source, settings), settings, str(path), frames_in_memory)


def _from_hdf5(path: Path, settings: IngestSettings, frames_in_memory: int | None) -> Dataset:
    if settings.format in NPZ_READERS:
        kind = "a Zarr store" if is_store(path) else "an HDF5 file" if h5py.is_hdf5(path) else "a stack of frames"
        raise InputError(f"{kind}: expected the format {settings.format}")
    seen = rehearse(path, settings)
    if is_ours(path, settings):
        _refuse_settings(settings)
        return read_cxi(path, frames_in_memory)
    # Only foreign files need the filters that detectors pack with, and the package that has them.
    from ptychoflow.ingest.formats.hdf5 import read_hdf5

    return ingest(read_hdf5(path, settings), settings, str(path), frames_in_memory, seen)


def _refuse_settings(settings: IngestSettings) -> None:
    """Refuse what would have changed a dataset of our own: it says all about itself, and is taken as it is."""
    usual = IngestSettings()
    changed = [
        key.name
        for key in fields(settings)
        if key.name != "format" and getattr(settings, key.name) != getattr(usual, key.name)
    ]
    if changed:
        raise InputError(
            f"a dataset of PtychoFlow, prepared before: expected no settings beside it, found {', '.join(changed)}"
        )
