"""Random patterns that objects are made of: (channels, H, W) float64 between 0 and 1, nearly band-limited.

Channels, where there is more than one, have the same outlines and values of their own.
"""

import numpy as np
from scipy import fft, ndimage

BLUR = 0.8
"""Standard deviation in pixels of the blur that makes objects nearly band-limited, as sub-pixel positions require."""
MOST_BODIES = 350
"""Cells or leaves of a pattern, whose time they take: small ones leave the rest of a large field as it was."""
NEIGHBOURS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


def grains(shape: tuple[int, int], size: float, random: np.random.Generator, channels: int = 1) -> np.ndarray:
    """Draw a polycrystal, the weighted Voronoi cells of one seed in every square of a lattice.

    Parameters
    ----------
    shape : tuple of int
        (H, W) pixels.
    size : float
        Mean diameter of a grain in pixels, the edge of the lattice's squares.
    random : numpy.random.Generator
        Source of randomness.
    channels : int
        Patterns with these outlines.
    """
    squares = [int(np.ceil(length / size)) + 4 for length in shape]
    seeds = random.uniform(0, 1, (2, *squares)).astype(np.float32)
    handicap = random.uniform(0, 0.4, squares).astype(np.float32)
    values = random.uniform(0, 1, (channels, seeds[0].size))
    start = random.uniform(1, 2, 2)
    places = [(s + np.arange(length) / size).astype(np.float32) for s, length in zip(start, shape, strict=True)]
    rows, columns = (place.astype(int) for place in places)
    nearest, label = np.full(shape, np.inf, np.float32), np.zeros(shape, int)
    for row, column in NEIGHBOURS:
        numbers = (rows + row)[:, None] * squares[1] + (columns + column)[None, :]
        down = seeds[0].ravel()[numbers] + (rows + row - places[0]).astype(np.float32)[:, None]
        right = seeds[1].ravel()[numbers] + (columns + column - places[1]).astype(np.float32)[None, :]
        distance = down * down + right * right + handicap.ravel()[numbers]
        closer = distance < nearest
        nearest[closer], label[closer] = distance[closer], numbers[closer]
    return np.stack([stretched(ndimage.gaussian_filter(value[label], BLUR)) for value in values])


def cells(shape: tuple[int, int], size: float, random: np.random.Generator, channels: int = 1) -> np.ndarray:
    """Draw soft, round bodies, each with a denser nucleus, whose diameters vary about `size` by a factor of 1.6.

    Parameters are those of `grains`; where bodies lie over each other they add.
    """
    canvas = np.zeros((channels, *shape))
    for _ in range(min(MOST_BODIES, max(2, round(1.2 * np.prod(shape) / size**2)))):
        radius = np.clip(size / 2 * np.exp(0.5 * random.normal()), 2, 2 * size)
        stretch, turn = random.uniform(0.7, 1.0), random.uniform(0, np.pi)
        place, nucleus = random.uniform((0, 0), shape), random.uniform(-0.3, 0.3, 2)
        window, along, across = _window(shape, place, radius, turn)
        along, across = along / radius, across / (radius * stretch)
        body = np.clip(1 - along**2 - across**2, 0, None)
        body += np.clip(1 - ((along - nucleus[0]) ** 2 + (across - nucleus[1]) ** 2) / 0.16, 0, None) / 2
        canvas[:, *window] += random.uniform(0.3, 1.0, (channels, 1, 1)) * body
    return np.stack([stretched(ndimage.gaussian_filter(layer, BLUR)) for layer in canvas])


def wedge(shape: tuple[int, int], size: float, random: np.random.Generator) -> np.ndarray:
    """Draw a ramp in any direction with a few broad bumps and hollows on it, for several turns of phase.

    Parameters are those of `grains`, with `size` the least standard deviation of a bump.
    """
    rows, columns = (np.arange(length) - length / 2 for length in shape)
    turn, reach = random.uniform(0, 2 * np.pi), max(shape)
    surface = (np.sin(turn) * rows[:, None] + np.cos(turn) * columns[None, :]) / reach
    for _ in range(random.integers(1, 6)):
        place, width = random.uniform(-0.5, 0.5, 2) * shape, random.uniform(size, max(2 * size, reach / 3), 2)
        bump = [np.exp(-((a - p) ** 2) / (2 * w**2)) for a, p, w in zip((rows, columns), place, width, strict=True)]
        surface += random.uniform(-0.6, 0.6) * bump[0][:, None] * bump[1][None, :]
    return stretched(surface)[None]


def smooth_field(shape: tuple[int, int], slope: float, random: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian random field whose power falls as the frequency to the power of −`slope`.

    Parameters are those of `grains`; the blur that limits the band multiplies that spectrum.
    """
    # A longer period than the field's, so that its edges do not know each other.
    period = [fft.next_fast_len(length + 16, real=True) for length in shape]
    rows, columns = np.fft.fftfreq(period[0])[:, None], np.fft.rfftfreq(period[1])[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    gain = frequency ** (-slope / 2) * np.exp(-2 * (np.pi * BLUR * frequency) ** 2)
    white = fft.rfft2(random.standard_normal(period))
    return stretched(fft.irfft2(gain * white, period)[: shape[0], : shape[1]])[None]


def dead_leaves(shape: tuple[int, int], size: float, random: np.random.Generator, channels: int = 1) -> np.ndarray:
    """Draw ellipses and rectangles that hide each other, with radii r of density r⁻³: the statistics of pictures.

    The model of natural images that scales as they do (Lee, Mumford and Huang, Int. J. Comput. Vis. 41, 35, 2001).
    Parameters are those of `grains`, with radii from a quarter of `size` to four times `size`.
    """
    low, high = max(1.5, size / 4), max(3.0, 4 * size)
    # Of density r⁻³ between the two, r² is 2 low² ln(high / low) on average; leaves lie two and a half deep.
    mean_square = 2 * low**2 * np.log(high / low) / (1 - (low / high) ** 2)
    count = min(MOST_BODIES, max(8, round(2.5 * np.prod(shape) / (np.pi * mean_square))))
    radii = low / np.sqrt(1 - random.uniform(0, 1 - (low / high) ** 2, count))
    values = random.uniform(0, 1, (channels, count + 1))
    label = np.zeros(shape, int)
    for number, radius in enumerate(radii, start=1):
        stretch, turn = random.uniform(0.4, 1.0), random.uniform(0, np.pi)
        window, along, across = _window(shape, random.uniform((0, 0), shape), 1.2 * radius, turn)
        across = across / stretch
        round_leaf = random.random() < 0.6
        inside = along**2 + across**2 < radius**2 if round_leaf else np.maximum(abs(along), abs(across)) < 0.8 * radius
        label[window][inside] = number
    return np.stack([stretched(ndimage.gaussian_filter(value[label], BLUR)) for value in values])


def stretched(pattern: np.ndarray) -> np.ndarray:
    """Shift and scale a pattern so that it runs from 0 to 1."""
    return (pattern - pattern.min()) / max(np.ptp(pattern), 1e-9)


def _window(
    shape: tuple[int, int], place: np.ndarray, reach: float, turn: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Slices of the square about a place, and the distances there along and across a direction, in pixels."""
    low = [max(0, int(p - reach)) for p in place]
    high = [min(length, int(p + reach) + 2) for p, length in zip(place, shape, strict=True)]
    row, column = np.arange(low[0], high[0])[:, None] - place[0], np.arange(low[1], high[1])[None, :] - place[1]
    along, across = row * np.sin(turn) + column * np.cos(turn), row * np.cos(turn) - column * np.sin(turn)
    return (slice(low[0], high[0]), slice(low[1], high[1])), along, across
