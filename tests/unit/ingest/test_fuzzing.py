"""No damage to a file of any format ends otherwise than in a dataset or in one sentence: no crash, no hang, no rest.

``PTYCHOFLOW_MUTATIONS=2000 pytest tests/unit/ingest/test_fuzzing.py`` tries 2,000 of each format in place of a few.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from foreign_files import WRITERS

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate

pytestmark = pytest.mark.slow

MUTATIONS = int(os.environ.get("PTYCHOFLOW_MUTATIONS", "30"))
SECONDS = 20
"""A mutation that takes longer hangs."""
HERE = Path(__file__).parents[1]


class Reader:
    """A process that reads mutations, and is started anew where one of them ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen | None = None

    def read(self, name: str, number: int) -> str:
        if self.process is None:
            path = os.pathsep.join([str(HERE.parents[1] / "scripts"), str(HERE)])
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", HERE / "mutations.py", self.folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
                text=True,
            )
            # What it imports takes long on a busy machine, and is no hang.
            assert self.process.stdout.readline() == "ready\n"
        process, expired = self.process, []
        timer = Timer(SECONDS, lambda: (expired.append(True), process.kill()))
        timer.start()
        try:
            process.stdin.write(f"{name} {number}\n")
            process.stdin.flush()
            # Filters that unpack frames print what they think of them.
            answer = next((line for line in process.stdout if line.startswith("outcome: ")), "")
        finally:
            timer.cancel()
        if not answer:
            self.process = None
            return "hang" if expired else f"crash with status {process.wait()}"
        return answer.removeprefix("outcome: ").strip()

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=SECONDS)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("mutations")
    settings = SimulationSettings(
        size=16, probe=ProbeSettings(kind="disk", modes=2), scan=ScanSettings(frames=12, step=3.0)
    )
    write_cxi(folder / "scan.cxi", simulate(settings))
    reader = Reader(folder)
    yield reader
    reader.close()


@pytest.mark.parametrize("name", WRITERS)
def test_no_damage_ends_otherwise_than_in_a_dataset_or_a_sentence(name: str, reader: Reader):
    answers = [reader.read(name, number) for number in range(MUTATIONS)]
    strange = {n: answer for n, answer in enumerate(answers) if not answer.startswith(("read (", "refused ("))}
    assert not strange
    # The damage is such that it must show.
    assert Counter(answer.split()[0] for answer in answers)["refused"] > MUTATIONS / 4
