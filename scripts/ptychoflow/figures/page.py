"""results/runs.html: results side by side, in one file that needs no network."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ptychoflow.figures.page_images import Picture, drawn, result_pictures, training_pictures
from ptychoflow.figures.page_template import PAGE
from ptychoflow.files import replacing
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.studies.comparison import result_row, settings_of

SCORES = (
    *("amplitude_ssim", "phase_ssim", "amplitude_psnr", "phase_psnr", "complex_nrmse", "frc_half", "split_frc_half"),
    *("deviance", "fitted_deviance", "misfit", "lattice_share", "collapsed", "frames", "seconds", "train_seconds"),
)


def write_page(path: Path, folders: Iterable[Path]) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file.
    folders : iterable of Path
        Folders results/{experiment}/seed{seed}/{dataset}.
    """
    runs: dict[str, dict[str, Any]] = {}
    pictures: list[Picture] = []
    for folder in folders:
        row, provenance = result_row(folder), read_provenance(folder / "provenance.json")
        name = f"{folder.parent.parent.name}/{folder.parent.name}"
        if name not in runs:
            runs[name] = {
                "name": name,
                "method": row["method"],
                "settings": settings_of(provenance),
                "scores": {},
                "images": {},
                "pages": {},
            }
            sources = provenance.get("training", {}).get("data", [])
            if sources:
                pictures += training_pictures(folder.parent / "run", name, Path(sources[0]["file"]).stem)
        runs[name]["scores"][row["dataset"]] = {key: row[key] for key in SCORES if row.get(key) is not None}
        if (folder / "view.html").exists():
            address = os.path.relpath(folder / "view.html", path.parent)
            runs[name]["pages"][row["dataset"]] = quote(address.replace(os.sep, "/"))
        if (folder / "reconstruction.h5").exists():
            pictures += result_pictures(folder, name)
    files, limits = drawn(pictures)
    for picture, file in zip(pictures, files, strict=True):
        of_dataset = runs[picture.run]["images"].setdefault(picture.dataset, {})
        of_dataset.setdefault(str(picture.epoch or "end"), {})[picture.part] = file
    shown = [key for key in SCORES if any(key in score for run in runs.values() for score in run["scores"].values())]
    data = {"runs": list(runs.values()), "scores": shown, "limits": limits}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    with replacing(path) as temporary:
        temporary.write_text(PAGE.replace("{{data}}", text), encoding="utf-8")
