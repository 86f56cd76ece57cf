"""How many cores the process at hand may keep busy; no torch here, which reads the environment when it is loaded."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that this process may keep busy: those it is bound to, its container's share of time, its SLURM job's."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(bound, _allocated(), *_quotas())))


def _allocated() -> float:
    """Cores that SLURM gave to this task, or to its job on this node: not every cluster binds processes to them."""
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return math.inf


def _quotas() -> list[float]:
    """Cores whose time the control groups of this process share, from its own group up to the root; inf if unlimited.

    Within a container the root of the file system is the container's own group, whatever name the kernel gives it.
    """
    quotas = [math.inf]
    for line in MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / controllers
        group = root / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
            quotas.append(_unified_quota(folder) if not controllers else _legacy_quota(folder))
    return quotas


def _unified_quota(folder: Path) -> float:
    """Of version 2 of control groups: ``cpu.max`` holds "quota period", or "max period"."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf


def _legacy_quota(folder: Path) -> float:
    """Of version 1: a quota of -1 is none."""
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else math.inf
    except (OSError, ValueError):
        return math.inf
