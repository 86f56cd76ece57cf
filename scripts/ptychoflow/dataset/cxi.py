"""The canonical dataset file: CXI 1.6 (Maia, Nat. Methods 9, 854, 2012), one scan in one HDF5 file.

Detector, source, geometry and data groups stand where cdtools, Ptychodus and other readers of ptychographic CXI look
for them. The probe is ``image_1`` and the true object, if known, ``image_2``, as Ptychodus writes them. The group
``ptychoflow_1`` holds what CXI has no place for: positions in pixels of the object frame, that frame's shape, and what
of a simulation's probe and positions is wrong.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.deflated import create_deflated, write_deflated
from ptychoflow.dataset.frame_blocks import frame_blocks, narrowest_dtype
from ptychoflow.dataset.hdf5 import new_hdf5, read_rows
from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.dataset.stored_frames import StoredFrames
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.physics.geometry import JOULES, metres_from_centre, wavelength_of
from ptychoflow.provenance.embedded import from_hdf5_attributes, hdf5_attributes
from ptychoflow.provenance.record import circumstances, write_provenance

DETECTOR = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"
TRANSLATION = "entry_1/sample_1/geometry_1/translation"
OWN = "entry_1/ptychoflow_1"
BAD_PIXEL = 1
"""CXI marks good pixels by 0; bit 0 stands for an invalid pixel."""


def translations(positions: np.ndarray, object_shape: tuple[int, int], pixel_size: float) -> np.ndarray:
    """Turn positions (frames, 2) in pixels into CXI's translations (frames, 3) of x, y and z in metres."""
    # The sample moves against the light that wanders over it, and CXI's x and y point against columns and rows: of
    # both together, translations have the signs of the positions.
    rows, columns = metres_from_centre(positions, object_shape, pixel_size).T
    return np.stack([columns, rows, np.zeros(len(rows))], axis=1)


def write_cxi(path: Path, dataset: Dataset) -> None:
    """Write a dataset, whole or not at all.

    Parameters
    ----------
    path : Path
        The file to write.
    dataset : Dataset
        A validated dataset.
    """
    pixel = dataset.detector_pixel_size
    kind = counts_dtype(dataset.frames)
    with new_hdf5(path, size=kind.itemsize * int(np.prod(dataset.frames.shape))) as file:
        file["cxi_version"] = 160
        file["number_of_entries"] = 1
        detector, source, own = (file.create_group(name) for name in (DETECTOR, SOURCE, OWN))
        if not _write_frames(detector, dataset.frames, kind):
            del detector["data"]
            _write_frames(detector, dataset.frames, np.dtype(np.float32))
        frames = detector["data"]
        frames.attrs.update(units="photons", axes="translation:y:x", zero_frequency="centre")
        detector["mask"] = np.where(dataset.mask, 0, BAD_PIXEL).astype(np.uint32)
        detector["distance"] = dataset.detector_distance
        detector["x_pixel_size"] = detector["y_pixel_size"] = pixel
        detector["basis_vectors"] = np.array([[0, -pixel], [-pixel, 0], [0, 0]])
        detector["corner_position"] = np.array([1, 1, 0]) * pixel * dataset.size / 2 + [0, 0, dataset.detector_distance]
        source["energy"] = dataset.energy * JOULES
        source["wavelength"] = wavelength_of(dataset.energy)
        file[TRANSLATION] = translations(dataset.positions, dataset.object_shape, dataset.pixel_size)
        file["entry_1/data_1/data"] = h5py.SoftLink(f"/{DETECTOR}/data")
        file["entry_1/data_1/translation"] = h5py.SoftLink(f"/{TRANSLATION}")
        file["entry_1/image_1/data"] = dataset.probe
        file["entry_1/image_1/data"].attrs["description"] = "probe modes; the sum of |P|² is photons in the empty beam"
        if dataset.truth is not None:
            file["entry_1/image_2/data"] = dataset.truth
            file["entry_1/image_2/data"].attrs["description"] = "true object of a simulation"
        own["propagation"] = dataset.propagation
        if dataset.source_distance is not None:
            own["source_distance"] = dataset.source_distance
        own["positions"] = dataset.positions
        own["positions"].attrs.update(units="pixels", description="(row, column) of patch centres in the object frame")
        if dataset.true_positions is not None:
            own["true_positions"] = dataset.true_positions
            own["true_positions"].attrs.update(
                units="pixels", description="where the frames of a simulation were taken"
            )
        if dataset.true_probe is not None:
            own["true_probe"] = dataset.true_probe
            own["true_probe"].attrs["description"] = "modes that the frames of a simulation were taken with"
        if not dataset.probe_known:
            own["probe_known"] = False
        own["object_shape"] = np.array(dataset.object_shape)
        file.attrs.update(hdf5_attributes(dataset.provenance))


def counts_dtype(frames: np.ndarray | Frames) -> np.dtype:
    """Narrowest unsigned integers that hold frames (frames, N, N) as they are, or float32 where they are not whole.

    Of frames that are prepared as they are read, it is what their detector writes, which a few may exceed.
    """
    if not isinstance(frames, np.ndarray):
        return getattr(frames, "counts_dtype", np.dtype(np.float32))
    largest = 0.0
    for block in frame_blocks(frames):
        if not np.array_equal(frames[block], np.rint(frames[block])):
            return np.dtype(np.float32)
        largest = max(largest, float(frames[block].max()))
    return narrowest_dtype(largest)


def _write_frames(detector: h5py.Group, frames: np.ndarray | Frames, kind: np.dtype) -> bool:
    """Write frames block by block as numbers of a dtype; False where one exceeds what that holds."""
    data = create_deflated(detector, "data", frames.shape, kind)
    for block in frame_blocks(frames):
        counts = frames[block]
        if kind.kind == "u" and counts.max(initial=0) > np.iinfo(kind).max:
            return False
        write_deflated(data, block.start, counts.astype(kind, copy=False))
    return True


def keep_dataset(path: Path, dataset: Dataset, record: Path | None = None) -> None:
    """Write a validated dataset, and beside it, where asked for, the record of what made it and when.

    The record also says how many frames there are and how wide, for estimates of what it takes to work on them.
    """
    write_cxi(path, dataset)
    if record is not None:
        made = {"frames": dataset.frames.shape[:2], "data_sha256": sha256_of(path), **circumstances()}
        write_provenance(record, dataset.provenance | made)


def is_own(path: Path) -> bool:
    """Whether an HDF5 file is one that `write_cxi` wrote; False where it cannot be opened."""
    try:
        with h5py.File(path, "r") as file:
            return OWN in file
    # HDF5 answers damage with anything from OSError and KeyError to RuntimeError.
    except Exception:
        return False


def read_cxi(path: Path, frames_in_memory: int | None = None) -> Dataset:
    """Read a dataset that `write_cxi` wrote and validate it.

    Parameters
    ----------
    path : Path
        The file.
    frames_in_memory : int, optional
        Where there are more frames than that, they stay in the file, to be read and checked as they are wanted.

    Raises
    ------
    InputError
        Where the file is no HDF5 file, a key is missing, or a value cannot be right.
    """
    try:
        with h5py.File(path, "r") as file:
            known, off = "entry_1/image_2/data" in file, f"{OWN}/true_positions" in file
            cone, guessed = f"{OWN}/source_distance" in file, f"{OWN}/true_probe" in file
            stored = frames_in_memory is not None and _length(file, f"{DETECTOR}/data") > frames_in_memory
            dataset = Dataset(
                provenance=from_hdf5_attributes(file.attrs),
                frames=StoredFrames(path, f"{DETECTOR}/data") if stored else _frames(file),
                positions=_read(file, f"{OWN}/positions", np.float64),
                probe=_read(file, "entry_1/image_1/data", np.complex64),
                mask=_read(file, f"{DETECTOR}/mask", np.uint32) == 0,
                object_shape=_read(file, f"{OWN}/object_shape", tuple),
                energy=_read(file, f"{SOURCE}/energy", float) / JOULES,
                detector_distance=_read(file, f"{DETECTOR}/distance", float),
                detector_pixel_size=_read(file, f"{DETECTOR}/x_pixel_size", float),
                propagation=file[f"{OWN}/propagation"].asstr()[()] if f"{OWN}/propagation" in file else "far",
                source_distance=_read(file, f"{OWN}/source_distance", float) if cone else None,
                truth=_read(file, "entry_1/image_2/data", np.complex64) if known else None,
                true_positions=_read(file, f"{OWN}/true_positions", np.float64) if off else None,
                true_probe=_read(file, f"{OWN}/true_probe", np.complex64) if guessed else None,
                probe_known=bool(_read(file, f"{OWN}/probe_known", float)) if f"{OWN}/probe_known" in file else True,
            )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    # HDF5 answers damage with anything from OSError and KeyError to RuntimeError.
    except Exception as error:
        raise InputError(f"{path} cannot be read as an HDF5 file: {error}") from None
    return dataset.validate(str(path))


def _length(file: h5py.File, key: str) -> int:
    """Frames that a file holds; 0 where that cannot be told, which reading them will say."""
    data = file.get(key)
    return data.shape[0] if isinstance(data, h5py.Dataset) and data.ndim == 3 else 0


def _frames(file: h5py.File) -> np.ndarray:
    """All frames as float32, without those of the file's own dtype beside them."""
    data = file.get(f"{DETECTOR}/data")
    if isinstance(data, h5py.Dataset) and data.ndim == 3 and data.dtype.kind in "uif":
        return read_rows(data, np.arange(len(data)), np.dtype(np.float32))
    return _read(file, f"{DETECTOR}/data", np.float32)


def _read(file: h5py.File, key: str, kind: Callable | type) -> Any:
    if key not in file:
        raise InputError(f"key {key} is missing: expected a dataset written by simulate.py or ingest.py")
    try:
        value = np.asarray(file[key][()])
        if np.iscomplexobj(value) and kind is not np.complex64:
            raise TypeError(f"it has dtype {value.dtype}, expected real numbers")
        if kind is tuple:
            return tuple(int(length) for length in value)
        return kind(value) if kind is float else value.astype(kind)
    except (TypeError, ValueError) as error:
        raise InputError(f"key {key} cannot be used: {error}") from None
