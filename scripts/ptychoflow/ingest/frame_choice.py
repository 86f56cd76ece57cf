"""Which frames of a scan count: those that have a position, that the settings leave in, and that are not lost."""

import logging
from dataclasses import replace

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan, shape_of
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.survey import Survey
from ptychoflow.ingest.formats.chained import ChosenFrames
from ptychoflow.settings.ingest import FrameSettings

log = logging.getLogger(__name__)

NEIGHBOURS = 8
"""Frames about each, by position, whose median photons tell how many it should have."""
BRIGHT, DARK = 4.0, 1 / 20
"""Photons of a frame over those of its neighbours that no sample explains where they share most of their light."""
SURE_PHOTONS = 50.0
"""Of the neighbours, from which on none at all is no chance."""
LEAST_FRAMES = 16
"""From which on a frame that is far from its neighbours is left out; among fewer it may be the right one."""
MOST_FAR = 0.1
"""Share of the frames that may be far from their neighbours; if more are, that is what the scan is like."""


def paired(scan: RawScan, settings: FrameSettings, source: str) -> RawScan:
    """Give each frame its position, without the frames that the settings leave out by their numbers.

    Parameters
    ----------
    scan : RawScan
        Frames and positions of any number.
    settings : FrameSettings
        Which frames are left out, and what becomes of surplus ones.
    source : str
        Name of the file it came from, for the warning.

    Raises
    ------
    InputError
        Where there are more of one than of the other and nothing is said of it, or no frame is left.
    """
    shape_of(scan.frames)
    frames = len(scan.frames)
    if scan.positions.ndim != 2 or scan.positions.shape[1] != 2:
        raise InputError(
            f"positions has shape {scan.positions.shape}: expected {(frames, 2)} beside frames of shape "
            f"{tuple(scan.frames.shape)}"
        )
    places = len(scan.positions)
    out = settings.numbers(frames)
    rows = np.setdiff1d(np.arange(frames), out)
    order = np.arange(places)
    if len(rows) == places != frames:
        pass
    elif frames == places:
        order = rows
    elif settings.surplus == "refused":
        raise InputError(
            f"positions has shape {scan.positions.shape}: expected {(frames, 2)} beside frames of shape "
            f"{tuple(scan.frames.shape)}, or the setting frames.surplus, by which the {abs(frames - places)} "
            f"{'frames' if frames > places else 'positions'} too many stand at_start or at_end, or frames.leave_out"
        )
    else:
        few, end = min(frames, places), settings.surplus == "at_end"
        first_frame, first_place = (0, 0) if end else (frames - few, places - few)
        rows = np.setdiff1d(np.arange(first_frame, first_frame + few), out)
        order = rows - first_frame + first_place
        log.warning(
            "%s: %d frames stand beside %d positions: the %s %d %s are left out (frames.surplus)",
            source,
            frames,
            places,
            "last" if end else "first",
            abs(frames - places),
            "frames" if frames > places else "positions",
        )
    if not len(rows):
        raise InputError(f"frames.leave_out leaves out all of {frames} frames: expected some that are left")
    strange = ~np.isfinite(scan.positions[order]).all(axis=1)
    if strange.any():
        numbers = rows[strange].tolist()
        raise InputError(
            f"{_named(rows[strange], 'have')} NaN or infinite positions: expected numbers, or the frames left out "
            f"(frames.leave_out: [{', '.join(map(str, numbers[:8]))}{', …' if len(numbers) > 8 else ''}])"
        )
    return chosen(scan, rows, order)


def chosen(scan: RawScan, rows: np.ndarray, order: np.ndarray | None = None) -> RawScan:
    """Some frames of a scan, by rising rows, with the positions of those rows or of others."""
    order = rows if order is None else order
    if len(rows) == len(scan.frames) == len(scan.positions):
        return scan
    numbers = np.arange(len(scan.frames)) if scan.numbers is None else scan.numbers
    # What is mapped from a file stays there.
    in_memory = isinstance(scan.frames, np.ndarray) and not isinstance(scan.frames, np.memmap)
    frames = scan.frames[rows] if in_memory else ChosenFrames(scan.frames, rows)
    return replace(scan, frames=frames, positions=scan.positions[order], numbers=numbers[rows])


def trusted(scan: RawScan, seen: Survey, settings: FrameSettings, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Tell the frames that count by their photons, and those of them that are like their neighbours.

    Parameters
    ----------
    scan : RawScan
        Whose positions tell neighbours.
    seen : Survey
        What a look at its frames found.
    settings : FrameSettings
        Limits on photons, and what becomes of frames that are far from their neighbours.
    source : str
        Name of the file it came from, for the warnings.

    Returns
    -------
    kept : ndarray
        (frames,) bool.
    typical : ndarray
        (frames,) bool, those kept frames that may set the flux.

    Raises
    ------
    InputError
        Where none is left.
    """
    photons, numbers = seen.photons, np.arange(len(seen.photons)) if scan.numbers is None else scan.numbers
    if seen.lost.all():
        raise InputError(
            f"all of {len(photons)} frames hold NaN, numbers below 0 or one number nearly everywhere: expected counts, "
            "or which numbers are marks as detector.gaps"
        )
    if seen.lost.any():
        log.warning(
            "%s: %s marks or one number nearly everywhere: left out", source, _named(numbers[seen.lost], "hold")
        )
    kept = ~seen.lost
    low, high = settings.limits
    outside = kept & ((photons < low) | (photons > high))
    if outside.any():
        log.info("%s: %s photons beyond frames.photons: left out", source, _named(numbers[outside], "hold"))
    kept &= ~outside
    if not kept.any():
        raise InputError(
            f"none of {len(kept)} frames is left, of {photons.min():.3g} to {photons.max():.3g} photons: expected some "
            "within frames.photons"
        )
    far = np.zeros_like(kept)
    far[kept], usual = far_frames(photons[kept], scan.positions[kept])
    if far.any():
        out = settings.outliers == "leave_out" and len(kept) >= LEAST_FRAMES and far.sum() <= MOST_FAR * kept.sum()
        first = np.flatnonzero(far[kept])[0]
        log.warning(
            "%s: %s photons far from those of the frames about them (%.3g in place of some %.3g): %s",
            source,
            _named(numbers[far], "hold"),
            photons[kept][first],
            usual[first],
            "left out (frames.outliers: keep leaves them in)" if out else "kept (frames.leave_out leaves them out)",
        )
        if out:
            kept &= ~far
    typical = kept & ~far
    return kept, typical if typical.any() else kept


def far_frames(photons: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames whose photons are far from those of the frames about them.

    Overlapping frames share most of their light, so that no sample makes one many times brighter than its neighbours.

    Parameters
    ----------
    photons : ndarray
        (frames,) float.
    positions : ndarray
        (frames, 2) float, in any unit.

    Returns
    -------
    far : ndarray
        (frames,) bool.
    usual : ndarray
        (frames,) float, the median photons of the neighbours.
    """
    count = len(photons)
    if count < 4 or not np.isfinite(positions).all():
        return np.zeros(count, bool), photons
    from scipy.spatial import cKDTree

    near = cKDTree(positions).query(positions, k=min(NEIGHBOURS + 1, count))[1]
    # A frame is no neighbour of itself; nor is one, numbered beyond the last, whose distance no number can say.
    known = (near != np.arange(count)[:, None]) & (near < count)
    if not known.any(axis=1).all():
        return np.zeros(count, bool), photons
    usual = np.nanmedian(np.where(known, photons[np.minimum(near, count - 1)], np.nan), axis=1)
    bright = (photons > BRIGHT * usual) & (photons - usual > SURE_PHOTONS + 10 * np.sqrt(usual))
    dark = (photons < DARK * usual) & (usual >= SURE_PHOTONS)
    return bright | dark, usual


def _named(numbers: np.ndarray, verb: str) -> str:
    some = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    one = "has" if verb == "have" else f"{verb}s"
    return f"frames {some} {verb}" if len(numbers) > 1 else f"frame {some} {one}"
