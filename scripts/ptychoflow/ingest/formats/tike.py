"""tike's NPZ: photon counts with the zero frequency in the corner, positions (row, column) in pixels."""

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.npz import NpzSource
from ptychoflow.settings.ingest import IngestSettings


def read_tike(source: NpzSource, settings: IngestSettings) -> RawScan:
    """Read ``data`` (…, n, N, N), ``probe`` (…, modes, N, N) and ``scan`` (…, n, 2) of any origin; leading axes of
    length one are dropped.
    """
    frames, scan = source.frames("data"), source.real("scan")
    probe = source.probe("probe")
    if frames.ndim < 3 or frames.size != np.prod(frames.shape[-3:]) or scan.size != np.prod(scan.shape[-2:]):
        raise InputError(
            f"data has shape {frames.shape} and scan {scan.shape}: expected one scan, (n, N, N) and (n, 2)"
        )
    frames, scan = frames.reshape(frames.shape[-3:]), scan.reshape(scan.shape[-2:]).astype(np.float64)
    return RawScan(frames=frames, positions=scan, positions_unit="pixels", zero_frequency="corner", probe=probe)
