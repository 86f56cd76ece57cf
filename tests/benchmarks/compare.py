"""Compare benchmarks with those of an earlier commit, in turn and as ratios: machines are never twice the same.

``python tests/benchmarks/compare.py --before HEAD~1 --only stitch`` checks the commit out beside this tree, runs the
benchmarks whose names contain the word in both trees, turn by turn, and prints a table.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from jsonargparse.typing import PositiveInt

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from ptychoflow.running.command_line import run_program

ROOT = Path(__file__).parents[2]


def main(before: str = "HEAD~1", only: str = "speed", turns: PositiveInt = 3) -> None:
    """Run benchmarks of this tree and of an earlier commit in turn, and print the ratios of their times.

    Parameters
    ----------
    before : str
        The commit.
    only : str
        What the names of the benchmarks contain, as pytest's -k takes it.
    turns : int
        How often each tree is measured; the least of the medians counts.
    """
    with tempfile.TemporaryDirectory() as place:
        earlier = Path(place, "before")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", earlier, before], check=True)
        try:
            measured: dict[Path, dict[str, float]] = {earlier: {}, ROOT: {}}
            for _ in range(turns):
                for tree, times in measured.items():
                    for name, seconds in medians(tree, only, Path(place, "speed.json")).items():
                        times[name] = min(seconds, times.get(name, seconds))
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", earlier], check=True)
    print("".join(table(before, measured[earlier], measured[ROOT])))


def medians(tree: Path, only: str, report: Path) -> dict[str, float]:
    """Run the benchmarks of a tree, and give the median seconds of each by its name; none where there are no such."""
    options = ["--override-ini", "addopts=-q", "--benchmark-only", "--benchmark-json", report, "-k", only]
    command = [sys.executable, "-m", "pytest", "tests/benchmarks", *options]
    report.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=tree, stdout=sys.stderr)
    nothing_selected = 5
    if done.returncode not in (0, nothing_selected):
        raise SystemExit(f"the benchmarks of {tree} failed: expected them to pass")
    results = json.loads(report.read_text(encoding="utf-8"))["benchmarks"] if report.exists() else []
    return {result["name"]: result["stats"]["median"] for result in results}


def table(before: str, earlier: dict[str, float], now: dict[str, float]) -> list[str]:
    """Lines of a table of the benchmarks that both have."""
    lines = [f"| what | {before}, ms | now, ms | times as fast |\n| --- | --- | --- | --- |\n"]
    for name in now:
        if name in earlier:
            what = name.removeprefix("test_").replace("_", " ")
            row = f"{1e3 * earlier[name]:,.1f} | {1e3 * now[name]:,.1f} | {earlier[name] / now[name]:.2f}"
            lines.append(f"| {what} | {row} |\n")
    return lines


if __name__ == "__main__":
    run_program(main)
