"""Images for the page that compares results: those of one dataset at one scale, and small."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.reconstruction.pictures import lit_box

BYTES = 13_000_000
"""Of all images together; Base64 makes a third more of them."""
EDGES = (320, 256, 192, 160, 128, 96, 64)
"""Longer edges in pixels, of which the first is taken that stays below those bytes."""
QUALITY = 80
SHARE_OF_WHITE = 99.5
"""Percentile of an image that is still below white."""
PARTS = ("amplitude", "phase")


@dataclass
class Picture:
    """One part of one image, before it is drawn.

    Parameters
    ----------
    run, dataset, part : str
        What it belongs to.
    epoch : int or None
        Epochs after which the network made it; None at the end.
    values : ndarray
        (H, W) float32 amplitudes or phases in radians, or uint8 where it is drawn already.
    """

    run: str
    dataset: str
    part: str
    epoch: int | None
    values: np.ndarray = field(repr=False)


def result_pictures(folder: Path, run: str) -> list[Picture]:
    """Amplitude and phase of a result within its scored area, the phase against its own mean."""
    made = read_reconstruction(folder / "reconstruction.h5")
    box = lit_box(made)
    image = made.object[box]
    turned = image * np.exp(-1j * np.angle(image.mean()))
    values = {"amplitude": np.abs(image), "phase": np.angle(turned)}
    return [
        Picture(run, folder.name, part, None, shrunk(value.astype(np.float32), EDGES[0]))
        for part, value in values.items()
    ]


def training_pictures(run_folder: Path, run: str, dataset: str) -> list[Picture]:
    """What a training drew of its object, or of its first patch, after some epochs; on the truth's scale if known."""
    pictures = []
    for epoch in sorted((run_folder / "images").glob("epoch_*")):
        place = next((epoch / name for name in ("stitched", "patch_00") if (epoch / name).is_dir()), None)
        for part, name in zip(PARTS, ("amp_pred", "phase_pred"), strict=True):
            if place is not None and (place / f"{name}.png").exists():
                with Image.open(place / f"{name}.png") as image:
                    grey = np.asarray(image.convert("RGB" if part == "phase" else "L"))
                number = int(epoch.name.removeprefix("epoch_"))
                pictures.append(Picture(run, f"{dataset} (training)", part, number, grey))
    return pictures


def shrunk(image: np.ndarray, edge: int) -> np.ndarray:
    """An image with its longer edge no longer than so many pixels."""
    factor = max(image.shape[:2]) / edge
    if factor <= 1:
        return image
    size = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def limits_of(pictures: Iterable[Picture]) -> tuple[float, float]:
    """Black and white of images of one part of one dataset: what all of them have in common."""
    pictures = [picture for picture in pictures if picture.values.dtype != np.uint8]
    if not pictures:
        return 0.0, 0.0
    white = max(float(np.percentile(np.abs(picture.values), SHARE_OF_WHITE)) for picture in pictures) or 1.0
    return (-white, white) if pictures[0].part == "phase" else (0.0, white)


def drawn(pictures: list[Picture]) -> tuple[list[str], dict[str, dict[str, tuple[float, float]]]]:
    """Draw images as WebP.

    Returns
    -------
    files : list of str
        Base64, in the order of the pictures.
    limits : dict
        Values that are black and white, by dataset and part; the same for both where images came with their own scale.
    """
    groups: dict[tuple[str, str], list[Picture]] = {}
    for picture in pictures:
        groups.setdefault((picture.dataset, picture.part), []).append(picture)
    bounds = {key: limits_of(group) for key, group in groups.items()}
    for edge in EDGES:
        files = [_webp(shrunk(picture.values, edge), bounds[picture.dataset, picture.part]) for picture in pictures]
        if sum(map(len, files)) <= BYTES:
            break
    limits: dict[str, dict[str, tuple[float, float]]] = {}
    for (dataset, part), bound in bounds.items():
        limits.setdefault(dataset, {})[part] = bound
    return [base64.b64encode(file).decode() for file in files], limits


def _webp(values: np.ndarray, limits: tuple[float, float]) -> bytes:
    if values.dtype != np.uint8:
        low, high = limits
        values = np.rint(255 * ((values - low) / (high - low)).clip(0, 1)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "WEBP", quality=QUALITY, method=2)
    return stream.getvalue()
