"""The chain of a figure is drawn from Snakemake's records of the jobs, and from the file alone where there are none."""

import base64
import json
from pathlib import Path

import pytest

from ptychoflow.provenance.jobs import as_mermaid, as_text, chain, jobs_of, known_chain

RAW, DATA, IMAGE, FIGURE = "raw/scan.h5", "results/data/scan.cxi", "results/a/image.h5", "results/a/figure.png"


def record(folder: Path, output: str, rule: str, inputs: list[str], ended: float, seconds: float | None) -> None:
    name = base64.urlsafe_b64encode(output.encode()).decode()
    place = folder / ".snakemake/metadata" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    command = f"python '/work/scripts/{rule}.py' --output {output}"
    log = f"results/logs/{rule}.log"
    told = {"rule": rule, "input": inputs, "shellcmd": command, "endtime": ended, "starttime": ended, "log": [log]}
    place.write_text(json.dumps(told))
    (folder / output).parent.mkdir(parents=True, exist_ok=True)
    (folder / output).write_text("made")
    if seconds is not None:
        benchmark = folder / f"results/benchmarks/{rule}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text(f"s\th:m:s\n{seconds}\t0\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    record(tmp_path, FIGURE, "plot", [IMAGE], 400.0, 30.0)
    record(tmp_path, IMAGE, "stitch", [DATA], 300.0, 20.0)
    record(tmp_path, DATA, "ingest", [RAW], 200.0, None)
    record(tmp_path, "results/other.txt", "other", [], 250.0, 1.0)
    return tmp_path


def test_the_chain_of_a_figure_begins_at_the_raw_file(place: Path):
    jobs = chain(FIGURE, jobs_of(place))
    assert [job.rule for job in jobs] == ["ingest", "stitch", "plot"]
    assert [job.script for job in jobs] == ["ingest.py", "stitch.py", "plot.py"]
    assert jobs[0].inputs == [RAW]
    assert (jobs[2].started, jobs[2].finished) == ("1970-01-01T00:06:10.000+00:00", "1970-01-01T00:06:40.000+00:00")


def test_a_temporary_file_breaks_no_chain(place: Path):
    (place / IMAGE).unlink()
    assert [job.rule for job in chain(FIGURE, jobs_of(place))] == ["ingest", "stitch", "plot"]


def test_the_chain_is_drawn_as_text_and_as_mermaid(place: Path):
    name, jobs = known_chain(place / FIGURE)
    lines = as_text(name, jobs).splitlines()
    assert lines[:3] == ["ingest  1970-01-01T00:03:20 to 1970-01-01T00:03:20", f"    from {RAW}", f"    made {DATA}"]
    assert lines[-1] == f"    made {FIGURE}"
    drawn = as_mermaid(name, jobs).splitlines()
    assert drawn[0] == "flowchart LR"
    nodes = {
        line.split('["')[1].split('"]')[0]: line.split("[")[0].strip()
        for line in drawn
        if '["' in line and "([" not in line
    }
    steps = {line.split('(["')[1].split('"])')[0]: line.split("(")[0].strip() for line in drawn if '(["' in line}
    arrows = {tuple(line.strip().split(" --> ")) for line in drawn if "-->" in line}
    for source, rule, made in ((RAW, "ingest", DATA), (DATA, "stitch", IMAGE), (IMAGE, "plot", FIGURE)):
        assert {(nodes[source], steps[rule]), (steps[rule], nodes[made])} <= arrows


def test_without_records_the_file_itself_tells(tmp_path: Path):
    made_by = {"program": "ingest.py", "source": {"file": RAW}}
    provenance = {
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "data_file": DATA,
        "data": made_by,
        "checkpoint_file": "results/a/model.ckpt",
        "training": {"data": [{"file": "seen.cxi", "made_by": {"program": "simulate.py"}}]},
    }
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(provenance))
    assert [job.rule for job in chain(*known_chain(path))] == ["ingest", "simulate", "train", "reconstruct"]
