"""The tables that blind_rows.py prints: means over the samples, targets, and seconds beside those of LSQ-ML."""

from collections.abc import Iterable

import numpy as np

TARGETS = {
    "nothing wrong": (0.987, 0.988),
    "amplitude x 0.7": (0.987, 0.985),
    "amplitude x 3": (0.987, 0.985),
    "amplitude x 0.3": (0.987, 0.985),
    "defocus 95 %": (0.981, 0.985),
    "defocus 75 %": (0.981, 0.983),
    "defocus 50 %": (0.97, 0.97),
    "a flat disk": (0.981, 0.979),
    "phase errors of 1 rad": (0.981, 0.982),
    "no guess": (0.97, 0.97),
    "two modes, one in the model": (0.973, 0.976),
    "positions 1 px wrong": (0.885, 0.867),
    "one count of background": (0.948, 0.972),
    "natural images": (0.957, 0.963),
    "phase of 4 rad": (None, 0.898),
    "phase of 0.1 rad": (None, 0.799),
    "1e4 photons": (0.858, 0.804),
    "steps of 16 px": (0.937, 0.964),
    "frames of 128 px": (0.980, 0.971),
}
"""Amplitude and phase SSIM: the best that any method, networks that are given the true probe among them, came to on
another sample, less `SLACK`; and what was asked for where nothing came to anything."""
SLACK = 0.005
LIKE_NOTHING_WRONG = {"two modes": 0.01, "three modes": 0.01, "conjugated": 0.01}
"""Situations that may be worse than the first by so much."""
PIXELS = {
    "positions 1 px wrong": 0.15,
    "positions 1 px wrong, defocus 75 %": 0.15,
    "positions 2 px wrong": 0.25,
    "positions 2 px wrong, defocus 75 %": 0.25,
}
"""By how much positions may still be wrong."""
ENOUGH = 0.002
"""Below its own best score a method has as good as reached it."""
FOUND = 0.5
"""Similarity from which a method has found anything."""
SCORED = ("amplitude_ssim", "phase_ssim")
METHOD_NAMES = ("network", "plain iterations", "LSQ-ML", "rPIE")
"""As the study has them; the first two keep an image by frames that judge, of the others the truth chooses the best."""
HEAD = (
    "| what is wrong or different | network: mean | worst | LSQ-ML at its best | target | met | seconds, whole "
    "| to the target | LSQ-ML to its best | ratio, whole | ratio, to the target |"
)
Row = dict[str, str]
Pair = tuple[float | None, float | None]


def table(rows: list[Row]) -> str:
    """Markdown of what blind_rows.py wrote."""
    scans: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        scans.setdefault(row["situation"], {}).setdefault(row["method"], {}).setdefault(row["seed"], []).append(row)
    usual = float(np.median([float(row["pace"]) for row in rows]))
    plain = mean_of(kept_rows(scans.get("nothing wrong", {}).get("network", {})))
    lines = [HEAD, "| --- " * HEAD.count(" | ") + "| --- |"]
    lines += [_line(situation, of, plain, usual) for situation, of in scans.items()]
    return "\n".join([*lines, "", f"Seconds at the median pace of {len(rows)} scores, {usual:.3f} s.", *_more(scans)])


def method_table(rows: list[Row]) -> str:
    """Markdown of what each method makes of each situation: mean scores, and seconds at the median pace.

    Seconds are whole of those that keep an image, and those until no score is more than `ENOUGH` below the best of the
    others.
    """
    usual = float(np.median([float(row["pace"]) for row in rows]))
    scans: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        scans.setdefault(row["situation"], {}).setdefault(row["method"], {}).setdefault(row["seed"], []).append(row)
    lines = [f"| what is wrong or different | {' | '.join(METHOD_NAMES)} |", "| --- " * (len(METHOD_NAMES) + 1) + "|"]
    for situation, of in scans.items():
        cells = [_cell(of.get(method, {}), usual) for method in METHOD_NAMES]
        lines.append(f"| {situation} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(of_seeds: dict[str, list[Row]], usual: float) -> str:
    """Mean scores and seconds of a method, and of how many samples."""
    if not of_seeds:
        return "–"
    kept = kept_rows(of_seeds)
    if kept:
        found, seconds = mean_of(kept), [seconds_of(row, usual) for row in kept]
    else:
        found = mean_of([best_row(of_seed) for of_seed in of_seeds.values()])
        seconds = [to_its_best(of_seed, usual) for of_seed in of_seeds.values()]
    return f"{shown(found)}, {np.mean(seconds):.1f} s ({len(of_seeds)})"


def _line(situation: str, scans: dict[str, dict[str, list[Row]]], plain: Pair, usual: float) -> str:
    network, solver = scans.get("network", {}), scans.get("LSQ-ML", {})
    kept, best = kept_rows(network), [best_row(of_seed) for of_seed in solver.values()]
    found, others = mean_of(kept), mean_of(best)
    target = target_of(situation, others, plain)
    met = all(value >= least for value, least in zip(found, target, strict=True) if None not in (value, least))
    whole = [seconds_of(row, usual) for row in kept]
    reached = [reached_in(of_seed, target, usual) for of_seed in network.values()]
    in_time = [seconds for seconds in reached if seconds is not None]
    told = found_anything(others)
    theirs = [to_its_best(of_seed, usual) for of_seed in solver.values()] if told else []
    to_target = f"{np.mean(in_time):.1f}" if in_time else "–"
    if len(in_time) < len(reached):
        to_target += f" ({len(in_time)} of {len(reached)})"
    parts = [
        situation,
        shown(found),
        shown(tuple(worst_of(kept, name) for name in SCORED)),
        f"{shown(others)} ({len(solver)} of {len(network)})" if len(solver) != len(network) else shown(others),
        shown(target),
        ("yes" if met else "no") if kept and target != (None, None) else "–",
        f"{np.mean(whole):.1f}" if whole else "–",
        to_target,
        f"{np.mean(theirs):.1f}" if theirs else "–",
        f"{np.mean(whole) / np.mean(theirs):.2f}" if theirs and whole else "–",
        f"{np.mean(in_time) / np.mean(theirs):.2f}" if theirs and in_time else "–",
    ]
    return f"| {' | '.join(parts)} |"


def _more(scans: dict[str, dict[str, dict[str, list[Row]]]]) -> Iterable[str]:
    """Pixels by which positions are still wrong, and the light of probe modes, sample by sample."""
    for situation, of in scans.items():
        kept = kept_rows(of.get("network", {}))
        left = [_pixels(row) for row in kept if row["position_error"]]
        theirs = [best_row(of_seed)["position_error"] for of_seed in of.get("LSQ-ML", {}).values()]
        if left:
            beside = ", ".join(f"{float(value):.2f}" for value in theirs)
            told = f"pixels left, rms along each axis (and but for a linear deformation): {', '.join(left)}"
            met = [float(row["position_error"]) <= PIXELS[situation] for row in kept]
            told += f", at most {PIXELS[situation]} in {sum(met)} of {len(met)}" if situation in PIXELS else ""
            yield f"\n{situation}, {told}; LSQ-ML {beside or '–'}"
        shares = np.array([[float(share) for share in row["mode_shares"].split()] for row in kept])
        if shares.ndim == 2 and shares.shape[1] > 1:
            ranges = [
                f"{low:.3f} to {high:.3f}" for low, high in zip(shares.min(axis=0), shares.max(axis=0), strict=True)
            ]
            yield f"\n{situation}, light of the modes: {', '.join(ranges)}"


def _pixels(row: Row) -> str:
    undeformed = f" ({float(row['undeformed_error']):.2f})" if row["undeformed_error"] else ""
    return f"{float(row['position_error']):.2f}{undeformed}"


def kept_rows(of_seeds: dict[str, list[Row]]) -> list[Row]:
    """Scores of the images that the network keeps, one a sample."""
    return [row for of_seed in of_seeds.values() for row in of_seed if row["passes"] == "kept"]


def pair_of(row: Row) -> Pair:
    """Amplitude and phase SSIM of a row, None where there is none."""
    amplitude, phase = (float(row[name]) if row[name] else None for name in SCORED)
    return amplitude, phase


def overall(row: Row) -> float:
    """Mean of the scores that a row has."""
    return float(np.mean([value for value in pair_of(row) if value is not None]))


def best_row(of_seed: list[Row]) -> Row:
    """Where a method was best, by the mean of its scores."""
    return max(of_seed, key=overall)


def mean_of(rows: list[Row]) -> Pair:
    """Mean over samples."""
    columns = [[float(row[name]) for row in rows if row[name]] for name in SCORED]
    amplitude, phase = (float(np.mean(column)) if column else None for column in columns)
    return amplitude, phase


def worst_of(rows: list[Row], name: str) -> float | None:
    """Least of a score over the samples."""
    return min((float(row[name]) for row in rows if row[name]), default=None)


def target_of(situation: str, others: Pair, plain: Pair) -> Pair:
    """What the network should come to: the earlier target, or LSQ-ML's scores less the slack where they are higher."""
    slack = LIKE_NOTHING_WRONG.get(situation)
    told = TARGETS.get(situation, (None, None))
    if slack is not None:
        told = tuple(None if value is None else value - slack for value in plain)
    pairs = zip(told, (None if other is None else other - SLACK for other in others), strict=True)
    amplitude, phase = (max((value for value in pair if value is not None), default=None) for pair in pairs)
    return amplitude, phase


def found_anything(scores: Pair) -> bool:
    return all(value >= FOUND for value in scores if value is not None) and scores != (None, None)


def as_good(row: Row, least: Pair) -> bool:
    """Whether a row has both scores, where there are any."""
    return all(value >= low for value, low in zip(pair_of(row), least, strict=True) if None not in (value, low))


def to_its_best(of_seed: list[Row], usual: float) -> float:
    """Seconds after which no score is below that of the best image by more than `ENOUGH`."""
    amplitude, phase = (None if value is None else value - ENOUGH for value in pair_of(best_row(of_seed)))
    return min(seconds_of(row, usual) for row in of_seed if as_good(row, (amplitude, phase)))


def reached_in(of_seed: list[Row], target: Pair, usual: float) -> float | None:
    """Seconds after which both scores are at the target; None where they never are."""
    return min((seconds_of(row, usual) for row in of_seed if as_good(row, target)), default=None)


def seconds_of(row: Row, usual: float) -> float:
    """Seconds of a row, were the machine as fast as usual."""
    return float(row["seconds"]) * usual / float(row["pace"])


def shown(pair: Pair) -> str:
    """Amplitude and phase, or the one that there is."""
    return " / ".join(f"{value:.3f}" for value in pair if value is not None) or "–"
