"""What a scan looks like: the width of its light, the order of its positions, and how far its frames overlap."""

import numpy as np

LEAST_OVERLAP = 0.5
"""Share of the probe's diameter: reconstructions are best from about 0.6 on (Bunk et al., Ultramicroscopy 108, 481)."""


def probe_width(probe: np.ndarray) -> float:
    """Diameter in pixels of the disk whose area the light of (modes, N, N) probes fills, (Σ I)² / Σ I²."""
    intensity = (np.abs(probe.astype(np.complex128)) ** 2).sum(axis=0)
    return float(2 * np.sqrt(intensity.sum() ** 2 / (intensity**2).sum() / np.pi))


def empty_beam(probe: np.ndarray, fresnel_number: float | None = None) -> np.ndarray:
    """Intensity of (modes, N, N) probes on the detector, (N, N) float, zero frequency or middle in the centre.

    Parameters
    ----------
    probe : ndarray
        (modes, N, N) complex.
    fresnel_number : float, optional
        Of a pixel in a near field; that of the far field if not given.
    """
    if fresnel_number is None:
        waves = np.fft.fft2(probe, norm="ortho")
    else:
        import torch

        from ptychoflow.physics.diffraction import Propagator

        propagator = Propagator(probe.shape[-1], fresnel_number, torch.complex128)
        waves = propagator(torch.from_numpy(probe.astype(np.complex128))).numpy()
    return (np.abs(np.fft.fftshift(waves, axes=(-2, -1))) ** 2).sum(axis=0)


def disk_overlap(distance: float) -> float:
    """Share of a disk's area that another, moved by a share of the diameter, covers."""
    if distance >= 1:
        return 0.0
    return float(2 / np.pi * (np.arccos(distance) - distance * np.sqrt(1 - distance**2)))


def distances(positions: np.ndarray) -> tuple[float, float]:
    """How far neighbouring places of a scan are apart, each counted once however often it was measured.

    Parameters
    ----------
    positions : ndarray
        (frames, 2) float, pixels, at least two.

    Returns
    -------
    step : float
        Median distance of the four nearest places; 0 where there is one place, to a tenth of a pixel.
    apart : float
        Median distance of the nearest.
    """
    _, first = np.unique(np.round(positions, 1), axis=0, return_index=True)
    places = positions[first]
    if len(places) < 2:
        return 0.0, 0.0
    from scipy.spatial import cKDTree

    found = cKDTree(places).query(places, k=min(len(places), 5))[0][:, 1:]
    return float(np.median(found)), float(np.median(found[:, 0]))


def overlap_of(step: float, width: float) -> float:
    """Overlap of neighbouring frames as a share of the probe's diameter."""
    return max(0.0, 1 - step / width)


def overlap_warnings(step: float, width: float) -> list[str]:
    """One sentence where frames do not overlap enough, of neighbours `step` apart under a probe of `width` pixels."""
    if step > width:
        return [
            f"neighbouring positions are {step:.1f} pixels apart and the probe {width:.1f} wide: expected an overlap "
            "(units of positions, geometry)"
        ]
    overlap = overlap_of(step, width)
    if overlap < LEAST_OVERLAP:
        return [
            f"neighbouring frames overlap by {overlap:.0%} of the probe's diameter: expected at least "
            f"{LEAST_OVERLAP:.0%}"
        ]
    return []


def scan_order(positions: np.ndarray) -> str:
    """Name the order of positions (frames, 2): raster, snake, spiral, random, or another path."""
    moves = np.diff(positions, axis=0)
    lengths = np.hypot(*moves.T)
    from scipy.spatial import cKDTree

    nearest = np.median(cKDTree(positions).query(positions, k=2)[0][:, 1])
    if np.median(lengths) > 3 * max(nearest, 1e-9):
        return "random"
    for axis, name in ((1, "along the rows"), (0, "along the columns")):
        along, across = moves[:, axis], np.abs(moves[:, 1 - axis])
        if np.mean(np.abs(along) > across) < 0.75:
            continue
        forwards = np.mean(along[lengths < 3 * np.median(lengths)] > 0)
        kind = "snake" if 0.3 < forwards < 0.7 else "raster"
        return f"{kind} {name}"
    centre = positions.mean(axis=0)
    outwards = np.corrcoef(np.arange(len(positions)), np.hypot(*(positions - centre).T))[0, 1]
    return "spiral" if abs(outwards) > 0.8 else "other path"
