"""Amplitude and phase as plain pictures, one image pixel for each object pixel, and what all pictures share."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.metrics.alignment import scored_area
from ptychoflow.provenance.embedded import picture_metadata
from ptychoflow.provenance.record import package_versions, repository_commit, write_provenance
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase, write_reconstruction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPRODUCIBLE = {"svg.hashsalt": "ptychoflow"}
"""Settings of matplotlib without which the same data give files with other random names."""
DOUBT_WIDTH = 130
"""Letters of a line of what is doubtful."""


def save_images(reconstruction: Reconstruction, amplitude: Path, phase: Path) -> None:
    """Save amplitude and phase of the illuminated part as plain pictures, one image pixel for each object pixel."""
    check_formats(amplitude, phase)
    box = lit_box(reconstruction)
    image = reconstruction.object[box]
    area = illuminated_area(reconstruction)[box]
    turned = without_mean_phase(image, area)
    for path, values in ((amplitude, np.abs(image)), (phase, np.angle(turned))):
        low, high = np.percentile(values[area], [0.5, 99.5])
        with replacing(path) as temporary:
            _save_grey(temporary, values, low, max(high, low + 1e-6), reconstruction.provenance)


def _save_grey(path: Path, values: np.ndarray, low: float, high: float, provenance: dict[str, Any]) -> None:
    """Save values (H, W) in grey, black at `low` and below, white at `high` and above."""
    if path.suffix.lower() != ".png":
        from matplotlib import image, rc_context

        metadata = picture_metadata(path.suffix, provenance | {"drawn_by": drawn_by()})
        with rc_context(REPRODUCIBLE):
            image.imsave(path, values, cmap="gray", vmin=low, vmax=high, metadata=metadata)
        return
    # Without matplotlib, which takes longer to load than a small scan to reconstruct.
    grey = (256 * ((values - low) / (high - low)).clip(0, 1)).clip(0, 255).astype(np.uint8)
    text = PngImagePlugin.PngInfo()
    for key, value in picture_metadata(".png", provenance | {"drawn_by": drawn_by("pillow")}).items():
        text.add_text(key, value)
    Image.fromarray(grey).save(path, pnginfo=text)


def say_doubts(figure: "Figure", sentences: list[str]) -> None:
    """Write what is doubtful about an image under its figure, so that it is seen wherever the figure is shown."""
    if sentences:
        lines = [line for sentence in sentences for line in wrap(f"Doubtful: {sentence}.", DOUBT_WIDTH)]
        figure.supxlabel("\n".join(lines), color="firebrick", fontsize=9, x=0.01, ha="left")


def keep_reconstruction(
    reconstruction: Reconstruction,
    output: Path,
    amplitude: Path | None = None,
    phase: Path | None = None,
    provenance: Path | None = None,
) -> None:
    """Write a reconstruction, and beside it, where asked for, its two pictures and what made it."""
    if amplitude is not None and phase is not None:
        save_images(reconstruction, amplitude, phase)
    write_reconstruction(output, reconstruction)
    if provenance is not None:
        write_provenance(provenance, reconstruction.provenance)


def drawn_by(package: str = "matplotlib") -> dict[str, Any]:
    """What draws a figure, which may be newer than what made its content; no time, so that the same stays the same."""
    commit = repository_commit()
    return {
        "commit": commit.removesuffix("-dirty"),
        "dirty": commit.endswith("-dirty"),
        "packages": package_versions(package),
    }


def check_formats(*paths: Path) -> None:
    """Refuse a path whose suffix names no format of pictures."""
    for path in paths:
        if path.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"{path} names no known format of pictures: expected .png, .svg or .pdf at its end")


def lit_box(reconstruction: Reconstruction) -> tuple[slice, slice]:
    """Smallest rectangle of the object that holds the scored area."""
    return box_of(illuminated_area(reconstruction))


def box_of(area: np.ndarray) -> tuple[slice, slice]:
    """Smallest rectangle that holds an area (H, W) bool."""
    rows, columns = np.nonzero(area)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def illuminated_area(reconstruction: Reconstruction) -> np.ndarray:
    """Scored part of the object, (H, W) bool: where the scan illuminates it well."""
    return scored_area(reconstruction.coverage, reconstruction.probe, reconstruction.positions)
