"""PtychoPINN's NPZ: amplitudes with the zero frequency in the centre, positions in pixels."""

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.npz import NpzSource
from ptychoflow.settings.ingest import IngestSettings


def read_ptychopinn(source: NpzSource, settings: IngestSettings) -> RawScan:
    """Read ``diffraction`` or ``diff3d`` (n, N, N), or (N, N, n) as older files have it, ``probeGuess``, ``xcoords``
    and ``ycoords``, ``bad_pixels`` as Ptychodus adds them, and ``objectGuess``; other keys are not read.
    """
    probe = source.probe("probeGuess")
    frames = _frames_first(source.frames("diffraction", "diff3d"), len(probe[0]))
    columns, rows = source.real("xcoords"), source.real("ycoords")
    for name, coordinates in (("xcoords", columns), ("ycoords", rows)):
        if coordinates.shape != rows.shape or rows.ndim != 1:
            raise InputError(
                f"{name} has shape {coordinates.shape}: expected ({len(frames)},) beside {len(frames)} frames"
            )
    truth = source.array("objectGuess").astype(np.complex64) if "objectGuess" in source.keys else None
    # A placeholder is no object.
    known = truth is not None and truth.ndim == 2 and truth.size > 0 and np.ptp(np.abs(truth)) > 0
    return RawScan(
        frames=frames,
        positions=np.stack([rows, columns], axis=1).astype(np.float64),
        positions_unit="pixels",
        quantity="amplitude",
        probe=probe,
        good=source.real("bad_pixels") == 0 if "bad_pixels" in source.keys else None,
        truth=truth if known else None,
    )


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
