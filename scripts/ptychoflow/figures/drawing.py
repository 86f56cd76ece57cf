"""How maps of an object stand in a figure: in micrometres, with a scale bar, in even steps to the eye."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from ptychoflow.figures.unwrapping import residues, unwrapped

AMPLITUDE_COLOURS, PHASE_COLOURS, ERROR_COLOURS = "gray", "twilight_shifted", "magma"
"""Even steps to the eye, told apart by the colour-blind; those of phases that go round are cyclic."""
ROUND = 1.8 * np.pi
"""Radians that phases take up from which they are held to go round the circle."""
PREFIXES = ((1e-3, "nm", 1e3), (1.0, "µm", 1.0), (1e3, "mm", 1e-3))
"""Micrometres from which lengths are given in a unit, and how many of it a micrometre has."""
Extent = tuple[float, float, float, float]


def phase_scale(phase: np.ndarray) -> tuple[tuple[float, float], str]:
    """Ends of a scale and colours for phases in radians: a whole circle of cyclic ones where they go round it."""
    low, high = np.nanpercentile(phase, [0.5, 99.5])
    if high - low > ROUND and np.nanmax(np.abs(phase)) <= np.pi + 1e-6:
        return (-math.pi, math.pi), PHASE_COLOURS
    return wide_enough((low, high)), AMPLITUDE_COLOURS


def wide_enough(limits: tuple[float, float]) -> tuple[float, float]:
    """Ends of a scale that are not one and the same."""
    low, high = map(float, limits)
    return low, max(high, low + 1e-6)


def extent_of(shape: tuple[int, int], pixel_size: float, corner: tuple[int, int] = (0, 0)) -> Extent:
    """Left, right, lower and upper end in micrometres of pixels (H, W) whose first has the index `corner`."""
    micrometres = 1e6 * pixel_size
    (top, left), (height, width) = corner, shape
    return left * micrometres, (left + width) * micrometres, (top + height) * micrometres, top * micrometres


def show_map(
    axis: Axes,
    values: np.ndarray,
    extent: Extent,
    title: str,
    colours: str,
    limits: tuple[float, float],
    unit: str = "",
) -> AxesImage:
    """Draw a map of an object with a scale bar and its colours.

    Parameters
    ----------
    axis : Axes
        Where to draw it.
    values : ndarray
        (H, W) float.
    extent : tuple of float
        As `extent_of` gives it.
    title, unit : str
        What is drawn, and in what.
    colours : str
        Colour map.
    limits : tuple of float
        Values at the ends of its scale.
    """
    low, high = wide_enough(limits)
    image = axis.imshow(values, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="nearest")
    axis.set(title=title, xlabel="x [µm]", ylabel="y [µm]")
    axis.figure.colorbar(image, ax=axis, shrink=0.8, label=unit)
    add_scale_bar(axis)
    return image


def show_phase(
    axis: Axes,
    phase: np.ndarray,
    area: np.ndarray,
    extent: Extent,
    title: str,
    unwrap: bool = False,
    like: np.ndarray | None = None,
) -> tuple[float, float]:
    """Draw a phase, and give the ends of its scale.

    Parameters
    ----------
    axis, extent, title
        As for `show_map`.
    phase : ndarray
        (H, W) float radians.
    area : ndarray
        (H, W) bool, where it means something.
    unwrap : bool
        Whether it is drawn without jumps of a turn, within the area alone, the points marked round which none can be.
    like : ndarray, optional
        Another phase (H, W), whose scale and colours this one is given.
    """
    ends, colours = phase_scale((phase if like is None else like)[area])
    if not unwrap:
        show_map(axis, phase, extent, title, colours, ends, "rad")
        return ends
    smooth = unwrapped(phase, area)
    reference = smooth if like is None else unwrapped(like, area)
    smooth = smooth + 2 * np.pi * np.round(np.median((reference - smooth)[area]) / (2 * np.pi))
    ends = wide_enough(np.percentile(reference[area], [0.5, 99.5]))
    show_map(axis, smooth, extent, f"{title}, unwrapped", AMPLITUDE_COLOURS, ends, "rad")
    left, right, low, high = extent
    turns = residues(phase, area)
    for turn, marker, colour in ((1, "^", "tab:orange"), (-1, "v", "tab:blue")):
        rows, columns = np.nonzero(turns == turn)
        if len(rows):
            x = left + (columns + 1) * (right - left) / phase.shape[1]
            y = high + (rows + 1) * (low - high) / phase.shape[0]
            axis.plot(x, y, marker, color=colour, markersize=4, label=f"{len(rows)} residues of {turn:+d} turn")
    if axis.lines:
        axis.legend(loc="upper right", fontsize=7)
    return ends


def add_scale_bar(axis: Axes) -> None:
    """Put a bar of a round length into the lower right corner of an axis in micrometres."""
    length, label = bar_of(abs(np.subtract(*axis.get_xlim())))
    bar = AnchoredSizeBar(
        axis.transData, length, label, "lower right", color="white", pad=0.3, borderpad=0.4, sep=3,
        size_vertical=abs(np.subtract(*axis.get_ylim())) / 100, fill_bar=True, label_top=True,
    )  # fmt: skip
    bar.patch.set(facecolor="black", alpha=0.55, edgecolor="none")
    axis.add_artist(bar)


def bar_of(width: float) -> tuple[float, str]:
    """Length in micrometres of a bar of at most a quarter of a width in micrometres, and what is written over it."""
    most = width / 4
    decade = 10.0 ** math.floor(math.log10(most))
    length = decade * max(step for step in (1, 2, 5) if step * decade <= most * (1 + 1e-9))
    _, unit, factor = next((one for one in reversed(PREFIXES) if length >= one[0] * (1 - 1e-9)), PREFIXES[0])
    return length, f"{length * factor:.4g} {unit}"
