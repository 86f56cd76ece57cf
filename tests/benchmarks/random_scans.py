"""Random scans, drawn from wider ranges than those that the shipped network learned on: what it makes of them.

``python tests/benchmarks/random_scans.py --output results/benchmarks/random.csv`` draws a hundred scans, reconstructs
each by the shipped network and by its plain iterations from the same start, and those whose image fails by plain
iterations from the true probe as well. It prints by how much the network is worse or better, and which failures
`explained_share` and the misfit name. ``--draw 1 --count 30`` draws others, on which thresholds are set.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.metrics.doubts import LARGEST_MISFIT, LEAST_EXPLAINED, misfits
from ptychoflow.reconstruction.scoring import score
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.simulation.recipe import draw as drawn

FIRST_SEED = 2026
WIDER = RecipeSettings(
    frames=100,
    flux=(3e2, 3e9),
    step=(0.04, 1.2),
    phase=(0.3, 30.0),
    defocus_factor=(0.3, 3.0),
    disk_guess=0.225,
    no_guess=0.225,
    impaired=0.3,
)
"""Ranges, which contain the recipe's; all else is as there."""
LEARNED = BlindReconstructionSettings(halves=False)
PLAIN = replace(LEARNED, learned=False)
FAILED = 0.7
"""Complex correlation with the truth below which less than half of what varies in an image is right."""
BANDS = {
    "below 0.7 (failed)": (-1.0, FAILED),
    "0.7 to 0.9": (FAILED, 0.9),
    "0.9 to 0.95": (0.9, 0.95),
    "above 0.95": (0.95, 2),
}
SOUND = 0.9
"""That from which an image should not be doubted."""
WORSE = 0.01
COLUMNS = (
    *("draw", "number", "object", "probe", "modes", "flux", "step", "guess", "start", "same_start"),
    *("complex_pearson", "amplitude_ssim", "phase_ssim", "explained_share", "misfit", "collapsed", "seconds"),
    *("plain", "plain_explained_share", "plain_misfit", "from_true_probe", "warnings"),
)


def reconstructed(
    dataset: Dataset, settings: BlindReconstructionSettings
) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Scores and record of an image, with the processor seconds that it took among the scores."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place, "scan.cxi")
        write_cxi(data, dataset)
        began = time.process_time()
        image = reconstruct(dataset, data, settings, show=lambda progress: None)
        seconds = time.process_time() - began
    return score(image, dataset)[0] | {"seconds": seconds}, image.provenance


def measured(draw: int, number: int) -> dict[str, Any]:
    """Draw a scan and reconstruct it."""
    settings = drawn(replace(WIDER, seed=FIRST_SEED + draw), number)
    dataset = simulate(settings).validate(f"scan {number}")
    found, record = reconstructed(dataset, LEARNED)
    # Where no correction was made, plain iterations are the same ones.
    plain, plain_record = reconstructed(dataset, PLAIN) if record["corrections"] else (found, record)
    row = {"draw": draw, "number": number, "object": settings.object.kind, "probe": settings.probe.kind}
    row |= {"modes": settings.probe.modes, "flux": f"{settings.probe.flux:.3g}", "step": f"{settings.scan.step:.3g}"}
    row |= {"guess": settings.guess.kind, "start": record["start"]["name"]}
    row["same_start"] = record["start"]["name"] == plain_record["start"]["name"]
    row |= {name: value for name, value in found.items() if name in COLUMNS}
    row |= {"plain": plain["complex_pearson"], "warnings": len(record["warnings"])}
    row |= {f"plain_{name}": plain[name] for name in ("explained_share", "misfit")}
    if found["complex_pearson"] is not None and found["complex_pearson"] < FAILED:
        told = replace(dataset, probe=dataset.reference_probe, true_probe=None, probe_known=True)
        row["from_true_probe"] = reconstructed(told, replace(PLAIN, start="dataset"))[0]["complex_pearson"]
    return row


def report(rows: list[dict[str, str]]) -> Iterable[str]:
    """Lines about the scans of one draw."""
    rows = [row for row in rows if row["complex_pearson"] and row["plain"]]
    found, plain = (np.array([float(row[name]) for row in rows]) for name in ("complex_pearson", "plain"))
    gain = found - plain
    yield f"{len(rows)} scans; complex correlation with the truth {found.mean():.3f} on average, by plain iterations "
    yield f"{plain.mean():.3f}; {(gain > WORSE).sum()} better by more than {WORSE}, {(gain < -WORSE).sum()} worse\n"
    for row, less in zip(rows, gain, strict=True):
        if less < -WORSE:
            yield f"- worse: {_named(row)}\n"
    yield from _naming(rows, found)


def _naming(rows: list[dict[str, str]], found: np.ndarray) -> Iterable[str]:
    """Which images are named by what they say of themselves, and which would be by other thresholds."""
    shares = np.array([float(row["explained_share"] or "nan") for row in rows])
    told = [(float(row["misfit"]), None if np.isnan(share) else share) for row, share in zip(rows, shares, strict=True)]
    misfit = np.array([misfits({"misfit": misfit, "explained_share": share}) for misfit, share in told])
    named = ~(shares >= LEAST_EXPLAINED)
    warned = np.array([int(row["warnings"]) > 0 for row in rows])
    yield "\n| complex correlation | scans | named by `explained_share` | "
    yield f"by a misfit above {LARGEST_MISFIT:g} | by either | warned of in any way |\n"
    yield "| --- | --- | --- | --- | --- | --- |\n"
    for name, (low, high) in BANDS.items():
        band = (found >= low) & (found < high)
        parts = band, band & named, band & misfit, band & (named | misfit), band & warned
        counts = [str(part.sum()) for part in parts]
        yield f"| {name} | {' | '.join(counts)} |\n"
    better = sum(float(row["from_true_probe"] or 0) >= FAILED for row in rows)
    yield f"\nof the failures {better} would not have failed by plain iterations from the true probe\n"
    failures, sound = found < FAILED, found >= SOUND
    for row, failed, good, told, doubted in zip(rows, failures, sound, named, warned, strict=True):
        if failed and not doubted:
            yield f"- not warned of: {_named(row)}\n"
        elif failed and not told:
            yield f"- not named: {_named(row)}\n"
        elif good and told:
            yield f"- named without need: {_named(row)}\n"
    yield f"\n| threshold | failures named | images above {SOUND} named |\n| --- | --- | --- |\n"
    for threshold in np.arange(0, 0.91, 0.1):
        told = ~(shares >= threshold)
        counts = f"{(told & failures).sum()} of {failures.sum()} | {(told & sound).sum()} of {sound.sum()}"
        yield f"| {threshold:.1f} | {counts} |\n"


def _named(row: dict[str, str]) -> str:
    names = ("complex_pearson", "plain", "amplitude_ssim", "phase_ssim", "explained_share", "misfit")
    found, plain, amplitude, phase, share, misfit = (f"{float(row[name]):.3g}" if row[name] else "–" for name in names)
    return (
        f"scan {row['number']}, {row['object']} under {row['probe']} in {row['modes']} modes, {row['flux']} photons, "
        f"steps of {row['step']} px, guess {row['guess']}: correlation {found}, by plain iterations {plain}, amplitude "
        f"and phase SSIM {amplitude}, {phase}, explains {share}, misfit {misfit}"
    )


def main(output: Path, draw: int = 0, count: int = 100, table_only: bool = False) -> None:
    """Reconstruct random scans, and report on all of a draw that the output has.

    Parameters
    ----------
    output : Path
        CSV, a line for each scan; those that it has are not reconstructed again.
    draw : int
        Which scans are drawn.
    count : int
        How many.
    table_only : bool
        Only report.
    """
    torch.set_num_threads(1)
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = not output.exists()
    with output.open("a+", encoding="utf-8", newline="") as stream:
        stream.seek(0)
        done = {(row["draw"], row["number"]) for row in csv.DictReader(stream)}
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        if fresh:
            writer.writeheader()
        for number in range(0 if table_only else count):
            if (str(draw), str(number)) not in done:
                row = measured(draw, number)
                writer.writerow(row)
                stream.flush()
                print(number, row["complex_pearson"], row["plain"], row["explained_share"], flush=True)
        stream.seek(0)
        print("".join(report([row for row in csv.DictReader(stream) if row["draw"] == str(draw)])))


if __name__ == "__main__":
    run_program(main)
