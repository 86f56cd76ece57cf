"""Scan positions in the colour of each frame's misfit, and the patterns of the frame that is chosen."""

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    Range1d,
    RangeSlider,
    Slider,
    TapTool,
)

from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.view.patterns import Patterns
from ptychoflow.view.pictures import ObjectMap
from ptychoflow.view.plots import EDGE, PINK, Plots, colours, scale_bar, scale_slider, square


def add_scan(
    plots: Plots, reconstruction: Reconstruction, deviances: np.ndarray, expected: np.ndarray, patterns: Patterns
) -> None:
    """Scan positions in the colour of each frame's misfit, and the patterns of the one that is chosen."""
    misfits = deviances / expected
    micrometres = 1e6 * reconstruction.pixel_size
    # The middle of a frame lies on its pixel's middle.
    places = (reconstruction.positions + 0.5) * micrometres
    # As large as leaves some room between neighbours of an even scan.
    dot = float(np.clip(0.65 * EDGE / np.sqrt(len(misfits)), 3, 8))
    kept = np.isin(np.arange(len(misfits)), patterns.frames)
    source = ColumnDataSource(
        {
            "x": places[:, 1].astype(np.float32),
            "y": places[:, 0].astype(np.float32),
            "misfit": misfits.astype(np.float32),
            "deviance": deviances.astype(np.float32),
            "number": np.arange(len(misfits)),
            "kind": kinds(reconstruction),
            "marker": np.where(reconstruction.held_out, "diamond", "circle").tolist(),
            "size": np.where(reconstruction.held_out, 1.5, 1.0) * dot,
            "alpha": np.where(kept, 1.0, 0.45).astype(np.float32),
        }
    )
    low, high = float(misfits.min()), float(np.percentile(misfits, 99))
    one = ObjectMap("misfit", "", misfits, (low, max(high, low + 1e-3)), "viridis")
    mapper = LinearColorMapper(colours(one.colours), low=one.limits[0], high=one.limits[1])
    scan = square("misfit of each frame: click one", x_range=plots.models["x_range"], y_range=plots.models["y_range"])
    scan.xaxis.axis_label, scan.yaxis.axis_label = "x [µm]", "y [µm]"
    points = scan.scatter(
        "x", "y", source=source, size="size", marker="marker", line_color=None, fill_alpha="alpha",
        fill_color={"field": "misfit", "transform": mapper},
    )  # fmt: skip
    points.selection_glyph = points.glyph.clone(size=14, line_color=PINK, line_width=3, fill_alpha=1)
    points.nonselection_glyph = None
    scan.add_tools(
        TapTool(renderers=[points]),
        HoverTool(
            renderers=[points],
            tooltips=[("frame", "@number"), ("misfit", "@misfit{0.000}"), ("", "@kind")],
        ),
    )
    scan.add_layout(ColorBar(color_mapper=mapper), "right")
    scan.add_layout(scale_bar(plots.models["x_range"]))
    slider = scale_slider("scale of the misfit", one, mapper)
    plots.models |= {"frames": source, "scan": scan, "misfit_scale": slider}
    plots.add("scan", scan)
    plots.add("misfit_scale", slider)
    _add_patterns(plots, patterns, reconstruction.probe.shape[-1], len(misfits))


def _add_patterns(plots: Plots, patterns: Patterns, size: int, count: int) -> None:
    chooser = Slider(title="frame", start=0, end=max(count - 1, 1), value=0, step=1, sizing_mode="stretch_width")
    plots.models["frame"] = chooser
    plots.add("frame", chooser)
    decades = [10.0**power for power in range(int(patterns.top) + 1)]
    mapper = LinearColorMapper(colours("magma"), low=0, high=max(patterns.top, 0.01), nan_color="#5b7f95")
    edge = size // patterns.binning * patterns.binning
    x_range, y_range = Range1d(0, edge), Range1d(edge, 0)
    for name in ("measured", "modelled"):
        picture = square(f"{name}, photons per pixel", x_range=x_range, y_range=y_range)
        picture.xaxis.axis_label, picture.yaxis.axis_label = "detector column [pixels]", "detector row [pixels]"
        source = ColumnDataSource({"image": [np.zeros((1, 1), np.float32)]})
        picture.image("image", 0, 0, edge, edge, source=source, color_mapper=mapper)
        bar = ColorBar(color_mapper=mapper)
        bar.ticker = FixedTicker(ticks=[0, *(float(np.log10(1 + decade)) for decade in decades)])
        bar.major_label_overrides = {0: "0"} | {
            float(np.log10(1 + decade)): f"{decade:,.0f}" if decade < 1e5 else f"{decade:.0e}" for decade in decades
        }
        picture.add_layout(bar, "right")
        plots.models[name] = source
        plots.add(name, picture)
    slider = RangeSlider(
        title="scale of both patterns, log₁₀(1 + photons)", start=0, end=max(patterns.top, 0.01), step=0.01,
        value=(0, max(patterns.top, 0.01)), sizing_mode="stretch_width", format="0.00",
    )  # fmt: skip
    slider.js_link("value", mapper, "low", attr_selector=0)
    slider.js_link("value", mapper, "high", attr_selector=1)
    plots.models["pattern_scale"] = slider
    plots.add("pattern_scale", slider)


def kinds(reconstruction: Reconstruction) -> list[str]:
    """What each frame was used for, in words."""
    words = np.where(reconstruction.held_out, "held out", "used")
    if reconstruction.trained is not None:
        words = np.where(reconstruction.trained, "used, and trained on", words)
    return words.tolist()
