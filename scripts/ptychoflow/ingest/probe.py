"""The probe of an ingested scan: the file's, or that of known optics or a disk, on its pixels, with its photons."""

import numpy as np

from ptychoflow.dataset.flux import good_share
from ptychoflow.dataset.frame_blocks import frame_blocks
from ptychoflow.dataset.raw_scan import Frames, RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.detector.preparation import DetectorPreparation
from ptychoflow.ingest.geometry import require_known
from ptychoflow.ingest.optics import probe_of
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.simulation.probes import disk_probe


def scaled_probe(
    scan: RawScan,
    settings: IngestSettings,
    detector: DetectorPreparation,
    frames: np.ndarray | Frames,
    pixel: float,
    fresnel_number: float | None,
    assumed: dict[str, float],
) -> np.ndarray:
    """Probe modes of the file, or what settings put in their place, (modes, N, N) complex64, Σ|P|² = photons of it.

    That is the probe of known optics, or a disk. Where nothing is known, it is what the frames tell, see `told_by`.

    Parameters
    ----------
    scan : RawScan
        With its probe, or the diameter of one.
    settings : IngestSettings
        Which of them counts, and the flux, if that is known.
    detector : DetectorPreparation
        What became of the frames.
    frames : ndarray or Frames
        (frames, N, N) float32 photon counts, whose brightest tells the flux if the settings do not.
    pixel : float
        Metres; pixel at the sample of the dataset.
    fresnel_number : float, optional
        Of such a pixel in a near field; None in the far field.
    assumed : dict
        Geometry that nobody stated, by name.

    Raises
    ------
    InputError
        Where there is no probe, or none with light, or of another shape, or the mask hides all of its light.
    """
    own = settings.probe_diameter is None and not settings.optics.known and scan.probe is not None
    if not knows_probe(scan, settings):
        return told_by(frames, detector.mask, fresnel_number, settings.flux)
    probe = scan.probe if own else _drawn(scan, settings, detector.size, pixel, assumed)
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
    if not own:
        probe = detector.tilted(probe)
    elif probe.shape[-1] == raw_width:
        # One of another width, that of the dataset, was found in frames prepared alike, and has their tilt.
        probe = detector.probe(probe)
    if settings.flux is not None:
        return probe.astype(np.complex64)
    flux = brightest(frames) / good_share(probe, detector.mask, fresnel_number)
    return (probe * np.sqrt(flux / np.sum(np.abs(probe) ** 2))).astype(np.complex64)


def knows_probe(scan: RawScan, settings: IngestSettings) -> bool:
    """Whether file or settings say anything of the probe."""
    diameters = settings.probe_diameter, scan.probe_diameter
    return scan.probe is not None or settings.optics.known or any(one is not None for one in diameters)


def told_by(
    frames: np.ndarray | Frames, mask: np.ndarray, fresnel_number: float | None, flux: float | None
) -> np.ndarray:
    """Probe (1, N, N) complex64 whose empty beam is the mean of the brightest frames, in focus or propagated back.

    It is where a blind reconstruction may start from, and no knowledge.

    Parameters
    ----------
    frames : ndarray or Frames
        (frames, N, N) float32 photon counts, the brightest ones.
    mask : ndarray
        (N, N) bool, True for good pixels; bad ones are dark.
    fresnel_number : float, optional
        Of a pixel in a near field; None in the far field.
    flux : float, optional
        Photons in the empty beam; those of the brightest frame if not given.
    """
    # Where a probe is known, nothing is propagated, and torch takes longer to import than many a scan to read.
    import torch

    from ptychoflow.physics.diffraction import Propagator

    mean = np.where(mask, np.mean(frames[:], axis=0), 0)
    waves = torch.fft.ifftshift(torch.from_numpy(np.sqrt(mean)).to(torch.complex64))
    probe = Propagator(len(mask), fresnel_number).adjoint(waves)
    if fresnel_number is None:
        probe = torch.fft.fftshift(probe)
    power = brightest(frames) if flux is None else flux
    return (probe * (power / probe.abs().square().sum()).sqrt())[None].numpy()


def brightest(frames: np.ndarray | Frames) -> float:
    """Photons in the brightest frame."""
    return float(max(frames[block].sum(axis=(1, 2)).max() for block in frame_blocks(frames)))


def _drawn(scan: RawScan, settings: IngestSettings, size: int, pixel: float, assumed: dict[str, float]) -> np.ndarray:
    """Draw the probe of known optics, or a disk, (1, N, N) complex128."""
    if settings.optics.known:
        require_known(assumed, f"to draw the probe of a {settings.optics.kind}")
        return probe_of(settings.optics, size, pixel, wavelength_of(scan.energy))
    diameter = settings.probe_diameter or scan.probe_diameter
    require_known(assumed, f"to draw a probe of {diameter:g} m")
    share = diameter / (size * pixel)
    if not 2 / size <= share <= 1:
        raise InputError(
            f"the probe's diameter of {diameter:g} m is {share * size:.3g} pixels: expected 2 to the frame's {size}"
        )
    return disk_probe(size, share)[None]
