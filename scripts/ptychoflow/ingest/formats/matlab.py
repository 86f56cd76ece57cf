"""MATLAB's files, as MATLAB shows them: frames and probe modes along the last axis, unless only the first fits.

Files of versions 5 to 7 are read by scipy. Those of version 7.3 are HDF5 in which all axes are reversed.
"""

from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.arrays import ArraySource
from ptychoflow.ingest.formats.hdf5_access import HDF5Frames
from ptychoflow.ingest.formats.hdf5_source import HDF5Source
from ptychoflow.ingest.formats.probes import probe_modes

MATLAB_SIGN = b"MATL"


class MatlabSource(ArraySource):
    """Arrays of a file of version 5 to 7; those within a structure as ``structure/field``.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        Where it is no whole file.
    """

    def __init__(self, path: Path) -> None:
        from scipy import io

        try:
            names = {name for name, _, _ in io.whosmat(path)}
        # Readers of damaged files raise anything.
        except Exception as error:
            raise InputError(f"the MATLAB file is damaged ({error}): expected a whole file") from None
        super().__init__(path, names)

    def __contains__(self, key: str) -> bool:
        return key.split("/")[0] in self.keys

    def _read(self, name: str) -> np.ndarray:
        from scipy import io

        first, *inner = name.split("/")
        value = io.loadmat(self.path, variable_names=[first])[first]
        for field in inner:
            if not value.dtype.names or field not in value.dtype.names or value.size != 1:
                raise InputError(f"key {name} is missing: {first} has {value.dtype.names or value.dtype}")
            value = value[field].reshape(-1)[0]
        return np.asarray(value)

    def _numbers(self, *names: str) -> np.ndarray:
        self.keys |= {name for name in names if name in self}
        return super()._numbers(*names)

    def chained(self, names: list[str], counts: set[int]) -> tuple[Frames, tuple[int, ...]]:
        """As of any arrays, of frames that stand along their last axis."""
        parts = [self.frames(name) for name in names]
        for name, part in zip(names, parts, strict=True):
            _require_three(name, part.shape)
        frames = [part if _first_fits(part.shape, counts) else np.moveaxis(part, -1, 0) for part in parts]
        return frames[0] if len(frames) == 1 else np.concatenate(frames), (sum(map(len, frames)),)

    def probe(self, name: str) -> np.ndarray:
        """Probe modes (modes, N, N) complex64."""
        return _probe(self.array(name))


class MatlabHDF5Source(HDF5Source):
    """A file of version 7.3 that is open."""

    def numbers(self, *keys: str) -> np.ndarray:
        """As of any HDF5 file, with the axes that MATLAB shows."""
        return super().numbers(*keys).T

    def chained(self, keys: list[str], counts: set[int]) -> tuple[Frames, tuple[int, ...]]:
        """As of any HDF5 file, of frames that stand along MATLAB's last axis, which is the first of HDF5."""
        if len(keys) != 1 or isinstance(self.item(keys[0]), h5py.Group):
            raise InputError(f"paths.frames names {keys}: expected one array of a MATLAB file")
        stored = HDF5Frames(self.path, keys[0])
        shape = (*stored.shape[:0:-1], *stored.raster[::-1])
        _require_three(keys[0], shape)
        frames = self.numbers(keys[0]) if _first_fits(shape, counts) else TransposedFrames(stored)
        return frames, (len(frames),)

    def probe(self, *keys: str) -> np.ndarray | None:
        """Probe modes (modes, N, N) complex64; none where no key is there."""
        key = self.first(*keys)
        return None if key is None else _probe(self.array(key))


class TransposedFrames:
    """Frames (frames, H, W) of others (frames, W, H), transposed as they are read."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.shape = (frames.shape[0], frames.shape[2], frames.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return np.swapaxes(self.frames[index], 1, 2)


def _require_three(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise InputError(f"key {name} has shape {shape} in MATLAB: expected (H, W, frames)")


def _first_fits(shape: tuple[int, ...], counts: set[int]) -> bool:
    """Whether frames stand along the first axis, which alone has as many as there are positions."""
    return shape[-1] not in counts and shape[0] in counts


def _probe(probe: np.ndarray) -> np.ndarray:
    """Probe (modes, N, N) of (N, N), (N, N, modes), or (N, N, modes, coherent modes), of which the first counts."""
    probe = probe[..., 0] if probe.ndim == 4 else probe
    return probe_modes(np.moveaxis(probe, -1, 0) if probe.ndim == 3 else probe)
