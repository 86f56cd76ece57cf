"""What becomes of scans with one fault each, from the file to the image: refused, warned of, or right all the same.

``python tests/benchmarks/spoilt_scans.py --output results/benchmarks/spoilt.jsonl`` draws 100 small scans of all kinds
of objects and probes, writes, ingests and reconstructs each, and counts the warnings, all of them false. Then it spoils
500 times one of those that nothing was said of, so that whatever is said now is due to the fault, and prints a table.
Scans that stand in the output already are not tried again. What docs/formats.md reports is ``--draw 25 --good 40``.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from bad_scans import FAULTS, BadScan, write
from hidden_faults import HIDDEN_FAULTS

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.measurement.geometry_check import geometry_doubts
from ptychoflow.metrics.alignment import between_probes, moved_area, probe_radius, register, scored_area
from ptychoflow.metrics.similarity import similarity_scores
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

KINDS = FAULTS | HIDDEN_FAULTS
NONE = "none"
"""Name of the fault of a scan without one."""
OBJECTS = ("lines", "image", "siemens_star", "grains", "cells", "wedge", "smooth", "texture")
CONE = 0.5
"""Of the detector's width, that a focused beam lights."""
RIGHT = 0.95
"""Correlation with the right image from which on an image is right."""
OUTCOMES = ("refused", "warned of at ingest", "warned of by the reconstruction", "right", "wrong without a word")


def drawn(random: np.random.Generator) -> SimulationSettings:
    """A scan that reconstructs well if nothing is wrong with it: overlap, contrast and photons enough."""
    size = int(random.choice([32, 32, 32, 48]))
    width = float(random.uniform(0.28, 0.4))
    probe = str(random.choice(["disk", "disk", "zone_plate", "mirror"]))
    sign = float(random.choice([-1, 1]))
    # The beam of a zone plate or mirror fills as much of the detector as that of a disk, and as much of the field.
    geometry = SimulationSettings(size=size)
    cone = CONE * wavelength_of(geometry.energy) / geometry.pixel_size
    beam = ProbeSettings(
        kind=probe,
        flux=10 ** random.uniform(4.7, 6.7),
        disk_diameter=width,
        disk_curvature=sign * float(random.uniform(2, 6)),
        focal_length=ProbeSettings().zone_plate_diameter / cone,
        defocus=sign * width * size * geometry.pixel_size / cone,
        modes=int(random.choice([1, 1, 1, 2])),
    )
    sample = ObjectSettings(
        kind=OBJECTS[random.integers(len(OBJECTS))],
        absorption=float(random.uniform(0.1, 0.5)),
        phase_shift=float(random.choice([-1, 1]) * random.uniform(0.6, 2)),
        feature_size=float(random.uniform(6, 14)),
    )
    scan = ScanSettings(
        kind=str(random.choice(["raster", "raster", "fermat", "spiral"])),
        frames=int(random.choice([100, 121, 144])),
        step=float(random.uniform(0.22, 0.32) * width * size),
    )
    return SimulationSettings(object=sample, probe=beam, scan=scan, size=size, seed=int(random.integers(2**31)))


def placed(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An image (H, W) about the middle of another shape, cut or filled up with ones."""
    whole = np.ones(shape, image.dtype)
    here, there = [], []
    for old, new in zip(image.shape, shape, strict=True):
        low = (new - old) // 2
        here.append(slice(max(0, low), min(new, low + old)))
        there.append(slice(max(0, -low), max(0, -low) + here[-1].stop - here[-1].start))
    whole[tuple(here)] = image[tuple(there)]
    return whole


def likeness(found: Reconstruction, scan: Dataset, right: np.ndarray) -> float:
    """Complex correlation with the right image (H, W) over the field that the scan should have lit."""
    probe = scan.reference_probe
    coverage = coverage_of(probe, scan.positions, right.shape)
    area = scored_area(coverage, probe, scan.positions)
    start, reach = between_probes(found.probe, probe)
    aligned, shift = register(placed(found.object, right.shape), right, area, start, max(reach, probe_radius(probe)))
    score = similarity_scores(aligned, right, moved_area(area, shift))["complex_pearson"]
    return 0.0 if score is None else float(score)


def image_of(dataset: Dataset, folder: Path) -> Reconstruction:
    """Reconstruct as ``reconstruct.py`` does by default, but without a second image for the resolution."""
    path = folder / "scan.cxi"
    write_cxi(path, dataset)
    return reconstruct(read_cxi(path), path, BlindReconstructionSettings(halves=False), show=lambda _: None)


def outcome(draw: int, number: int, kind: str, base: int, folder: Path) -> dict[str, Any]:
    """Spoil a scan, follow it to its image and tell what became of it; nothing is spoilt where the kind is none."""
    settings = drawn(np.random.default_rng([41, draw, base]))
    scan = simulate(settings).validate("scan")
    bad = BadScan(scan.frames.astype(np.float64), scan.positions.copy(), scan.probe)
    bad = bad if kind == NONE else KINDS[kind](bad, np.random.default_rng([42, draw, number]))
    row: dict[str, Any] = {"draw": draw, "number": number, "kind": kind, "base": base, "fault": bad.fault}
    row["scan"] = asdict(settings)
    # Formats take turns with every round through the kinds.
    path, reading = write(folder, bad, scan, number // len(KINDS) * len(FAULTS))
    row["format"] = path.suffix
    try:
        read = read_dataset(path, reading)
        said = read.provenance.get("warnings", []) + geometry_doubts(read, str(path), whole=False)
        if said and kind != NONE:
            return row | {"outcome": OUTCOMES[1], "said": said}
        found = image_of(read, folder)
    except InputError as error:
        return row | {"outcome": OUTCOMES[0], "said": [str(error)]}
    finally:
        path.unlink()
    record = found.provenance
    row |= {"said_at_ingest": said, "said": said + record["warnings"], "explained": record["explained_share"]}
    row["misfit"] = record["held_out_deviance"] / record["expected_deviance"]
    if record["warnings"] and kind != NONE:
        return row | {"outcome": OUTCOMES[2]}
    like = likeness(found, scan, scan.truth)
    if like < RIGHT and kind != NONE:
        # Few photons may hide of the truth what they hide of a scan without fault.
        right = image_of(replace(scan, truth=None, true_probe=None), folder)
        like = max(like, likeness(found, scan, right.object))
    return row | {"likeness": like, "outcome": OUTCOMES[3] if like >= RIGHT else OUTCOMES[4]}


def summary(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Lines of a table, a kind of fault each."""
    yield "| fault | " + " | ".join(OUTCOMES) + " |\n|" + " --- |" * (len(OUTCOMES) + 1) + "\n"
    for kind in [*dict.fromkeys(row["kind"] for row in rows), "all"]:
        own = [row["outcome"] for row in rows if kind in (row["kind"], "all")]
        yield f"| {kind.replace('_', ' ')} | " + " | ".join(str(own.count(name)) for name in OUTCOMES) + " |\n"


def main(output: Path, draw: int = 0, good: int = 100, bad: int = 500, only: list[str] | None = None) -> None:
    """Follow scans from file to image.

    Parameters
    ----------
    output : Path
        JSON lines, one for each scan.
    draw : int
        Which scans they are.
    good : int
        How many without fault are tried first.
    bad : int
        How many are spoilt, each one of those that nothing was said of.
    only : list of str, optional
        Names of the faults that are tried.
    """
    torch.set_num_threads(1)
    for handler in logging.getLogger().handlers:
        # Warnings are kept, not shown.
        handler.setLevel(logging.ERROR)
    rows = []
    if output.exists():
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["draw"] == draw]
    output.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["kind"], row["number"]) for row in rows}

    def follow(number: int, kind: str, base: int) -> None:
        row = outcome(draw, number, kind, base, Path(folder))
        rows.append(row)
        with output.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        if row["outcome"] == OUTCOMES[4] or (kind == NONE and row["said"]):
            print(number, kind, row["fault"], row.get("likeness"), *row["said"], sep="; ", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for number in range(good):
            if (NONE, number) not in done:
                follow(number, NONE, number)
        quiet = [row["base"] for row in rows if row["kind"] == NONE and not row["said"] and row["likeness"] >= RIGHT]
        for number in range(bad):
            kind = list(KINDS)[number % len(KINDS)]
            if (kind, number) not in done and (only is None or kind in only):
                follow(number, kind, quiet[int(np.random.default_rng([43, draw, number]).integers(len(quiet)))])
    none = [row for row in rows if row["kind"] == NONE]
    at_ingest = sum(bool(row["said_at_ingest"]) for row in none)
    of_image = sum(len(row["said"]) > len(row["said_at_ingest"]) for row in none)
    print(f"{len(none)} scans without fault: {at_ingest} warned of at ingest, {of_image} by the reconstruction\n")
    print("".join(summary([row for row in rows if row["kind"] != NONE])))


if __name__ == "__main__":
    run_program(main)
