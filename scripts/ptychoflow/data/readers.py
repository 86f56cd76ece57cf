"""Readers of other formats: the NPZ files of PtychoPINN and of tike, told apart by their content.

Nothing here unpickles: an array of Python objects is refused unless it is a key that is not needed.
"""

import bz2
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ptychoflow.data.cxi import read_cxi
from ptychoflow.data.dataset import Dataset, object_frame
from ptychoflow.errors import InputError

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass
class IngestSettings:
    """What a foreign file does not say about itself.

    Parameters
    ----------
    format : {"auto", "ptychopinn", "tike", "cxi"}
        Format of the file, or found by content.
    quantity : {"default", "amplitude", "intensity"}
        What the frames hold; by default amplitudes in PtychoPINN files and photon counts in tike files.
    zero_frequency : {"default", "centre", "corner"}
        Where the direct beam falls; by default the centre in PtychoPINN files and the corner in tike files.
    flux : float, optional
        Photons in the empty beam, to which the probe is scaled; if not given, the brightest frame's, which is right
        for a sample with a clear spot in the field.
    energy : float
        Photon energy in electronvolts, where the file has none.
    detector_distance : float
        Metres, where the file has none.
    detector_pixel_size : float
        Metres, where the file has none.
    propagation : {"far", "near"}
        Whether frames are far fields or, behind a short distance, near ones (Fresnel's), where the file does not say.
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample; the beam of a near field is parallel if not given.
    """

    format: Literal["auto", "ptychopinn", "tike", "cxi"] = "auto"
    quantity: Literal["default", "amplitude", "intensity"] = "default"
    zero_frequency: Literal["default", "centre", "corner"] = "default"
    flux: float | None = None
    energy: float = 8000.0
    detector_distance: float = 1.0
    detector_pixel_size: float = 75e-6
    propagation: Literal["far", "near"] = "far"
    source_distance: float | None = None

    def __post_init__(self) -> None:
        if self.flux is not None and not 0 < self.flux < float("inf"):
            raise InputError(f"flux is {self.flux}: expected a positive number of photons")


def read_dataset(path: Path, settings: IngestSettings | None = None) -> Dataset:
    """Read and validate a dataset of any known format.

    Parameters
    ----------
    path : Path
        A CXI file of PtychoFlow, or an NPZ file of PtychoPINN or tike; either NPZ may be packed by bzip2.
    settings : IngestSettings, optional
        What the file does not say about itself.

    Raises
    ------
    InputError
        Where the file cannot be read, is of no known format, or holds something that cannot be right.
    """
    settings, path = settings or IngestSettings(), Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith(HDF5_SIGNATURE):
        if settings.format not in ("auto", "cxi"):
            raise InputError(f"{path} is an HDF5 file: expected the format {settings.format}")
        return read_cxi(path)
    try:
        arrays = _open_npz(content)
        name = _format_of(arrays, settings.format)
        return READERS[name](arrays, settings).validate(str(path))
    except InputError as error:
        message = " ".join(str(error).split())
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _open_npz(content: bytes) -> np.lib.npyio.NpzFile:
    if content.startswith(b"BZh"):
        try:
            content = bz2.decompress(content)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"the bzip2 packing is damaged ({error}): expected a whole file") from None
    if not (content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content))):
        raise InputError("neither an HDF5 nor a whole NPZ file: expected CXI, or NPZ of PtychoPINN or tike")
    try:
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
    # Parsers of damaged archives raise anything from struct.error to NotImplementedError.
    except Exception as error:
        raise InputError(f"the NPZ file is damaged ({error}): expected a whole file") from None
    twice = sorted(name for name in set(arrays.files) if arrays.files.count(name) > 1)
    if twice:
        raise InputError(f"key {twice[0]} stands twice in the NPZ file: expected each once")
    return arrays


def _format_of(arrays: np.lib.npyio.NpzFile, named: str) -> str:
    keys = set(arrays.files)
    if named == "cxi":
        raise InputError("an NPZ file: expected the format cxi")
    if named != "auto":
        return named
    if {"data", "probe", "scan"} <= keys:
        return "tike"
    if "probeGuess" in keys:
        return "ptychopinn"
    raise InputError(
        f"keys {sorted(keys)} are of no known format: expected diffraction, probeGuess, xcoords, ycoords of PtychoPINN "
        "or data, probe, scan of tike"
    )


def _array(arrays: np.lib.npyio.NpzFile, *names: str) -> np.ndarray:
    """Read the first key that is there, as numbers without NaN."""
    found = [name for name in names if name in arrays.files]
    if not found:
        raise InputError(f"key {' or '.join(names)} is missing among {sorted(arrays.files)}")
    try:
        value = arrays[found[0]]
    except Exception as error:
        raise InputError(f"key {found[0]} cannot be read: {error}") from None
    if not (np.issubdtype(value.dtype, np.number) or value.dtype == bool):
        raise InputError(f"key {found[0]} has dtype {value.dtype}: expected numbers")
    if not np.isfinite(value).all():
        raise InputError(
            f"key {found[0]} holds {np.count_nonzero(~np.isfinite(value))} NaN or infinite values: expected none"
        )
    return value


def _real_array(arrays: np.lib.npyio.NpzFile, *names: str) -> np.ndarray:
    value = _array(arrays, *names)
    if np.iscomplexobj(value):
        raise InputError(f"key {' or '.join(names)} has dtype {value.dtype}: expected real numbers")
    return value


def read_ptychopinn(arrays: np.lib.npyio.NpzFile, settings: IngestSettings) -> Dataset:
    """Read a PtychoPINN file: ``diffraction`` (n, N, N), or (N, N, n) as older files have it, ``probeGuess``,
    ``xcoords``, ``ycoords`` in pixels, and ``objectGuess`` if it matches the positions; other keys are not read.
    """
    probe = _probe_modes(_array(arrays, "probeGuess"))
    frames = _frames_first(_real_array(arrays, "diffraction", "diff3d"), len(probe[0]))
    columns, rows = _real_array(arrays, "xcoords"), _real_array(arrays, "ycoords")
    for name, coordinates in (("xcoords", columns), ("ycoords", rows)):
        if coordinates.shape != (len(frames),):
            raise InputError(
                f"{name} has shape {coordinates.shape}: expected ({len(frames)},) beside {len(frames)} frames"
            )
    offsets = np.stack([rows, columns], axis=1).astype(np.float64)
    counts = _photon_counts(frames, settings, quantity="amplitude", zero_frequency="centre")
    positions, shape = object_frame(offsets, frames.shape[-1])
    truth = None
    if "objectGuess" in arrays.files:
        given = _array(arrays, "objectGuess").astype(np.complex64)
        half = frames.shape[-1] / 2
        # Coordinates count from the corner of the guess where the guess was scanned; a placeholder guess is left out.
        inside = given.ndim == 2 and (offsets >= half).all() and (offsets <= np.array(given.shape) - half).all()
        if inside and np.ptp(np.abs(given)) > 0:
            positions, shape, truth = offsets, given.shape, given
    return _dataset(counts, positions, shape, probe, settings, truth)


def read_tike(arrays: np.lib.npyio.NpzFile, settings: IngestSettings) -> Dataset:
    """Read a tike file: ``data`` (…, n, N, N) counts, ``probe`` (…, modes, N, N), ``scan`` (…, n, 2) (row, column)
    pixels of any origin; leading axes of length one are dropped.
    """
    frames, scan = (_real_array(arrays, name) for name in ("data", "scan"))
    probe = _probe_modes(_array(arrays, "probe"))
    if frames.ndim < 3 or frames.size != np.prod(frames.shape[-3:]) or scan.size != np.prod(scan.shape[-2:]):
        raise InputError(
            f"data has shape {frames.shape} and scan {scan.shape}: expected one scan, (n, N, N) and (n, 2)"
        )
    frames, scan = frames.reshape(frames.shape[-3:]), scan.reshape(scan.shape[-2:]).astype(np.float64)
    if scan.shape != (len(frames), 2):
        raise InputError(f"scan has shape {scan.shape}: expected ({len(frames)}, 2) beside {len(frames)} frames")
    counts = _photon_counts(frames, settings, quantity="intensity", zero_frequency="corner")
    positions, shape = object_frame(scan, frames.shape[-1])
    return _dataset(counts, positions, shape, probe, settings, None)


READERS: dict[str, Callable[[np.lib.npyio.NpzFile, IngestSettings], Dataset]] = {
    "ptychopinn": read_ptychopinn,
    "tike": read_tike,
}
"""Readers of NPZ formats by name."""


def _frames_first(frames: np.ndarray, size: int) -> np.ndarray:
    """Bring frames (n, N, N) or (N, N, n) into the first order; the probe's size tells N."""
    if frames.ndim == 3 and frames.size > 0:
        if frames.shape[1:] == (size, size):
            return frames
        if frames.shape[:2] == (size, size):
            return np.moveaxis(frames, 2, 0)
    raise InputError(
        f"diffraction has shape {frames.shape}: expected (n, {size}, {size}) beside a probe of {size} pixels"
    )


def _probe_modes(probe: np.ndarray) -> np.ndarray:
    """Drop leading axes of length one and keep one for the modes, (modes, N, N) complex64."""
    if probe.ndim < 2 or probe.shape[-1] != probe.shape[-2] or probe.size == 0:
        raise InputError(f"the probe has shape {probe.shape}: expected (N, N) or (modes, N, N)")
    modes = probe.shape[-3] if probe.ndim > 2 else 1
    if probe.size != modes * probe.shape[-1] ** 2:
        raise InputError(f"the probe has shape {probe.shape}: expected (N, N) or (modes, N, N)")
    return probe.reshape(modes, *probe.shape[-2:]).astype(np.complex64)


def _photon_counts(frames: np.ndarray, settings: IngestSettings, quantity: str, zero_frequency: str) -> np.ndarray:
    """Turn frames into photon counts with the zero frequency in the centre, (n, N, N) float32."""
    kind = quantity if settings.quantity == "default" else settings.quantity
    place = zero_frequency if settings.zero_frequency == "default" else settings.zero_frequency
    if frames.size == 0:
        raise InputError(f"frames have shape {frames.shape}: expected at least one frame")
    if frames.min() < 0:
        raise InputError(f"frames hold values down to {frames.min():g}: expected none below 0")
    frames = frames.astype(np.float32)
    if place == "corner":
        frames = np.fft.fftshift(frames, axes=(1, 2))
    counts = frames**2 if kind == "amplitude" else frames
    return np.ascontiguousarray(counts)


def _dataset(
    counts: np.ndarray,
    positions: np.ndarray,
    shape: tuple[int, int],
    probe: np.ndarray,
    settings: IngestSettings,
    truth: np.ndarray | None,
) -> Dataset:
    power = np.sum(np.abs(probe) ** 2)
    if not power > 0:
        raise InputError("the probe is zero everywhere: expected some light")
    flux = settings.flux or counts.sum(axis=(1, 2)).max()
    return Dataset(
        frames=counts,
        positions=positions,
        probe=(probe * np.sqrt(flux / power)).astype(np.complex64),
        mask=np.ones(counts.shape[1:], dtype=bool),
        object_shape=(int(shape[0]), int(shape[1])),
        energy=settings.energy,
        detector_distance=settings.detector_distance,
        detector_pixel_size=settings.detector_pixel_size,
        propagation=settings.propagation,
        source_distance=settings.source_distance,
        truth=truth,
    )
