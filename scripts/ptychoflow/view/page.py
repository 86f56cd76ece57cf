"""view.html: a result to look at, its plots joined in zoom and answering clicks, in one file that needs no network."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.models import CustomJS
from bokeh.resources import Resources
from bokeh.themes import Theme

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.files import replacing
from ptychoflow.metrics.resolution import RingCorrelation
from ptychoflow.reconstruction.file import Reconstruction, as_reconstructed
from ptychoflow.reconstruction.scoring import known_doubts
from ptychoflow.view.code import CODE
from ptychoflow.view.curve_plots import add_curves, add_probe
from ptychoflow.view.facts import facts, score_rows
from ptychoflow.view.object_plots import add_object
from ptychoflow.view.patterns import frame_deviances, packed_patterns
from ptychoflow.view.pictures import coded, mode_pictures, object_maps
from ptychoflow.view.plots import PALETTES, THEME, Plots, colours
from ptychoflow.view.scan_plots import add_scan
from ptychoflow.view.template import TEMPLATE

PAGE_BYTES = 9_500_000
"""Of a whole page; patterns take what all else leaves."""
LEAST_PATTERN_BYTES = 1_000_000
LIBRARY_BYTES = 1_800_000
"""Of Bokeh's code and the page's own, about."""
RANDOM_NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def write_view(
    path: Path,
    reconstruction: Reconstruction,
    dataset: Dataset,
    scores: dict[str, Any],
    correlations: dict[str, RingCorrelation],
    title: str,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file.
    reconstruction : Reconstruction
        What is looked at.
    dataset : Dataset
        What it was made from.
    scores, correlations : dict
        As `ptychoflow.reconstruction.scoring.score` gives them.
    title : str
        Heading of the page.

    Raises
    ------
    InputError
        Where reconstruction and dataset do not belong together.
    """
    doubted = [*dataset.provenance.get("warnings", []), *known_doubts(reconstruction, dataset)]
    dataset = as_reconstructed(dataset, reconstruction)
    plots, maps = Plots(), object_maps(reconstruction)
    add_object(plots, maps)
    codes = [coded(one.values) for one in maps.maps]
    deviances, expected, most = frame_deviances(reconstruction, dataset)
    room = PAGE_BYTES - LIBRARY_BYTES - sum(len(one["codes"]) for one in codes)
    patterns = packed_patterns(reconstruction, dataset, deviances, most, max(LEAST_PATTERN_BYTES, room * 3 // 4))
    add_scan(plots, reconstruction, deviances, expected, patterns)
    pictures, shares = mode_pictures(reconstruction.probe)
    micrometres = 1e6 * reconstruction.pixel_size
    add_probe(plots, pictures, shares, dataset.size * micrometres)
    made = reconstruction.provenance
    add_curves(plots, correlations, made.get("deviances", []), made.get("expected_deviance"), 0.5 / micrometres)
    data = {
        "maps": codes,
        "origin": maps.origin,
        "pixel": maps.pixel,
        "palettes": {name: colours(name) for name in PALETTES},
        "patterns": {
            "frames": patterns.frames.tolist(),
            "images": [base64.b64encode(image).decode() for image in patterns.images],
            "steps": patterns.steps,
            "top": patterns.top,
        },
    }
    shown = {
        "title": title,
        "doubts": list(dict.fromkeys(doubted)),
        "facts": facts(reconstruction, dataset),
        "scores": score_rows(scores),
        "record": json.dumps(made, indent=1),
        "maps": [{"number": number, "colours": one.colours} for number, one in enumerate(maps.maps)],
        "palettes": PALETTES,
        "binning": maps.binning,
        "pattern_binning": patterns.binning,
        "steps": patterns.steps,
        "pattern_count": len(patterns.frames),
        "count": len(reconstruction.positions),
        "modes": range(len(pictures)),
        "names": {model.name for model in plots.roots},
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    text = _assembled(plots, title, shown)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _assembled(plots: Plots, title: str, shown: dict[str, Any]) -> str:
    document = Document()
    for root in plots.roots:
        document.add_root(root)
    document.js_on_event(DocumentReady, CustomJS(args={"models": plots.models}, code=CODE))
    text = file_html(
        document,
        Resources(mode="inline"),
        title,
        template=TEMPLATE,
        template_variables=shown,
        theme=Theme(json=THEME),
    )
    # Bokeh gives roots and document names by chance; without those the same data give the same file.
    names: dict[str, str] = {}
    return RANDOM_NAME.sub(lambda found: names.setdefault(found[0], f"view-{len(names)}"), text)
