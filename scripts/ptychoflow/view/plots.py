"""What the plots of the page have in common; large arrays are filled in by the page's own code when it opens."""

from dataclasses import dataclass, field

import matplotlib
import numpy as np
from bokeh.models import LinearColorMapper, MetricLength, Model, Range1d, RangeSlider, ScaleBar
from bokeh.plotting import figure
from matplotlib.colors import to_hex

from ptychoflow.view.pictures import ObjectMap

PALETTES = ("gray", "viridis", "cividis", "magma", "twilight_shifted")
"""Colour maps that one may choose from: even steps to the eye, and told apart by the colour-blind."""
EDGE = 350
"""Pixels of the screen along a picture."""
TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
ORANGE, BLUE, GREEN, PINK = "#e69f00", "#3b9bd9", "#17a67c", "#d678ad"
"""Seen on black and on white, and told apart by the colour-blind (after Okabe and Ito, 2008)."""


FAINT = "#76838f"
THEME = {
    "attrs": {
        "Plot": {"background_fill_color": None, "border_fill_color": None},
        "ColorBar": {"background_fill_color": None, "major_label_text_color": FAINT, "width": 10, "padding": 4},
        "Legend": {
            "background_fill_color": None,
            "border_line_color": None,
            "label_text_color": FAINT,
            "label_text_font_size": "11px",
        },
    }
}
"""What all plots have in common: the page's own paper and ink show through, by day and by night."""


@dataclass
class Plots:
    """What the page shows, by the names that its layout has for it.

    Parameters
    ----------
    roots : list of Model
        Plots and sliders, each with its name.
    models : dict
        What the page's own code handles, by the names that it has there.
    """

    roots: list[Model] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=dict)

    def add(self, name: str, model: Model) -> None:
        """Put a plot or slider where the layout names it."""
        model.name = name
        self.roots.append(model)


def colours(name: str) -> list[str]:
    """256 colours of one of matplotlib's colour maps."""
    return [to_hex(colour) for colour in matplotlib.colormaps[name](np.linspace(0, 1, 256))]


def square(title: str, x_range: Range1d, y_range: Range1d) -> figure:
    """An empty picture as high as wide, without a grid."""
    made = figure(
        title=title, frame_width=EDGE, frame_height=EDGE, tools=TOOLS, active_scroll="wheel_zoom",
        x_range=x_range, y_range=y_range, toolbar_location="above",
    )  # fmt: skip
    made.grid.visible = False
    made.toolbar.logo = None
    return made


def plain(plot: figure) -> None:
    """Take away what a plot needs not show."""
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    if plot.legend:
        plot.legend.click_policy = "hide"


def scale_bar(x_range: Range1d) -> ScaleBar:
    """A bar of some round length, which follows the zoom."""
    return ScaleBar(
        range=x_range, unit="µm", dimensional=MetricLength(), location="bottom_right", orientation="horizontal",
        bar_length=0.2, background_fill_color="#000000", background_fill_alpha=0.55, border_line_color=None,
        bar_line_color="#ffffff", bar_line_width=3, label_text_color="#ffffff", padding=5, margin=6,
    )  # fmt: skip


def scale_slider(title: str, one: ObjectMap, mapper: LinearColorMapper) -> RangeSlider:
    """A slider over all values of a map that moves the ends of its scale."""
    finite = one.values[np.isfinite(one.values)]
    start, end = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    start, end = min(start, one.limits[0]), max(end, one.limits[1])
    slider = RangeSlider(
        title=title, start=start, end=end, step=(end - start) / 500, value=one.limits, format="0.000",
        sizing_mode="stretch_width",
    )  # fmt: skip
    slider.js_link("value", mapper, "low", attr_selector=0)
    slider.js_link("value", mapper, "high", attr_selector=1)
    return slider
