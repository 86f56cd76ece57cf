"""Make a table of benchmarks: python tests/benchmarks/speed_table.py results/benchmarks/speed.json

The share of the limit compares a call with the least time in which this machine, by the limits measured in the same
run, can do its convolutions, products and Fourier transforms in float32.
"""

import json
import sys
from pathlib import Path

HEAD = (
    "| what | device | milliseconds | frames/s | Gflop/s | share of the limit |\n| --- | --- | --- | --- | --- | --- |"
)


def main(path: Path) -> None:
    """Print the table of a file that pytest-benchmark wrote."""
    report = json.loads(path.read_text(encoding="utf-8"))
    machine, results = report["machine_info"], report["benchmarks"]
    print(f"{machine['cpu'].get('brand_raw', 'CPU')}, {machine['threads']} threads; GPU: {machine['gpu'] or 'none'}\n")
    limits = {device: limits_of(results, device) for device in {result["extra_info"]["device"] for result in results}}
    print(HEAD)
    for result in results:
        work, seconds = result["extra_info"], result["stats"]["median"]
        name = result["name"].removeprefix("test_").replace("_", " ")
        rate = f"{work['frames'] / seconds:,.0f}" if "frames" in work else ""
        operations, fourier = work.get("operations", 0), work.get("fourier_operations", 0)
        flops = f"{(operations + fourier) / seconds / 1e9:,.0f}" if operations + fourier else ""
        share = ""
        if "bytes" in work:
            flops = f"{work['bytes'] / seconds / 1e9:,.0f} GB/s"
        elif operations and "frames" in work:
            limit = limits[work["device"]]
            share = f"{(operations / limit['operations'] + fourier / limit['fourier_operations']) / seconds:.0%}"
        print(f"| {name} | {work['device']} | {1e3 * seconds:,.1f} | {rate} | {flops} | {share} |")


def limits_of(results: list[dict], device: str) -> dict[str, float]:
    """Operations per second of the machine's matrix product and Fourier transforms."""
    limits = {}
    for result in results:
        work = result["extra_info"]
        if "limit" in result["name"] and work["device"] == device:
            for kind in ("operations", "fourier_operations"):
                if work.get(kind):
                    limits[kind] = work[kind] / result["stats"]["median"]
    return limits


if __name__ == "__main__":
    main(Path(sys.argv[1]))
