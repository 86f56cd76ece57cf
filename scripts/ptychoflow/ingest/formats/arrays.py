"""Numbers by their keys from files other than HDF5: archives of arrays, and files of one array, which have no units."""

import math
from pathlib import Path

import numpy as np

from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.numbers import only_number
from ptychoflow.ingest.formats.probes import probe_modes

TIFF_SIGNS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_BYTES = 2**31
"""Largest array, other than frames, that is read at once."""
MOST_PACKED = 4000
"""No compression packs images more tightly."""
NPY_SIGN = b"\x93NUM"


class ArraySource:
    """Arrays by their keys; what reads them is told by a class of each container.

    Parameters
    ----------
    path : Path
        The file.
    keys : set of str
        Names of its arrays.
    """

    lone = False
    """Whether it is one array and nothing else, under a key of our own."""

    def __init__(self, path: Path, keys: set[str]) -> None:
        self.path, self.keys = path, keys

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def names(self, key: str) -> list[str]:
        """Names of the arrays; there are no groups."""
        return sorted(self.keys)

    def _read(self, name: str) -> np.ndarray:
        raise NotImplementedError

    def _numbers(self, *names: str) -> np.ndarray:
        found = [name for name in names if name in self.keys]
        if not found:
            raise InputError(f"key {' or '.join(names)} is missing among {sorted(self.keys)}")
        try:
            value = self._read(found[0])
        except InputError:
            raise
        # Readers of damaged files raise anything.
        except Exception as error:
            raise InputError(f"key {found[0]} cannot be read: {error}") from None
        if not (np.issubdtype(value.dtype, np.number) or value.dtype == bool):
            raise InputError(f"key {found[0]} has dtype {value.dtype}: expected numbers")
        return value

    def array(self, *names: str) -> np.ndarray:
        """Read the first key that is there, as numbers without NaN."""
        value = self._numbers(*names)
        if not np.isfinite(value).all():
            raise InputError(
                f"key {' or '.join(names)} holds {np.count_nonzero(~np.isfinite(value))} NaN or infinite values: "
                "expected none"
            )
        return value

    def frames(self, *names: str) -> np.ndarray:
        """Real numbers of the first key that is there, among which NaN may mark gaps."""
        value = self._numbers(*names)
        if np.iscomplexobj(value):
            raise InputError(f"key {' or '.join(names)} has dtype {value.dtype}: expected real numbers")
        return value

    def chained(self, names: list[str], counts: set[int]) -> tuple[Frames, tuple[int, ...]]:
        """Frames (frames, H, W) of several keys one after another, and the axes that they have among themselves.

        Square frames may stand along the last axis, where that has as many as there are positions, one of `counts`.
        """
        parts = [self.frames(name) for name in names]
        for name, part in zip(names, parts, strict=True):
            if part.ndim < 3 or part.shape[-2:] != parts[0].shape[-2:] or part.dtype != parts[0].dtype:
                raise InputError(f"key {name} has shape {part.shape}, {part.dtype}: expected (frames, H, W), all alike")
        if len(parts) == 1 and parts[0].ndim == 3:
            height, width, last = parts[0].shape
            if height == width != last and last in counts and height not in counts:
                parts = [np.moveaxis(parts[0], -1, 0)]
        flat = [part if part.ndim == 3 else part.reshape(-1, *part.shape[-2:]) for part in parts]
        return (flat[0], parts[0].shape[:-2]) if len(parts) == 1 else (np.concatenate(flat), (sum(map(len, flat)),))

    def real(self, *names: str) -> np.ndarray:
        """As `array`, but real."""
        value = self.array(*names)
        if np.iscomplexobj(value):
            raise InputError(f"key {' or '.join(names)} has dtype {value.dtype}: expected real numbers")
        return value

    def lengths(self, name: str, unit: str) -> np.ndarray:
        """Lengths as they stand, float64; NaN may stand among them, for frames that are left out."""
        return self.frames(name).astype(np.float64)

    def number(self, name: str, unit: str = "m") -> float:
        """One number, in metres or electronvolts."""
        return only_number(self.real(name), name)

    def probe(self, name: str) -> np.ndarray:
        """Probe modes (modes, N, N) complex64; other leading axes must have length one."""
        return probe_modes(self.array(name))

    def good(self, name: str, good_is: bool) -> np.ndarray:
        """Good pixels (H, W) of a mask."""
        value = self.real(name)
        if value.ndim != 2:
            raise InputError(f"key {name} has shape {value.shape}: expected a mask (H, W)")
        return (value != 0) == good_is


class LoneArray(ArraySource):
    """A file of one array under a key of our own: .npy, a TIFF stack, or numbers as text, a position in each line."""

    lone = True

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(path, {key})

    def _read(self, name: str) -> np.ndarray:
        with open(self.path, "rb") as stream:
            beginning = stream.read(4)
        if is_stack(beginning):
            return stored_stack(self.path)
        text = self.path.read_text(encoding="utf-8")
        lines = [line.replace(",", " ").replace(";", " ") for line in text.splitlines()]
        return np.loadtxt(lines, ndmin=2)


def stored_stack(path: Path) -> np.ndarray:
    """Array of an .npy file, which is mapped, or of a TIFF file.

    Raises
    ------
    InputError
        Where it is neither, or no whole stack of images.
    """
    with open(path, "rb") as stream:
        beginning = stream.read(4)
    if not is_stack(beginning):
        raise InputError(f"{path} is of no known kind: expected .npy or TIFF")
    if beginning == NPY_SIGN:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    return _tiff(path)


def is_stack(beginning: bytes) -> bool:
    """Whether a file that begins so holds one array and nothing else."""
    return beginning in (NPY_SIGN, *TIFF_SIGNS)


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series
        if len(series) != 1:
            raise InputError(f"{path} holds {len(series)} series of images: expected one, of one shape and type")
        size, there = math.prod(series[0].shape) * series[0].dtype.itemsize, path.stat().st_size
        pages = [page for page in series[0].pages if page is not None]
        ends = [sum(last) for page in pages for last in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if series[0].dataoffset is not None:
            ends.append(series[0].dataoffset + size)
        if max(ends, default=0) > there or size > MOST_PACKED * there:
            raise InputError(f"{path} has shape {series[0].shape} and {there} bytes: expected a whole file")
        return series[0].asarray()
