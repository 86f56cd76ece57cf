"""Pictures of the object, whose zoom is one, and profiles along a line through them."""

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, HoverTool, LinearColorMapper, Range1d, Spinner
from bokeh.plotting import figure

from ptychoflow.view.pictures import ObjectMap, ObjectMaps
from ptychoflow.view.plots import BLUE, ORANGE, TOOLS, Plots, colours, plain, scale_bar, scale_slider, square

INPUT_STYLE = ".bk-input {background-color: var(--card); color: var(--ink); border-color: var(--line)}"


def add_object(plots: Plots, maps: ObjectMaps) -> None:
    """Pictures of the object, whose zoom is one, with a slider each for the scale, and the line of a profile."""
    rows, columns = (length * maps.pixel for length in maps.maps[0].values.shape)
    top, left = maps.origin
    half = max(rows, columns) / 2
    middle = left + columns / 2, top + rows / 2
    x_range = Range1d(middle[0] - half, middle[0] + half)
    y_range = Range1d(middle[1] + half, middle[1] - half)
    plots.models |= {"x_range": x_range, "y_range": y_range}
    line = ColumnDataSource({"x": [left + 0.1 * columns, left + 0.9 * columns], "y": [middle[1]] * 2})
    plots.models["line"] = line
    for number, one in enumerate(maps.maps):
        picture = square(_titled(one), x_range=x_range, y_range=y_range)
        picture.xaxis.axis_label, picture.yaxis.axis_label = "x [µm]", "y [µm]"
        source = ColumnDataSource({"image": [np.zeros((1, 1), np.float32)]})
        mapper = LinearColorMapper(
            colours(one.colours), low=one.limits[0], high=one.limits[1], nan_color="rgba(0, 0, 0, 0)"
        )
        picture.image("image", left, top, columns, rows, source=source, color_mapper=mapper)
        picture.line("x", "y", source=line, line_color=ORANGE, line_width=1.5)
        picture.scatter("x", "y", source=line, size=7, fill_color=ORANGE, line_color="black")
        picture.add_layout(ColorBar(color_mapper=mapper), "right")
        picture.add_layout(scale_bar(x_range))
        plots.add(f"map{number}", picture)
        plots.models |= {f"map{number}": picture, f"image{number}": source, f"mapper{number}": mapper}
        slider = scale_slider(f"scale of the {_titled(one)}", one, mapper)
        plots.models[f"scale{number}"] = slider
        plots.add(f"scale{number}", slider)
    for name, label, high in (
        ("x0", "from x [µm]", line.data["x"][0]),
        ("y0", "y [µm]", line.data["y"][0]),
        ("x1", "to x [µm]", line.data["x"][1]),
        ("y1", "y [µm]", line.data["y"][1]),
    ):
        field_ = Spinner(
            title=label, value=round(high, 4), step=round(10 * maps.pixel, 4), width=105, format="0.000",
            stylesheets=[INPUT_STYLE],
        )  # fmt: skip
        plots.models[name] = field_
        plots.add(name, field_)
    shared = None
    for number, one in enumerate(maps.maps[:2]):
        profile = figure(
            height=210, tools=f"{TOOLS},crosshair", sizing_mode="stretch_width", title=f"{one.name} along the line"
        )
        shared = shared or profile.x_range
        profile.x_range = shared
        profile.xaxis.axis_label, profile.yaxis.axis_label = "distance [nm]", _titled(one)
        source = ColumnDataSource({"distance": [0.0, 1.0], "value": [0.0, 0.0]})
        profile.line("distance", "value", source=source, line_color=ORANGE if number else BLUE, line_width=1.5)
        profile.add_tools(HoverTool(tooltips=[("distance", "@distance{0.0} nm"), (one.name, "@value{0.0000}")]))
        plain(profile)
        plots.models[f"profile{number}"] = source
        plots.add(f"profile{number}", profile)


def _titled(one: ObjectMap) -> str:
    return f"{one.name} [{one.unit}]" if one.unit else one.name
