"""From a scan in its format's own conventions to a dataset: counts, pixels, geometry and probe."""

import logging
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.dataset.frame_blocks import SAMPLE_BYTES
from ptychoflow.dataset.raw_scan import Frames, RawScan
from ptychoflow.dataset.scan_shape import distances
from ptychoflow.dataset.stored_frames import ConvertedFrames
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.preparation import DetectorPreparation, surveyed
from ptychoflow.ingest.detector.survey import Survey
from ptychoflow.ingest.frame_choice import chosen, paired, trusted
from ptychoflow.ingest.geometry import pixels_at_sample, require_known, with_geometry
from ptychoflow.ingest.probe import knows_probe, scaled_probe
from ptychoflow.physics.geometry import fresnel_number_of
from ptychoflow.settings.ingest import IngestSettings, PositionSettings

log = logging.getLogger(__name__)

MOST_PIXELS = 1e6
"""Extent of a scan at most; an object of more pixels fits into no memory."""
BRIGHTEST = 64
"""Frames with the most photons in the file, among which the brightest is after crop and binning."""
LEAST_FRAMES = 4
"""From which on a scan moves."""
LARGEST_STEP = 10.0
"""Of neighbouring positions over the width of a frame, which no probe fills."""
LARGEST_SHARE_OF_MEMORY = 0.25
"""Of an object, of which reconstructing takes several."""
METRES = {"metres": 1.0, "millimetres": 1e-3, "micrometres": 1e-6, "nanometres": 1e-9}


def ingest(
    scan: RawScan,
    settings: IngestSettings,
    source: str,
    frames_in_memory: int | None = None,
    seen: Survey | None = None,
) -> Dataset:
    """Bring a scan into the one form and validate it.

    Parameters
    ----------
    scan : RawScan
        As a reader of its format gives it.
    settings : IngestSettings
        What the file does not say about itself, or says wrongly.
    source : str
        Name of the file it came from, for the message.
    frames_in_memory : int, optional
        Where there are more frames than that, they stay in the file until they are asked for, and are prepared each
        time; all are prepared once and kept if not given.
    seen : Survey, optional
        What `look_at` found, if it was called before.

    Raises
    ------
    InputError
        For shapes that do not belong together, for geometry or a probe that is missing but needed, and for what
        `Dataset.validate` refuses.
    """
    in_file = len(scan.frames)
    scan = paired(scan, settings.frames, source)
    seen = look_at(scan, settings) if seen is None else seen
    for note in seen.notes.tolist():
        log.warning("%s: %s", source, note)
    kept, typical = trusted(scan, seen, settings.frames, source)
    scan = chosen(scan, np.flatnonzero(kept))
    detector = prepared_detector(scan, settings, seen)
    frames: np.ndarray | Frames = photon_counts(scan, detector)
    if frames_in_memory is None or len(frames) <= frames_in_memory:
        frames = frames[:]
    scan, assumed = with_geometry(scan, settings, source)
    raw_pixel, pixel = pixels_at_sample(scan, settings, detector)
    # With the pixel at the sample in the file, nothing else hangs on what is assumed.
    needed = {} if scan.pixel_size is not None else assumed
    offsets = offsets_of(scan, settings.positions, raw_pixel, pixel, needed)
    # A true object has the pixels of the raw frames.
    truth = scan.truth if detector.pixel_scale == 1 and not settings.positions.deforms else None
    require_plausible(offsets, detector.size, pixel)
    positions, shape, truth = _object_frame(truth, offsets, detector.size)
    few = min(BRIGHTEST, max(4, SAMPLE_BYTES // (4 * detector.size**2)))
    brightest = frames[_brightest(seen.photons[kept], typical[kept], few) if settings.flux is None else slice(0)]
    # The way from a focus to the sample hangs on the wavelength, too.
    energy = {key: value for key, value in assumed.items() if key == "energy" and settings.optics.known}
    for_the_probe = needed | energy
    fresnel_number = None
    if settings.propagation == "near":
        fresnel_number = fresnel_number_of(pixel, scan.energy, scan.detector_distance, settings.source_distance)
    dataset = Dataset(
        frames=frames,
        positions=positions,
        probe=scaled_probe(scan, settings, detector, brightest, pixel, fresnel_number, for_the_probe),
        probe_known=knows_probe(scan, settings),
        mask=detector.mask,
        object_shape=(int(shape[0]), int(shape[1])),
        energy=scan.energy,
        detector_distance=scan.detector_distance,
        detector_pixel_size=scan.detector_pixel_size * detector.binning,
        propagation=settings.propagation,
        source_distance=settings.source_distance,
        truth=truth,
        provenance=_record(scan, detector, in_file - len(frames)),
    ).validate(source)
    _warn_of_unknown(dataset.probe_known, assumed, source)
    return dataset


def _record(scan: RawScan, detector: DetectorPreparation, left_out: int) -> dict[str, Any]:
    """What a dataset says of where it came from, and of how many frames were left out."""
    record: dict[str, Any] = {"detector": detector.summary}
    if left_out:
        record["frames_left_out"] = left_out
    if scan.companion is not None:
        record["companion"] = str(scan.companion)
    if scan.files:
        record["frame_files"] = [str(path) for path in scan.files]
    return record


def _warn_of_unknown(probe_known: bool, assumed: dict[str, float], source: str) -> None:
    """Warn of what neither the file nor the settings say."""
    if not probe_known:
        log.warning(
            "%s: the file has no probe, so its frames were taken for that of an empty beam: only a reconstruction that "
            "solves for the probe (network: pretrained) can use it, or name optics, or probe_diameter for a disk",
            source,
        )
    if assumed:
        values = ", ".join(f"{key} is taken as {value:g}" for key, value in assumed.items())
        log.warning("%s: %s, since neither the file nor the settings say so", source, values)


def look_at(scan: RawScan, settings: IngestSettings, pulse: Callable[[], None] = lambda: None) -> Survey:
    """Look at all frames of a scan once; `pulse` is called after each block."""
    return surveyed(scan.frames, scan.good, scan.dark, settings.detector, _quantity(scan, settings), pulse)


def prepared_detector(scan: RawScan, settings: IngestSettings, seen: Survey | None = None) -> DetectorPreparation:
    """Decide how raw frames become photon counts, in the rows and columns of the positions."""
    quantity = _quantity(scan, settings)
    place = scan.zero_frequency if settings.zero_frequency == "default" else settings.zero_frequency
    return DetectorPreparation.of(
        scan.frames, scan.good, scan.dark, settings.detector, place, quantity, settings.orientation, seen
    )


def _quantity(scan: RawScan, settings: IngestSettings) -> Literal["amplitude", "intensity"]:
    return scan.quantity if settings.quantity == "default" else settings.quantity


def _brightest(photons: np.ndarray, typical: np.ndarray, few: int) -> np.ndarray:
    """Numbers of the frames that may be the brightest once they are prepared, rising."""
    order = np.argsort(np.where(typical, photons, -1), kind="stable")[::-1]
    return np.sort(order[: min(few, int(typical.sum()))])


def photon_counts(scan: RawScan, detector: DetectorPreparation) -> ConvertedFrames:
    """Give frames as photon counts, (frames, N, N) float32, zero frequency in the centre, block by block."""

    def counts(block: np.ndarray) -> np.ndarray:
        if not np.issubdtype(block.dtype, np.number) and block.dtype != bool:
            raise InputError(f"frames have dtype {block.dtype}: expected numbers")
        photons = detector.frames(block)
        if not np.isfinite(photons.max(initial=0)):
            raise InputError("frames hold more photons than a number can be: expected fewer (quantity, detector)")
        return photons

    return ConvertedFrames(scan.frames, counts, (detector.size, detector.size), detector.counts_dtype)


def offsets_of(
    scan: RawScan, settings: PositionSettings, raw_pixel: float, pixel: float, assumed: dict[str, float]
) -> np.ndarray:
    """Positions in pixels at the sample about any origin, (frames, 2) float64.

    Parameters
    ----------
    scan : RawScan
        With its positions.
    settings : PositionSettings
        How they differ from what the format says.
    raw_pixel : float
        Metres; pixel at the sample of the raw frames, in which positions in pixels count.
    pixel : float
        Metres; pixel at the sample of the dataset.
    assumed : dict
        Geometry that nobody stated, by name.

    Raises
    ------
    InputError
        Where geometry that nobody stated would decide, or distances come out that cannot be.
    """
    unit = scan.positions_unit if settings.unit == "default" else settings.unit
    offsets = settings.turned(np.asarray(scan.positions, dtype=np.float64))
    if unit == "pixels":
        offsets = offsets * (raw_pixel / pixel)
    else:
        require_known(assumed, f"to turn {unit} into pixels")
        offsets = offsets * METRES[unit] / pixel
    extent = np.ptp(offsets, axis=0).max()
    if not extent < MOST_PIXELS:
        raise InputError(
            f"positions extend over {extent:.3g} pixels of {pixel:.3g} m: expected fewer, by another unit or geometry"
        )
    return offsets


def require_plausible(offsets: np.ndarray, size: int, pixel: float) -> None:
    """Refuse a scan that no unit but a wrong one makes: one that does not move, or falls apart, or fits no memory.

    Parameters
    ----------
    offsets : ndarray
        (frames, 2) float64, positions in pixels at the sample.
    size : int
        Edge length N of a frame.
    pixel : float
        Metres at the sample.

    Raises
    ------
    InputError
        With the settings that mend it.
    """
    mended = (
        "(positions.unit, metres in most files; energy in electronvolts, detector_distance and detector_pixel_size in "
        "metres)"
    )
    extent = np.ptp(offsets, axis=0)
    if len(offsets) >= LEAST_FRAMES and extent.max() < 1:
        raise InputError(
            f"{len(offsets)} positions extend over {extent.max():.2g} pixels of {pixel:.3g} m: expected many {mended}"
        )
    step = distances(offsets)[0] if len(offsets) > 1 else 0.0
    if step > LARGEST_STEP * size:
        raise InputError(
            f"neighbouring positions are {step:.0f} pixels of {pixel:.3g} m apart beside frames of {size}: expected "
            f"frames that overlap {mended}"
        )
    height, width = extent + size + 4
    if height * width * np.dtype(np.complex64).itemsize > LARGEST_SHARE_OF_MEMORY * memory_bytes():
        raise InputError(
            f"an object of {height:.0f} by {width:.0f} pixels of {pixel:.3g} m would fill the memory of "
            f"{memory_bytes() / 2**30:.0f} GiB: expected a smaller scan {mended}"
        )


def memory_bytes() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _object_frame(
    truth: np.ndarray | None, offsets: np.ndarray, size: int
) -> tuple[np.ndarray, tuple[int, int], np.ndarray | None]:
    """Positions in pixels of the object frame, its shape, and the true object if it has that frame."""
    half = size / 2
    # Coordinates count from the corner of an object that was scanned.
    if truth is not None and (offsets >= half).all() and (offsets <= np.array(truth.shape) - half).all():
        return offsets, truth.shape, truth
    return *object_frame(offsets, size), None
