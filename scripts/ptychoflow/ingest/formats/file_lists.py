"""Frames of one scan in several files, without a master that names them."""

from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.ingest.file_names import listed_files
from ptychoflow.ingest.formats.arrays import stored_stack
from ptychoflow.ingest.formats.chained import ChainedFrames
from ptychoflow.ingest.formats.hdf5_source import hdf5_source


def listed_frames(names: list[str], folder: Path) -> tuple[ChainedFrames, list[Path]]:
    """Frames of several files one after another, which are opened as they are asked for; and those files.

    Raises
    ------
    InputError
        Where a file is missing, cannot be read, or holds frames of another shape than the others.
    """
    files = listed_files(names, folder)
    return ChainedFrames([_frames(path, key) for path, key in files]), [path for path, _ in files]


def _frames(path: Path, key: str) -> Frames:
    try:
        if not key:
            return StackFrames(path)
        if not h5py.is_hdf5(path):
            raise InputError("no whole HDF5 file: expected one")
        with hdf5_source(path) as source:
            return source.frames(key)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


class StackFrames:
    """Frames of a stack, .npy or TIFF, that is opened each time; a single image is one frame.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        frames = self._read()
        if frames.ndim != 3 or frames.dtype.kind not in "buif":
            raise InputError(f"shape {frames.shape}, {frames.dtype}: expected (frames, H, W) or (H, W) real numbers")
        self.shape, self.dtype = frames.shape, frames.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        frames = self._read()
        if frames.shape != self.shape:
            raise InputError(f"{self.path} has another shape than before: expected a file at rest")
        return np.asarray(frames[index])

    def _read(self) -> np.ndarray:
        try:
            frames = stored_stack(self.path)
        except InputError:
            raise
        # Readers of damaged files raise anything.
        except Exception as error:
            raise InputError(f"{self.path} cannot be read: {error}") from None
        return frames[None] if frames.ndim == 2 else frames
