"""How well geometry is measured: 40 simulated scans whose files are wrong, eight orientations of five kinds.

``python tests/benchmarks/measured_geometry.py --output results/benchmarks/geometry.jsonl`` simulates and measures each
and prints tables; scans that stand in the output already are not measured again. ``--draw 1`` and so on draw others, to
develop on; what docs/formats.md reports is ``--draw 0``. With ``--deformed`` they are stretched and sheared as well.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.pupils import focus_of
from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.dataset.position_axes import turned
from ptychoflow.measurement.geometry_fit import Place
from ptychoflow.measurement.measurement import Measurement, measure
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.simulation import (
    GuessSettings,
    ObjectSettings,
    ProbeSettings,
    ScanSettings,
    SimulationSettings,
)
from ptychoflow.simulation.dataset import expected_photons, simulate

KINDS = {
    "zone plate, dead leaves": ("zone_plate", ObjectSettings(kind="texture", absorption=0.3, phase_shift=-1.0)),
    "zone plate, sparse lines": ("zone_plate", ObjectSettings(kind="lines", lines_per_kilopixel=0.5, line_width=6)),
    "mirror, photograph": ("mirror", ObjectSettings(kind="image", absorption=0.3, phase_shift=1.0)),
    "mirror, Siemens star": ("mirror", ObjectSettings(kind="siemens_star", absorption=0.1, phase_shift=-0.8)),
    "disk, cells": ("disk", ObjectSettings(kind="cells", absorption=0.3, phase_shift=-1.5)),
}
"""Probe and object by name."""
ORIENTATIONS = 8
SIZE, FRAMES = 128, 400
INVERSE = {5: 6, 6: 5}
"""Orientations that turn back what others have turned; the rest turn themselves back."""
TARGETS = {"scale": 0.005, "rotation": 0.3, "stretch": 0.005, "shear": 0.005, "defocus": 0.05}
"""Relative, degrees, relative, absolute, relative."""
DEFORMED = 0.04
"""Largest stretch, and shear."""


def simulated(draw: int, kind: str, orientation: int, deformed: bool = False) -> tuple[Dataset, dict[str, Any]]:
    """A scan whose file is wrong, and what a measurement should find of it.

    Defocus of the file's probe is wrong by up to 50 %, the scan's scale by 3 %, its rotation by 3°, the centre of the
    frames by 3 pixels; and where scans are deformed, its stretch and its shear by 4 %.
    """
    random = np.random.default_rng([draw, list(KINDS).index(kind), orientation])
    probe, sample = KINDS[kind]
    width, sign = random.uniform(0.3, 0.45), random.choice([-1, 1])
    flux, step = 10 ** random.uniform(5.5, 7), random.uniform(0.18, 0.28) * width * SIZE
    # A zone plate of 160 µm and 20 mm spreads the beam by 8 parts in a thousand of the way from its focus.
    pixel = SimulationSettings(size=SIZE).pixel_size
    beam = ProbeSettings(
        kind=probe,
        flux=flux,
        disk_diameter=width,
        disk_curvature=float(sign * random.uniform(5, 12)),
        defocus=float(sign * width * SIZE * pixel / 0.008),
    )
    settings = SimulationSettings(
        object=sample,
        probe=beam,
        scan=ScanSettings(kind=str(random.choice(["raster", "fermat"])), frames=FRAMES, step=step),
        guess=GuessSettings(defocus_factor=random.uniform(0.5, 1.5)),
        size=SIZE,
        noise=False,
        seed=int(random.integers(2**31)),
    )
    scan = simulate(replace(settings, scan=replace(settings.scan, frames=FRAMES)))
    centre, scale, rotation = random.uniform(-3, 3, 2), random.uniform(0.97, 1.03), random.uniform(-3, 3)
    axis = 2 * np.pi * (np.arange(SIZE) - SIZE // 2) / SIZE
    tilted = scan.reference_probe * np.exp(1j * (axis[:, None] * centre[0] + axis * centre[1]))
    counts = [random.poisson(expected_photons(scan.truth, some, tilted)) for some in np.array_split(scan.positions, 4)]
    stretch, shear = np.random.default_rng([draw, list(KINDS).index(kind), orientation, 1]).uniform(-1, 1, 2) * DEFORMED
    place = Place(np.log(scale), np.radians(rotation), *((np.log1p(stretch), shear) if deformed else ()))
    middle = scan.positions.mean(axis=0)
    unscaled = middle + (scan.positions - middle) @ np.linalg.inv(place.linear).T
    positions, shape = object_frame(turned(unscaled, INVERSE.get(orientation, orientation)), SIZE)
    dataset = replace(
        scan,
        frames=np.concatenate(counts).astype(np.float32),
        positions=positions,
        object_shape=shape,
        truth=None,
        true_positions=None,
        true_probe=None,
    )
    metres = scan.pixel_size**2 / wavelength_of(scan.energy)
    defocus = beam.defocus if probe != "disk" else focus_of(torch.from_numpy(scan.reference_probe[0])) * metres
    truth = {"orientation": orientation, "scale": scale, "rotation": rotation, "defocus": defocus}
    truth |= {"stretch": float(np.exp(place.stretch)), "shear": float(place.shear)}
    return dataset.validate(kind), truth | {"centre": centre.tolist(), "flux": flux, "width": width}


def compared(found: Measurement, truth: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Errors of a measurement against the truth, and the errors that it stated, scale and defocus relative."""
    row: dict[str, Any] = {"truth": truth, "seconds": seconds, "rounds": found.rounds, "began": found.began}
    row["told"], row["twin_excluded"] = found.orientation_told, found.twin_excluded
    twin = truth["orientation"] ^ 3
    row["orientation"] = found.orientation == truth["orientation"]
    row["orientation_or_twin"] = found.orientation in (truth["orientation"], twin)
    # A twin has the opposite defocus.
    sign = 1 if row["orientation"] or not row["orientation_or_twin"] else -1
    row["stretch"] = [found.stretch.value / truth["stretch"] - 1, found.stretch.error]
    row["shear"] = [found.shear.value - truth["shear"], found.shear.error]
    defocus, true = found.defocus, sign * truth["defocus"]
    row["scale"] = [found.scale.value / truth["scale"] - 1, found.scale.error]
    row["rotation"] = [found.rotation.value - truth["rotation"], found.rotation.error]
    row["defocus"] = [defocus.value / true - 1, None if defocus.error is None else defocus.error / abs(true)]
    for one, name, value in zip(found.centre, ("centre_rows", "centre_columns"), truth["centre"], strict=True):
        row[name] = [one.value - value, one.error]
    return row


def summary(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Lines of a table: of each number how far off, how often within its target, and how often within its error."""
    yield f"{len(rows)} scans; orientations right: {sum(row['orientation'] for row in rows)}, "
    yield f"with twins {sum(row['orientation_or_twin'] for row in rows)}, told {sum(row['told'] for row in rows)}; "
    yield f"{np.mean([row['seconds'] for row in rows]):.0f} s of processor each, at most "
    yield f"{max(row['seconds'] for row in rows):.0f} s\n\n"
    yield "| what | mean error | median of its size | largest | within target | not told | stated, median | covered |\n"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    for name in ("scale", "rotation", "stretch", "shear", "defocus", "centre_rows", "centre_columns"):
        told = np.array([row[name] for row in rows if row[name][1] is not None], float).reshape(-1, 2)
        if not len(told):
            yield f"| {name} | | | | | {len(rows)} | | |\n"
            continue
        off, stated = told.T
        within = f"{(abs(off) <= TARGETS[name]).sum()} of {len(off)}" if name in TARGETS else ""
        covered = f"{(abs(off) <= stated).sum()} of {len(off)}"
        yield f"| {name} | {off.mean():+.4f} | {np.median(abs(off)):.4f} | {abs(off).max():.4f} | {within} | "
        yield f"{len(rows) - len(off)} | {np.median(stated):.4f} | {covered} |\n"


def main(
    output: Path, draw: int = 0, part: int = 0, parts: int = 1, quick: bool = False, deformed: bool = False
) -> None:
    """Measure the scans of a draw.

    Parameters
    ----------
    output : Path
        JSON lines, one for each scan.
    draw : int
        Which scans are simulated.
    part, parts : int
        Which of how many parts of the scans this process measures.
    quick : bool
        As `ingest` does by itself.
    deformed : bool
        Whether scans are stretched and sheared, too.
    """
    torch.set_num_threads(1)
    network, done = load_blind()[0], []
    if output.exists():
        done = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    output.parent.mkdir(parents=True, exist_ok=True)
    scans = [(kind, orientation) for orientation in range(ORIENTATIONS) for kind in KINDS]
    for kind, orientation in scans[part::parts]:
        name = f"{kind}, {orientation}"
        if any(row["scan"] == [draw, name] for row in done):
            continue
        dataset, truth = simulated(draw, kind, orientation, deformed)
        begun = time.process_time()
        found = measure(network, dataset, quick=quick)
        row = {"scan": [draw, name]} | compared(found, truth, time.process_time() - begun)
        done.append(row)
        with output.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        shown = {key: row[key] for key in ("scale", "rotation", "stretch", "shear", "defocus")}
        print(name, row["orientation"], f"{row['seconds']:.0f} s", shown, flush=True)
    print("".join(summary([row for row in done if row["scan"][0] == draw])))


if __name__ == "__main__":
    run_program(main)
