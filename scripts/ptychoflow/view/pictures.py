"""Object and probe as they stand in a page: cut to where light fell, in whole numbers, and of bounded size."""

import base64
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

from ptychoflow.figures.drawing import AMPLITUDE_COLOURS, ERROR_COLOURS, PHASE_COLOURS, phase_scale, wide_enough
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase
from ptychoflow.reconstruction.pictures import illuminated_area, lit_box

OBJECT_PIXELS = 500_000
"""Pixels of all maps of an object together, in pairs of amplitude and phase; more are averaged in squares."""
PROBE_EDGE = 192
"""Pixels along the edge of a probe mode, at most."""
MOST_MODES = 8
"""Modes that are drawn; those of most light come first."""
CODES = 65534
"""Steps between the least and the largest value of a map; one more code says that there is none."""


@dataclass
class ObjectMap:
    """A map of the object: amplitude, phase, or how far one of them may be off.

    Parameters
    ----------
    name, unit : str
        What it shows.
    values : ndarray
        (h, w) float32, NaN where there is none.
    limits : tuple of float
        Values of the scale's ends to begin with.
    colours : str
        Colour map to begin with.
    """

    name: str
    unit: str
    values: np.ndarray
    limits: tuple[float, float]
    colours: str


@dataclass
class ObjectMaps:
    """All maps of an object, and where they lie.

    Parameters
    ----------
    maps : list of ObjectMap
        Of one shape.
    origin : tuple of float
        (y, x) of the upper left corner of the first pixel, micrometres in the object frame.
    pixel : float
        Micrometres of a pixel.
    binning : int
        Object pixels along its edge.
    """

    maps: list[ObjectMap]
    origin: tuple[float, float]
    pixel: float
    binning: int


def object_maps(reconstruction: Reconstruction) -> ObjectMaps:
    """Cut an object to where light fell, and average it in squares where it is larger than a page bears."""
    area, box = illuminated_area(reconstruction), lit_box(reconstruction)
    image = without_mean_phase(reconstruction.object, area)[box]
    deviations = [reconstruction.amplitude_deviation, reconstruction.phase_deviation]
    known = [part for part in deviations if part is not None]
    size = image.size * (2 + len(known)) / 2
    binning = int(np.ceil(np.sqrt(size / OBJECT_PIXELS)))
    image, inside = averaged(image, binning), averaged(area[box], binning) > 0.5
    inside = inside if inside.any() else np.ones_like(inside)
    low, high = np.percentile(np.abs(image)[inside], [0.5, 99.5])
    maps = [ObjectMap("amplitude", "", np.abs(image), (low, high), AMPLITUDE_COLOURS)]
    phase = np.angle(image)
    limits, colours = phase_scale(phase[inside])
    maps.append(ObjectMap("phase", "rad", phase, limits, colours))
    for name, unit, part in zip(("amplitude", "phase"), ("", "rad"), deviations, strict=True):
        if part is not None:
            values = averaged(part[box], binning)
            top = float(np.nanpercentile(values, 99.5)) if np.isfinite(values).any() else 1.0
            maps.append(ObjectMap(f"deviation of the {name}", unit, values, (0.0, top), ERROR_COLOURS))
    micrometres = 1e6 * reconstruction.pixel_size
    origin = box[0].start * micrometres, box[1].start * micrometres
    for one in maps:
        one.values = one.values.astype(np.float32)
        one.limits = wide_enough(one.limits)
    return ObjectMaps(maps, origin, binning * micrometres, binning)


def averaged(image: np.ndarray, binning: int) -> np.ndarray:
    """Means of squares of an image (H, W); rows and columns that fill no square are cut off."""
    if binning == 1:
        return image
    rows, columns = (length // binning for length in image.shape)
    cut = image[: rows * binning, : columns * binning]
    return cut.reshape(rows, binning, columns, binning).mean(axis=(1, 3))


def coded(values: np.ndarray) -> dict[str, Any]:
    """A map as text: uint16 codes in Base64, the shape, and the values of the first and the last code."""
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 1.0)
    scaled = np.rint((np.where(finite, values, low) - low) * (CODES / max(high - low, 1e-30)))
    codes = np.where(finite, scaled, CODES + 1).astype("<u2")
    return {"codes": base64.b64encode(codes.tobytes()).decode(), "shape": list(values.shape), "ends": [low, high]}


def mode_pictures(probe: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Colours of the brightest probe modes, and the share of the light of all.

    Parameters
    ----------
    probe : ndarray
        (modes, N, N) complex.

    Returns
    -------
    pictures : list of ndarray
        (n, 2n) uint32 RGBA, amplitude in grey beside the phase in cyclic colours, which fades where there is no light.
    shares : ndarray
        (modes,) float, the largest first.
    """
    power = (np.abs(probe) ** 2).sum(axis=(1, 2))
    order = np.argsort(power)[::-1]
    binning = int(np.ceil(probe.shape[-1] / PROBE_EDGE))
    pictures = []
    for mode in probe[order[:MOST_MODES]]:
        wave = averaged(mode, binning)
        light = np.abs(wave) / max(float(np.abs(wave).max()), 1e-30)
        amplitude = matplotlib.colormaps["viridis"](light)
        phase = matplotlib.colormaps[PHASE_COLOURS](np.angle(wave) / (2 * np.pi) + 0.5)
        phase[..., 3] = light
        both = np.rint(255 * np.concatenate([amplitude, phase], axis=1)).astype(np.uint8)
        pictures.append(np.ascontiguousarray(both).view("<u4")[..., 0])
    return pictures, power[order] / power.sum()
