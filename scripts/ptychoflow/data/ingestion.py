"""From a scan in its format's own conventions to a dataset: counts, pixels, geometry and probe."""

import logging
from dataclasses import replace

import numpy as np

from ptychoflow.data.dataset import Dataset, frame_blocks, object_frame
from ptychoflow.data.detector import DetectorPreparation
from ptychoflow.data.geometry import pixel_at_sample, wavelength_of
from ptychoflow.data.ingest_settings import IngestSettings, PositionSettings
from ptychoflow.data.raw_scan import Frames, RawScan
from ptychoflow.data.stored_frames import ConvertedFrames
from ptychoflow.errors import InputError
from ptychoflow.simulation.probes import disk_probe

log = logging.getLogger(__name__)

USUAL = {"energy": 8000.0, "detector_distance": 1.0, "detector_pixel_size": 75e-6}
"""Geometry where nothing depends on it but scale bars."""
MOST_PIXELS = 1e6
"""Extent of a scan at most; an object of more pixels fits into no memory."""
METRES = {"metres": 1.0, "millimetres": 1e-3, "micrometres": 1e-6, "nanometres": 1e-9}


def ingest(scan: RawScan, settings: IngestSettings, source: str) -> Dataset:
    """Bring a scan into the one form and validate it; frames of a file stay there until they are asked for.

    Parameters
    ----------
    scan : RawScan
        As a reader of its format gives it.
    settings : IngestSettings
        What the file does not say about itself, or says wrongly.
    source : str
        Name of the file it came from, for the message.

    Raises
    ------
    InputError
        For shapes that do not belong together, for geometry or a probe that is missing but needed, and for what
        `Dataset.validate` refuses.
    """
    if len(scan.frames.shape) != 3 or 0 in scan.frames.shape:
        raise InputError(f"frames have shape {tuple(scan.frames.shape)}: expected at least one frame, (frames, N, N)")
    _require_shapes(scan)
    detector = prepared_detector(scan, settings)
    frames: np.ndarray | Frames = photon_counts(scan, settings, detector)
    if isinstance(scan.frames, np.ndarray):
        frames = frames[:]
    scan, assumed = with_geometry(scan, settings)
    raw_pixel, pixel = _pixels_at_sample(scan, settings, detector)
    needed = {} if scan.pixel_size is not None else assumed
    offsets = offsets_of(scan, settings.positions, raw_pixel, pixel, needed)
    # A true object has the pixels of the raw frames.
    truth = scan.truth if detector.pixel_scale == 1 else None
    positions, shape, truth = _object_frame(truth, offsets, detector.size)
    dataset = Dataset(
        frames=frames,
        positions=positions,
        probe=_scaled_probe(scan, settings, detector, frames, pixel, needed),
        mask=np.ascontiguousarray(oriented(detector.mask, settings.orientation)),
        object_shape=(int(shape[0]), int(shape[1])),
        energy=scan.energy,
        detector_distance=scan.detector_distance,
        detector_pixel_size=scan.detector_pixel_size * detector.binning,
        propagation=settings.propagation,
        source_distance=settings.source_distance,
        truth=truth,
        provenance={"detector": detector.summary}
        | ({} if scan.companion is None else {"companion": str(scan.companion)}),
    ).validate(source)
    if assumed:
        values = ", ".join(f"{key} is taken as {value:g}" for key, value in assumed.items())
        log.warning("%s: %s, since neither the file nor the settings say so", source, values)
    return dataset


def _pixels_at_sample(scan: RawScan, settings: IngestSettings, detector: DetectorPreparation) -> tuple[float, float]:
    """Metres at the sample of a pixel of the raw frames, and of the dataset."""
    known = scan.energy, scan.detector_distance, scan.detector_pixel_size
    raw = pixel_at_sample(scan.frames.shape[-1], *known, settings.propagation, settings.source_distance)
    if settings.propagation == "far":
        return raw, raw * detector.pixel_scale
    if detector.pixel_scale != 1 or detector.binning != 1:
        raise InputError(
            f"near fields of {scan.frames.shape[1]} by {scan.frames.shape[2]} pixels would be cropped or binned: "
            "expected even, square ones and no such settings of a detector"
        )
    return raw, raw


def prepared_detector(scan: RawScan, settings: IngestSettings) -> DetectorPreparation:
    """Decide how raw frames become photon counts, in the rows and columns that they are stored in."""
    quantity = scan.quantity if settings.quantity == "default" else settings.quantity
    place = scan.zero_frequency if settings.zero_frequency == "default" else settings.zero_frequency
    return DetectorPreparation.of(scan.frames, scan.good, scan.dark, settings.detector, place, quantity)


def photon_counts(scan: RawScan, settings: IngestSettings, detector: DetectorPreparation) -> ConvertedFrames:
    """Give frames as photon counts, (frames, N, N) float32, zero frequency in the centre, block by block."""

    def counts(block: np.ndarray) -> np.ndarray:
        if not np.issubdtype(block.dtype, np.number) and block.dtype != bool:
            raise InputError(f"frames have dtype {block.dtype}: expected numbers")
        return np.ascontiguousarray(oriented(detector.frames(block), settings.orientation))

    return ConvertedFrames(scan.frames, counts, (detector.size, detector.size))


def oriented(images: np.ndarray, orientation: str) -> np.ndarray:
    """Turn images (…, H, W) whose zero frequency is at pixel (H // 2, W // 2), and stays at the middle.

    Parameters
    ----------
    images : ndarray
        (…, H, W) of any dtype.
    orientation : str
        As `IngestSettings.orientation`: transposed first, then flipped about the zero frequency.
    """
    if orientation.startswith("transpose"):
        images = np.swapaxes(images, -1, -2)
    for axis, words in ((-2, ("flip_rows", "flip_both")), (-1, ("flip_columns", "flip_both"))):
        if orientation.endswith(words):
            # Of an even number of pixels, the first has no partner on the other side of the zero frequency.
            even = images.shape[axis] % 2 == 0
            images = np.roll(np.flip(images, axis), 1 if even else 0, axis)
    return images


def brightest(frames: Frames) -> float:
    """Photons in the brightest frame."""
    return float(max(frames[block].sum(axis=(1, 2)).max() for block in frame_blocks(frames)))


def with_geometry(scan: RawScan, settings: IngestSettings) -> tuple[RawScan, dict[str, float]]:
    """Complete energy, distance and pixel of the detector: by the settings, the file, what follows, or what is usual.

    Returns
    -------
    scan : RawScan
        With none of the three left open.
    assumed : dict
        What was taken as usual, by name.
    """
    known = {key: getattr(settings, key) or getattr(scan, key) for key in USUAL}
    assumed: dict[str, float] = {}

    def assume(key: str) -> None:
        if known[key] is None:
            known[key] = assumed[key] = USUAL[key]

    for key, value in known.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{key} is {value}: expected a positive number")
    if scan.pixel_size is not None:
        if not scan.pixel_size > 0:
            raise InputError(f"the pixel at the sample is {scan.pixel_size} m: expected a positive number")
        assume("energy")
        extent = wavelength_of(known["energy"]) / (scan.pixel_size * scan.frames.shape[-1])
        if known["detector_distance"] is None:
            assume("detector_pixel_size")
            known["detector_distance"] = known["detector_pixel_size"] / extent
        elif known["detector_pixel_size"] is None:
            known["detector_pixel_size"] = known["detector_distance"] * extent
    for key in USUAL:
        assume(key)
    return replace(scan, **known), assumed


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
    offsets = np.asarray(scan.positions, dtype=np.float64)
    if settings.swap:
        offsets = offsets[:, ::-1]
    offsets = offsets * (settings.row_sign, settings.column_sign)
    if unit == "pixels":
        offsets = offsets * (raw_pixel / pixel)
    else:
        _require_known(assumed, f"to turn {unit} into pixels")
        offsets = offsets * METRES[unit] / pixel
    extent = np.ptp(offsets, axis=0).max()
    if not extent < MOST_PIXELS:
        raise InputError(
            f"positions extend over {extent:.3g} pixels of {pixel:.3g} m: expected fewer, by another unit or geometry"
        )
    return offsets


def _object_frame(
    truth: np.ndarray | None, offsets: np.ndarray, size: int
) -> tuple[np.ndarray, tuple[int, int], np.ndarray | None]:
    """Positions in pixels of the object frame, its shape, and the true object if it has that frame."""
    half = size / 2
    # Coordinates count from the corner of an object that was scanned.
    if truth is not None and (offsets >= half).all() and (offsets <= np.array(truth.shape) - half).all():
        return offsets, truth.shape, truth
    return *object_frame(offsets, size), None


def _scaled_probe(
    scan: RawScan,
    settings: IngestSettings,
    detector: DetectorPreparation,
    frames: np.ndarray | Frames,
    pixel: float,
    assumed: dict[str, float],
) -> np.ndarray:
    """Probe modes of the file, or a disk in their place, (modes, N, N) complex64, Σ|P|² = photons in the empty beam."""
    own = settings.probe_diameter is None and scan.probe is not None
    probe = scan.probe if own else _disk(scan, settings, detector.size, pixel, assumed)
    power = np.sum(np.abs(probe) ** 2)
    if not power > 0:
        raise InputError("the probe is zero everywhere: expected some light")
    raw_width = scan.frames.shape[-1]
    if probe.shape[1:] not in ((raw_width, raw_width), (detector.size, detector.size)):
        expected = (len(probe), detector.size, detector.size)
        raise InputError(f"probe has shape {probe.shape}: expected {expected} beside frames of {detector.size} pixels")
    if settings.flux is not None:
        # What a smaller detector misses of the beam leaves the probe.
        probe = probe * np.sqrt(settings.flux / power)
    if probe.shape[-1] == raw_width and own:
        probe = detector.probe(probe)
    if settings.flux is not None:
        return probe.astype(np.complex64)
    flux = brightest(frames) / detector.good_share(probe)
    return (probe * np.sqrt(flux / np.sum(np.abs(probe) ** 2))).astype(np.complex64)


def _disk(scan: RawScan, settings: IngestSettings, size: int, pixel: float, assumed: dict[str, float]) -> np.ndarray:
    """Draw a disk in place of a probe, (1, N, N) complex128."""
    diameter = settings.probe_diameter or scan.probe_diameter
    if diameter is None:
        raise InputError("the file has no probe: expected the setting probe_diameter for a disk in its place")
    _require_known(assumed, f"to draw a probe of {diameter:g} m")
    share = diameter / (size * pixel)
    if not 2 / size <= share <= 1:
        raise InputError(
            f"the probe's diameter of {diameter:g} m is {share * size:.3g} pixels: expected 2 to the frame's {size}"
        )
    return disk_probe(size, share)[None]


def _require_known(assumed: dict[str, float], purpose: str) -> None:
    if assumed:
        raise InputError(f"{' and '.join(assumed)} must be known {purpose}: expected them as settings")


def _require_shapes(scan: RawScan) -> None:
    count, height, width = scan.frames.shape
    expected = {"positions": (count, 2), "mask": (height, width)}
    found = {"positions": scan.positions.shape, "mask": None if scan.good is None else scan.good.shape}
    if scan.dark is not None:
        expected["dark frame"], found["dark frame"] = (height, width), scan.dark.shape[-2:] if scan.dark.size else (0,)
    for name, shape in expected.items():
        if found[name] not in (None, shape):
            raise InputError(
                f"{name} has shape {found[name]}: expected {shape} beside {count} frames of {height} by {width} pixels"
            )
