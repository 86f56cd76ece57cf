"""Write docs/gallery.md and its pictures from the results of config/gallery.yaml: run by `make gallery`."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
WIDTH = 760
"""Pixels of a picture along the page."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SCANS = {
    "pretrained/seed0/lines": (
        "Lines",
        "Random lines under a zone plate's defocused probe, which the file names rightly: 400 frames, 10⁶ photons in "
        "each.",
    ),
    "pretrained/seed0/few-photons": (
        "Few photons",
        "Cells with 10⁴ photons in a frame, which crossed mirrors focus, on a Fermat spiral.",
    ),
    "pretrained/seed0/no-probe": (
        "A probe that nobody knows",
        "Grains whose phase and absorption share no more than their outlines, in light of two modes with aberrations. "
        "The file has no probe at all.",
    ),
    "positions/seed0/wrong-positions": (
        "Wrong positions",
        "A star whose written positions are wrong by one pixel, root mean square along each axis; they are solved "
        "for (`solve_positions: true`).",
    ),
    "unwrapped/seed0/many-turns": (
        "Phases of many turns",
        "A smooth field of 14 rad. Its figure is drawn unwrapped (`figures: {unwrap: true}`): triangles would mark "
        "residues, round which no phase is without a jump; it has none.",
    ),
    "pretrained/seed0/siemens": (
        "A measured Siemens star",
        "516 frames of 128×128 counts, measured at 8.8 keV (AdvancedPhotonSource/tike, BSD-3-Clause), three probe "
        "modes. The file tells no geometry; micrometres are those of the beamline's usual one.",
    ),
}
"""Result, its name, and what was measured."""
LOOKED_AT = "pretrained/seed0/siemens"
HEAD = """# Gallery

What the pretrained network makes of scans that it never saw, without training, on a CPU. `make gallery` makes
the scans, the images and this page with [config/gallery.yaml](../config/gallery.yaml); the pictures are the
workflow's own, made smaller, and the numbers stand in each result's `metrics.json` ([scores.md](scores.md)).
None was chosen among several.
"""
PAGE = """
## A page to look at

![The page of the measured star](gallery/view.png)

*`results/pretrained/seed0/siemens/view.html` in a browser: pictures of the object zoom together, a click on a
position shows what was measured there and what the image makes of it; below are probe, resolution, iterations and
provenance.*
"""


def main(results: Path) -> None:
    """Write the page and its pictures; a result that is missing ends it before anything is written."""
    sections, pictures = [HEAD], {}
    for name, (title, words) in SCANS.items():
        folder = results / name
        scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        doubts = json.loads((folder / "provenance.json").read_text(encoding="utf-8")).get("warnings", [])
        picture = f"{folder.name}.png"
        pictures[picture] = folder / "figures/reconstruction.png"
        sections.append(f"## {title}\n\n{words}\n\n![{title}](gallery/{picture})\n\n*{told(scores)}*\n")
        sections += [f"Doubtful, it says: {doubt}.\n" for doubt in doubts]
    place = DOCS / "gallery"
    place.mkdir(exist_ok=True)
    for name, source in pictures.items():
        shrunk(source, place / name)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is not None:
        photograph(browser, results / LOOKED_AT / "view.html", place / "view.png")
    sections += [PAGE] if (place / "view.png").exists() else []
    (DOCS / "gallery.md").write_text("\n".join(sections), encoding="utf-8")


def told(scores: dict[str, float | None]) -> str:
    """Scores in a sentence, each with its unit."""
    parts = [f"misfit {scores['misfit']:.3g}"]
    if scores["phase_ssim"] is not None:
        parts.append(f"similarity to the true phase {scores['phase_ssim']:.3f} (SSIM)")
    for key, name in (("frc_half_bit_nm", "with the true object"), ("split_frc_half_bit_nm", "between halves")):
        if scores[key] is not None:
            parts.append(f"half-period {scores[key]:.3g} nm at half a bit {name}")
    return f"{'; '.join(parts)}."


def shrunk(source: Path, target: Path, width: int = WIDTH) -> None:
    """Make a picture smaller, without what it knows of its origin, which the result has."""
    with Image.open(source) as image:
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    if opaque.width > width:
        opaque = opaque.resize((width, round(opaque.height * width / opaque.width)), Image.Resampling.LANCZOS)
    opaque.save(target, optimize=True)


def photograph(browser: str, page: Path, target: Path) -> None:
    """Take a picture of the upper part of a page."""
    with tempfile.TemporaryDirectory() as place:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={place}/profile",
        ]
        options += ["--window-size=1400,1500", "--virtual-time-budget=10000", f"--screenshot={place}/page.png"]
        subprocess.run([browser, *options, page.resolve().as_uri()], check=True, capture_output=True, timeout=120)
        shrunk(Path(place, "page.png"), target)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
