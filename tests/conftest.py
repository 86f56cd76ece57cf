"""One small simulated scan for all tests, and how tests share several processes."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import matplotlib
import pytest
import torch

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

# Jobs of one core each run fastest; two threads each on two cores crawl.
torch.set_num_threads(1)
# Wherever tests run, a figure opens no window.
matplotlib.use("Agg")

# Those that take longest begin first, so that nobody waits for them in the end; the cluster's mostly wait.
FIRST = ("slurm", "workflow", "rules", "unit")

# Processor time up to the present phase of a test.
COMPUTED = pytest.StashKey[float]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, and begin with it."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] != "unit":
            item.add_marker(pytest.mark.slow)

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return FIRST.index(folder) if folder in FIRST else len(FIRST)

    items.sort(key=rank)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processor-times", action="store_true", help="show which tests take most processor time")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--processor-times"):
        # What processes forked for us computed, which others started, is written into a file.
        os.environ["PTYCHOFLOW_PROCESSOR_TIMES"] = tempfile.mkstemp(prefix="ptychoflow-times-")[1]


def pytest_unconfigure() -> None:
    if path := os.environ.pop("PTYCHOFLOW_PROCESSOR_TIMES", None):
        os.unlink(path)


def processor_time() -> float:
    """Seconds computed by this process and by others that it started or had forked, and that ended: no SLURM job's."""
    programs, forked = getrusage(RUSAGE_CHILDREN), 0.0
    if path := os.environ.get("PTYCHOFLOW_PROCESSOR_TIMES"):
        forked = sum(map(float, Path(path).read_text().split()))
    return time.process_time() + programs.ru_utime + programs.ru_stime + forked


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[COMPUTED] = processor_time()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Write into the reports of setup, call and teardown what each took; pytest-xdist brings them together."""
    report, before = (yield), item.stash[COMPUTED]
    item.stash[COMPUTED] = processor_time()
    report.processor_time = item.stash[COMPUTED] - before
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--processor-times"):
        return
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if isinstance(report, pytest.TestReport):
            files[report.nodeid.split("::")[0]] += report.processor_time
            tests[f"{report.nodeid} ({report.when})"] += report.processor_time
    terminalreporter.section(f"processor time, {files.total():.0f} s in all")
    for name, seconds in [*files.most_common(30), *tests.most_common(60)]:
        terminalreporter.write_line(f"{seconds:8.1f} s  {name}")


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    """64 frames of 32×32 pixels under a disk probe."""
    settings = SimulationSettings(
        size=32, probe=ProbeSettings(kind="disk"), scan=ScanSettings(frames=64, step=4.0), seed=7
    )
    return simulate(settings).validate("small dataset")


@pytest.fixture(scope="session")
def blind_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blind network that was not trained, which is the plain engine, in the form of the shipped one."""
    path = tmp_path_factory.mktemp("weights") / "model.ckpt"
    description = {
        "model": asdict(BlindSettings()),
        "result": "pretrained",
        "provenance": {},
        "fingerprint": "",
        "seed": 0,
    }
    torch.save({"ptychoflow": description, "state_dict": Blind(BlindSettings()).state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def small_cxi(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small dataset as a file."""
    path = tmp_path_factory.mktemp("data") / "small.cxi"
    write_cxi(path, small_dataset)
    return path
