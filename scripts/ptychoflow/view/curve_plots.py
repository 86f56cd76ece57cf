"""Probe modes with their powers, ring correlations, and the deviance over iterations."""

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from ptychoflow.metrics.resolution import RingCorrelation
from ptychoflow.view.plots import BLUE, FAINT, GREEN, ORANGE, TOOLS, Plots, plain, scale_bar


def add_probe(plots: Plots, pictures: list[np.ndarray], shares: np.ndarray, extent: float) -> None:
    """Probe modes, amplitude beside phase, and their shares of the light.

    Parameters
    ----------
    plots : Plots
        What they are added to.
    pictures, shares
        As `mode_pictures` gives them.
    extent : float
        Micrometres along the edge of a mode.
    """
    x_range, y_range = Range1d(0, 2 * extent), Range1d(extent, 0)
    for number, picture in enumerate(pictures):
        plot = figure(
            frame_width=300, frame_height=150, tools=TOOLS, active_scroll="wheel_zoom", x_range=x_range,
            y_range=y_range, toolbar_location=None, title=f"mode {number + 1}: {shares[number]:.1%} of the light",
        )  # fmt: skip
        plot.image_rgba([picture], 0, 0, 2 * extent, extent)
        plot.axis.visible = False
        plot.grid.visible = False
        plot.add_layout(scale_bar(x_range))
        plots.add(f"mode{number}", plot)
    names = [str(number + 1) for number in range(len(shares))]
    bars = figure(
        x_range=names, height=200, width=300, tools="save", title="shares of the light", y_range=(0, 118),
    )  # fmt: skip
    bars.vbar(names, top=(100 * shares).tolist(), width=0.7, color=BLUE)
    labels = [f"{100 * share:.3g} %" for share in shares]
    bars.text(
        names, (100 * shares).tolist(), text=labels, text_align="center", y_offset=-3, text_font_size="11px",
        text_color=FAINT,
    )  # fmt: skip
    bars.xaxis.axis_label, bars.yaxis.axis_label = "probe mode", "share [%]"
    plain(bars)
    plots.add("powers", bars)


def add_curves(
    plots: Plots,
    correlations: dict[str, RingCorrelation],
    deviances: list[float],
    expected: float | None,
    nyquist: float,
) -> None:
    """Ring correlations, and how the deviance fell.

    Parameters
    ----------
    plots : Plots
        What they are added to.
    correlations : dict
        By what was correlated with.
    deviances : list of float
        Of the frames left out, by iteration; empty where none are known.
    expected : float, optional
        What a perfect model has.
    nyquist : float
        Highest frequency of the object's pixels, per micrometre.
    """
    if correlations:
        plot = _curve("Fourier ring correlation", "spatial frequency [1/µm]", "correlation")
        plot.y_range = Range1d(-0.1, 1.05)
        known = {"truth": "with the true object", "halves": "between halves of the frames"}
        for (name, rings), colour in zip(correlations.items(), (BLUE, ORANGE), strict=False):
            source = ColumnDataSource(
                {
                    "frequency": rings.frequency * nyquist,
                    "correlation": rings.correlation,
                    "half": 500 / (rings.frequency * nyquist),
                }
            )
            drawn = plot.line(
                "frequency", "correlation", source=source, line_color=colour, line_width=2,
                legend_label=known.get(name, name),
            )  # fmt: skip
            plot.add_tools(
                HoverTool(
                    renderers=[drawn],
                    tooltips=[("half-period", "@half{0.0} nm"), ("correlation", "@correlation{0.000}")],
                )
            )
            for threshold, label, dash in (("half", "½", "dashed"), ("half_bit", "half a bit", "dotdash")):
                resolved = 500 / (rings.crossing(threshold) * nyquist)
                plot.line(
                    rings.frequency * nyquist, rings.threshold(threshold), line_color=colour, line_dash=dash,
                    legend_label=f"{label}: {resolved:.3g} nm half-period",
                )  # fmt: skip
        plot.legend.location = "bottom_left"
        plain(plot)
        plots.add("correlation", plot)
    if deviances:
        plot = _curve("deviance of the frames left out", "iteration", "Poisson deviance per pixel", "log")
        plot.line(list(range(1, len(deviances) + 1)), deviances, line_color=BLUE, line_width=2, legend_label="found")
        plot.scatter(list(range(1, len(deviances) + 1)), deviances, color=BLUE, size=5)
        if expected is not None:
            plot.line(
                [1, len(deviances)], [expected] * 2, line_color=GREEN, line_dash="dashed", line_width=2,
                legend_label="a perfect model's",
            )  # fmt: skip
        plot.legend.location = "top_right"
        plain(plot)
        plots.add("deviance", plot)


def _curve(title: str, x: str, y: str, scale: str = "linear") -> figure:
    return figure(
        title=title, x_axis_label=x, y_axis_label=y, y_axis_type=scale, height=300, sizing_mode="stretch_width",
        tools=TOOLS, active_scroll=None,
    )  # fmt: skip
