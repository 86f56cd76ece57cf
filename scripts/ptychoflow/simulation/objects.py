"""Objects to simulate: complex transmission functions with |O| ≤ transmission at every pixel."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from ptychoflow.settings.simulation import ObjectSettings
from ptychoflow.simulation.patterns import BLUR, cells, dead_leaves, grains, smooth_field, wedge


def make_object(settings: ObjectSettings, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw an object.

    Parameters
    ----------
    settings : ObjectSettings
        Kind and contrast.
    shape : tuple of int
        (H, W) pixels.
    random : numpy.random.Generator
        Source of randomness; a `siemens_star` of one material needs none.

    Returns
    -------
    ndarray
        (H, W) complex128, dimensionless transmission.
    """
    first = _patterns(settings, shape, random, settings.amplitude_image)
    absorbing, shifting = first[0], first[-1]
    if settings.shared == "independent":
        shifting = _patterns(settings, shape, random, settings.phase_image)[0]
    amplitude = settings.transmission * (1 - settings.absorption * absorbing)
    return amplitude * np.exp(1j * (settings.offset_phase + settings.phase_shift * shifting))


def _patterns(
    settings: ObjectSettings, shape: tuple[int, int], random: np.random.Generator, picture: str
) -> np.ndarray:
    """Draw the patterns of absorption and phase, (1 or 2, H, W) float64 between 0 and 1; one is that of both."""
    channels = 2 if settings.shared == "shapes" else 1
    match settings.kind:
        case "lines":
            return random_lines(shape, settings, random)[None]
        case "image":
            return natural_image(picture, shape, random)[None]
        case "siemens_star":
            # Of its own for the phase, a star is turned.
            turn = random.uniform(0, 2 * np.pi) if settings.shared == "independent" else 0.0
            return siemens_star(shape, settings.spokes, turn)[None]
        case "grains":
            return grains(shape, settings.feature_size, random, channels)
        case "cells":
            return cells(shape, settings.feature_size, random, channels)
        case "texture":
            return dead_leaves(shape, settings.feature_size, random, channels)
        case "wedge":
            return wedge(shape, settings.feature_size, random)
        case _:
            return smooth_field(shape, settings.spectral_slope, random)


def random_lines(shape: tuple[int, int], settings: ObjectSettings, random: np.random.Generator) -> np.ndarray:
    """Draw straight lines of random place, direction, length, width and strength, (H, W) float64 between 0 and 1."""
    height, width = shape
    canvas = np.zeros(shape)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    for _ in range(max(1, round(settings.lines_per_kilopixel * height * width / 1000))):
        centre = random.uniform((0, 0), shape)
        angle = random.uniform(0, np.pi)
        half_length = random.uniform(10, 60)
        half_width = settings.line_width * random.uniform(0.25, 0.75)
        reach = int(np.ceil(half_length + half_width + 1))
        window = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
        row, column = rows[window[0]] - centre[0], columns[:, window[1]] - centre[1]
        along = row * np.sin(angle) + column * np.cos(angle)
        across = row * np.cos(angle) - column * np.sin(angle)
        inside = np.clip(half_width + 0.5 - abs(across), 0, 1) * np.clip(half_length + 0.5 - abs(along), 0, 1)
        canvas[window] += random.uniform(0.3, 1.0) * inside
    return np.clip(ndimage.gaussian_filter(canvas, BLUR), 0, 1)


def natural_image(name: str, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Grey values of a scikit-image picture, a random crop mirrored to fill (H, W), float64 between 0 and 1."""
    grey = _grey_values(name)
    start = [random.integers(0, size) for size in grey.shape]
    rows, columns = (_mirrored(s, length, size) for s, length, size in zip(start, shape, grey.shape, strict=True))
    crop = ndimage.gaussian_filter(grey[np.ix_(rows, columns)], BLUR)
    return (crop - crop.min()) / max(np.ptp(crop), 1e-9)


@lru_cache(maxsize=16)
def _grey_values(name: str) -> np.ndarray:
    from skimage import color, data

    picture = getattr(data, name)()
    return color.rgb2gray(picture) if picture.ndim == 3 else picture / 255


def siemens_star(shape: tuple[int, int], spokes: int, turn: float = 0.0) -> np.ndarray:
    """Siemens star over the whole field with smooth spoke edges, turned by radians, (H, W) float64 between 0 and 1."""
    rows = np.arange(shape[0])[:, None] - shape[0] / 2
    columns = np.arange(shape[1])[None, :] - shape[1] / 2
    radius = np.hypot(rows, columns)
    # The distance to the nearest spoke edge in pixels, clipped to one pixel of transition.
    edge = np.sin(spokes * (np.arctan2(rows, columns) + turn)) * radius / spokes
    star = np.clip(0.5 + edge, 0, 1) * np.clip(0.45 * min(shape) - radius, 0, 1)
    return ndimage.gaussian_filter(star, BLUR)


def _mirrored(start: int, length: int, size: int) -> np.ndarray:
    """Indices start … start + length − 1, reflected at both ends of an axis of the given size."""
    index = np.arange(start, start + length) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
