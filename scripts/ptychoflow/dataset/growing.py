"""The canonical dataset file while a scan is being measured: one process writes frames, others follow (SWMR HDF5).

The layout is that of `ptychoflow.dataset.cxi`, so the finished file is a dataset like any other. Frames and positions
grow; a frame counts once both are there and, where the file has it, once the counter ``frames_written`` has passed it.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.dataset.cxi import DETECTOR, OWN, SOURCE, TRANSLATION, translations, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.physics.geometry import JOULES, pixel_at_sample

FRAMES, POSITIONS = f"{DETECTOR}/data", f"{OWN}/positions"
PROPAGATION = f"{OWN}/propagation"
REQUIRED = (FRAMES, f"{DETECTOR}/distance", f"{DETECTOR}/x_pixel_size", f"{SOURCE}/energy")
GROWING = (FRAMES, POSITIONS, TRANSLATION)
WRITTEN, PLANNED = f"{OWN}/frames_written", f"{OWN}/frames_planned"
POSITIONS_IN_CHUNK = 256


class GrowingScan:
    """A scan that grows while it is read.

    Parameters
    ----------
    path : Path
        CXI file; a finished one, which no process writes, will do as well.
    patience : float
        Seconds to wait for the file.

    Raises
    ------
    InputError
        Where no such file appears in that time, or a key is missing.
    """

    def __init__(self, path: Path, patience: float = 0.0) -> None:
        self.path = path
        self.file = self._opened(time.monotonic() + patience)
        self._frames = self.file[FRAMES]
        if self._frames.ndim != 3 or self._frames.shape[1] != self._frames.shape[2]:
            raise InputError(f"{path}: {FRAMES} has shape {self._frames.shape}: expected (frames, N, N)")
        if PROPAGATION in self.file and self.file[PROPAGATION].asstr()[()] != "far":
            raise InputError(f"{path}: {PROPAGATION} is near: expected a far field, which alone is shown live")
        self.in_pixels = POSITIONS in self.file
        self._places = self.file[POSITIONS if self.in_pixels else TRANSLATION]
        self._written = self.file.get(WRITTEN)

    def __enter__(self) -> "GrowingScan":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _opened(self, deadline: float) -> h5py.File:
        """Open the file once its writer has put everything in place."""
        while True:
            file = None
            try:
                file = self._tried()
                missing = [key for key in REQUIRED if key not in file]
                missing += [] if POSITIONS in file else [key for key in (TRANSLATION,) if key not in file]
                if not missing:
                    return file
                problem = f"key {missing[0]} is missing: expected a dataset as docs/live.md describes it"
            except OSError as error:
                problem = f"it cannot be read as an HDF5 file ({error})"
            if file is not None:
                file.close()
            if time.monotonic() >= deadline:
                raise InputError(f"{self.path}: {problem}")
            time.sleep(0.05)

    def _tried(self) -> h5py.File:
        try:
            return h5py.File(self.path, "r", libver="latest", swmr=True)
        except OSError:
            # Files of older HDF5 versions cannot grow under a reader's eyes, but they can be read.
            return h5py.File(self.path, "r")

    @property
    def size(self) -> int:
        """Edge length N of a frame in pixels."""
        return self._frames.shape[-1]

    @property
    def planned(self) -> int | None:
        """Frames that the whole scan is to have, where the file says so."""
        return int(self.file[PLANNED][()]) if PLANNED in self.file else None

    @property
    def geometry(self) -> dict[str, float]:
        """Energy, detector_distance and detector_pixel_size as `Dataset` takes them."""
        detector = self.file[DETECTOR]
        return {
            "energy": float(self.file[f"{SOURCE}/energy"][()]) / JOULES,
            "detector_distance": float(detector["distance"][()]),
            "detector_pixel_size": float(detector["x_pixel_size"][()]),
        }

    @property
    def pixel_size(self) -> float:
        """Pixel at the sample in metres, λ z / (N p)."""
        return pixel_at_sample(self.size, **self.geometry)

    @property
    def mask(self) -> np.ndarray:
        """(N, N) bool, True for good pixels; all of them where the file has no mask."""
        mask = self.file.get(f"{DETECTOR}/mask")
        return np.ones((self.size, self.size), dtype=bool) if mask is None else mask[()] == 0

    @property
    def probe(self) -> np.ndarray | None:
        """(modes, N, N) complex64, where the file has one."""
        probe = self.file.get("entry_1/image_1/data")
        return None if probe is None else probe[()].astype(np.complex64)

    @property
    def probe_known(self) -> bool:
        """Whether the probe is more than a disk in the place of one of which nothing is known."""
        known = f"{OWN}/probe_known"
        return self.probe is not None and (known not in self.file or bool(self.file[known][()]))

    @property
    def object_shape(self) -> tuple[int, int] | None:
        """(H, W) of the object frame that positions in pixels count in, where the file says so."""
        if not self.in_pixels or f"{OWN}/object_shape" not in self.file:
            return None
        height, width = self.file[f"{OWN}/object_shape"][()]
        return int(height), int(width)

    def available(self) -> int:
        """Ask the file how many frames are there by now, with their positions."""
        for dataset in (self._frames, self._places, *([] if self._written is None else [self._written])):
            dataset.refresh()
        return min(len(self._frames), len(self._places), *([] if self._written is None else [int(self._written[()])]))

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Read some of the available frames.

        Parameters
        ----------
        first, last : int
            Frame numbers, `last` excluded.

        Returns
        -------
        frames : ndarray
            (frames, N, N) float32, photon counts, zero frequency in the centre.
        positions : ndarray
            (frames, 2) float64, (row, column) pixels of the patch centres, about any origin where the file has them
            in metres alone.
        """
        frames = self._frames[first:last].astype(np.float32)
        places = self._places[first:last].astype(np.float64)
        return frames, places if self.in_pixels else places[:, 1::-1] / self.pixel_size


class GrowingFile:
    """Writes a scan frame by frame into a file that others may follow.

    Parameters
    ----------
    path : Path
        The file to write; what stands there is replaced.
    scan : Dataset
        Everything but the frames and positions that come later: at least one frame, which is not written.
    planned : int, optional
        Frames of the whole scan, so that who follows knows when it has ended.
    """

    def __init__(self, path: Path, scan: Dataset, planned: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder, "template.cxi")
            write_cxi(template, scan)
            self.file = h5py.File(path, "w", libver="latest")
            with h5py.File(template, "r") as source:
                for name in source:
                    source.copy(name, self.file)
                self.file.attrs.update(source.attrs)
        self._grown = {key: self._growing(key) for key in GROWING}
        self.file[WRITTEN] = 0
        if planned is not None:
            self.file[PLANNED] = planned
        self._pixel_size, self._object_shape = scan.pixel_size, scan.object_shape
        self.file.swmr_mode = True

    def __enter__(self) -> "GrowingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _growing(self, key: str) -> h5py.Dataset:
        """Put an empty dataset that can grow in the place of one of the template."""
        whole = self.file[key]
        attributes, shape = dict(whole.attrs), whole.shape[1:]
        options: dict[str, Any] = {"chunks": (POSITIONS_IN_CHUNK, *shape)}
        if key == FRAMES:
            options = {"chunks": whole.chunks, "compression": whole.compression}
            options |= {"compression_opts": whole.compression_opts, "shuffle": whole.shuffle}
        del self.file[key]
        # What comes need not be whole, or as small.
        kind = np.float32 if key == FRAMES else whole.dtype
        empty = self.file.create_dataset(key, (0, *shape), kind, maxshape=(None, *shape), **options)
        empty.attrs.update(attributes)
        return empty

    def append(self, frames: np.ndarray, positions: np.ndarray) -> None:
        """Add frames (frames, N, N), photon counts, at positions (frames, 2), pixels of the object frame."""
        translation = translations(positions, self._object_shape, self._pixel_size)
        for key, values in zip(GROWING, (frames, positions, translation), strict=True):
            dataset = self._grown[key]
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[len(dataset) - len(values) :] = values
            dataset.flush()
        # Last of all: a frame that is counted is whole.
        self.file[WRITTEN][()] = len(self._grown[FRAMES])
        self.file[WRITTEN].flush()


def replay(path: Path, dataset: Dataset, rate: float, frames_at_once: int = 1) -> None:
    """Write a dataset into a growing file as if it were being measured.

    Parameters
    ----------
    path : Path
        The file to write.
    dataset : Dataset
        The scan.
    rate : float
        Frames in a second.
    frames_at_once : int
        Frames that are written together.
    """
    started = time.monotonic()
    with GrowingFile(path, dataset, planned=len(dataset.frames)) as file:
        for first in range(0, len(dataset.frames), frames_at_once):
            last = min(first + frames_at_once, len(dataset.frames))
            time.sleep(max(0.0, started + last / rate - time.monotonic()))
            file.append(dataset.frames[first:last], dataset.positions[first:last])
