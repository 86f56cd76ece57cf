"""Objects to simulate: complex transmission functions with |O| ≤ 1 at every pixel."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from ptychoflow.errors import InputError

BLUR = 0.8
"""Standard deviation in pixels of the blur that makes objects nearly band-limited, as sub-pixel positions require."""


@dataclass
class ObjectSettings:
    """The simulated object.

    Parameters
    ----------
    kind : {"lines", "image", "siemens_star"}
        Random lines as in the PtychoPINN papers, natural images of scikit-image, or a Siemens star.
    absorption : float
        Amplitude contrast: the amplitude runs from 1 down to 1 − absorption.
    phase_shift : float
        Phase contrast in radians: the phase runs from 0 to phase_shift.
    independent_phase : bool
        Draw other `lines` for the phase than for the amplitude; otherwise both are those of one material.
    lines_per_kilopixel : float
        Density of `lines`, lines for every 1,000 pixels of area.
    line_width : float
        Full width of `lines` in pixels, about which widths vary by half.
    amplitude_image : str
        Name in skimage.data whose grey values become the absorption of `image`.
    phase_image : str
        Name in skimage.data whose grey values become the phase of `image`.
    spokes : int
        Spoke pairs of `siemens_star`.
    """

    kind: Literal["lines", "image", "siemens_star"] = "lines"
    absorption: float = 0.6
    phase_shift: float = 1.2
    independent_phase: bool = False
    lines_per_kilopixel: float = 2.5
    line_width: float = 3.0
    amplitude_image: Literal["camera", "astronaut", "brick", "grass", "gravel", "coins", "moon", "page", "text"] = (
        "camera"
    )
    phase_image: Literal["camera", "astronaut", "brick", "grass", "gravel", "coins", "moon", "page", "text"] = "coins"
    spokes: int = 24

    def __post_init__(self) -> None:
        if not 0 <= self.absorption <= 1:
            raise InputError(f"object.absorption is {self.absorption}: expected a fraction between 0 and 1")
        if self.spokes < 1:
            raise InputError(f"object.spokes is {self.spokes}: expected at least 1")


def make_object(settings: ObjectSettings, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw an object.

    Parameters
    ----------
    settings : ObjectSettings
        Kind and contrast.
    shape : tuple of int
        (H, W) pixels.
    random : numpy.random.Generator
        Source of randomness; `siemens_star` needs none.

    Returns
    -------
    ndarray
        (H, W) complex128, dimensionless transmission.
    """
    if settings.kind == "lines":
        absorbing = random_lines(shape, settings, random)
        shifting = random_lines(shape, settings, random) if settings.independent_phase else absorbing
    elif settings.kind == "image":
        absorbing = natural_image(settings.amplitude_image, shape, random)
        shifting = natural_image(settings.phase_image, shape, random)
    else:
        absorbing = shifting = siemens_star(shape, settings.spokes)
    return (1 - settings.absorption * absorbing) * np.exp(1j * settings.phase_shift * shifting)


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
    from skimage import color, data

    picture = getattr(data, name)()
    grey = color.rgb2gray(picture) if picture.ndim == 3 else picture / 255
    start = [random.integers(0, size) for size in grey.shape]
    rows, columns = (_mirrored(s, length, size) for s, length, size in zip(start, shape, grey.shape, strict=True))
    crop = ndimage.gaussian_filter(grey[np.ix_(rows, columns)], BLUR)
    return (crop - crop.min()) / max(np.ptp(crop), 1e-9)


def siemens_star(shape: tuple[int, int], spokes: int) -> np.ndarray:
    """Siemens star over the whole field with smooth spoke edges, (H, W) float64 between 0 and 1."""
    rows = np.arange(shape[0])[:, None] - shape[0] / 2
    columns = np.arange(shape[1])[None, :] - shape[1] / 2
    radius = np.hypot(rows, columns)
    # The distance to the nearest spoke edge in pixels, clipped to one pixel of transition.
    edge = np.sin(spokes * np.arctan2(rows, columns)) * radius / spokes
    star = np.clip(0.5 + edge, 0, 1) * np.clip(0.45 * min(shape) - radius, 0, 1)
    return ndimage.gaussian_filter(star, BLUR)


def _mirrored(start: int, length: int, size: int) -> np.ndarray:
    """Indices start … start + length − 1, reflected at both ends of an axis of the given size."""
    index = np.arange(start, start + length) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
