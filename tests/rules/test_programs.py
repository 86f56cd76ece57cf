"""Each program runs without Snakemake, on tiny input, and ends bad input in one sentence."""

import ast
import hashlib
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import foreign_files
import numpy as np
import pytest
import yaml

from ptychoflow.dataset.cxi import read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.running import command_line

SCRIPTS = Path(__file__).parents[2] / "scripts"
PROGRAMS = sorted(path.stem for path in SCRIPTS.glob("*.py"))
TINY = ["--model.features", "4", "--model.depth", "1", "--model.iterations", "2", "--accelerator", "cpu"]


def run_in_process(monkeypatch: pytest.MonkeyPatch, program: str, *arguments: object) -> int:
    """Run a program as `python scripts/{program}.py` would, without starting another Python; give its status."""
    specification = importlib.util.spec_from_file_location(program, SCRIPTS / f"{program}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    captured: dict = {}
    monkeypatch.setattr(module, "run_program", lambda main, flat=None: captured.update(main=main, flat=flat))
    source = (SCRIPTS / f"{program}.py").read_text().split('if __name__ == "__main__":\n')[1]
    exec(source.replace("    ", "", 1), module.__dict__)
    monkeypatch.setattr(sys, "argv", [f"{program}.py"])
    try:
        command_line.run_program(**captured, arguments=[str(argument) for argument in arguments])
    except SystemExit as stopped:
        return stopped.code
    return 0


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    return lambda program, *arguments: run_in_process(monkeypatch, program, *arguments)


@pytest.fixture
def arrays(small_dataset: Dataset) -> dict[str, np.ndarray]:
    """The small dataset as PtychoPINN would hold it."""
    return {
        "diffraction": np.sqrt(small_dataset.frames),
        "probeGuess": small_dataset.probe[0],
        "objectGuess": small_dataset.truth,
        "xcoords": small_dataset.positions[:, 1],
        "ycoords": small_dataset.positions[:, 0],
    }


@pytest.fixture
def npz(arrays: dict, tmp_path: Path) -> Path:
    path = tmp_path / "scan.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_the_docstring(program: str):
    path = SCRIPTS / f"{program}.py"
    command = [sys.executable, "-X", "importtime", str(path), "--help"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    # Whoever asks for help does not wait for what takes seconds to load.
    assert not re.findall(r"\| +(torch|scipy|matplotlib|mlflow|lightning)$", result.stderr, re.MULTILINE)
    tree = ast.parse(path.read_text())
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert ast.get_docstring(main).splitlines()[0] in " ".join(result.stdout.split())
    for name in (
        argument.arg
        for argument in main.args.args
        if argument.arg not in ("settings", "training", "tracking", "inference", "solver", "blind")
    ):
        assert f"--{name}" in result.stdout or f"\n  {name} " in result.stdout


def test_the_whole_way_from_simulation_to_figures(run: Callable, npz: Path, tmp_path: Path):
    data, model, patches = tmp_path / "scan.cxi", tmp_path / "run", tmp_path / "patches.h5"
    reconstruction, correlation = tmp_path / "reconstruction.h5", tmp_path / "correlation.csv"
    settings = tmp_path / "simulation.yaml"
    settings.write_text("size: 32\nprobe: {kind: disk}\nscan: {frames: 49, step: 4}\n")
    assert run("simulate", "--config", settings, "--output", data) == 0
    assert run("train", "--train_data_file", data, "--output_dir", model, "--max_epochs", 1, *TINY) == 0
    assert run("infer", "--checkpoint", model / "model.ckpt", "--data", data, "--output", patches) == 0
    images = ["--amplitude", tmp_path / "amplitude.png", "--phase", tmp_path / "phase.png"]
    assert run("stitch", "--patches", patches, "--output", reconstruction, *images) == 0
    made = ["--reconstruction", reconstruction]
    scores = ["--output", tmp_path / "metrics.json", "--correlation", correlation]
    assert run("evaluate", *made, "--data", data, *scores) == 0
    picture = ["--png", tmp_path / "figure.png", "--svg", tmp_path / "figure.svg"]
    assert run("evaluate", *made, "--data", npz, *scores) == 2
    assert run("plot_reconstruction", *made, "--data", npz, *picture) == 2
    for program, sources in (
        ("plot_reconstruction", [*made, "--data", data]),
        ("plot_training", ["--metrics", model / "metrics.csv"]),
        ("plot_correlation", ["--correlation", correlation, "--title", "title"]),
        ("plot_probe", made),
        ("plot_scan", made),
    ):
        assert run(program, *sources, *picture) == 0
        assert (tmp_path / "figure.png").stat().st_size > 5000
        assert (tmp_path / "figure.svg").read_text().count("<path") > 5
        (tmp_path / "figure.png").unlink()
    page = ["--output", tmp_path / "view.html"]
    assert run("view", *made, "--data", npz, *page) == 2
    assert not (tmp_path / "view.html").exists()
    assert run("view", *made, "--data", data, *page) == 0
    computed = (tmp_path / "view.html").read_text(encoding="utf-8")
    assert "Bokeh" in computed
    assert run("view", *made, "--data", data, *page, "--scores", tmp_path / "metrics.json") == 0


def test_positions_are_refined_into_another_dataset(run: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    given, refined = tmp_path / "given.cxi", tmp_path / "refined.cxi"
    probe = ["--probe.kind", "disk", "--probe.disk_diameter", "0.5", "--probe.disk_curvature", "3"]
    scan = ["--size", "32", "--seed", "3", "--scan.frames", "100", "--scan.step", "3", "--scan.position_error", "1"]
    assert run("simulate", *scan, *probe, "--output", given) == 0
    caplog.set_level(logging.INFO)
    record, settings = tmp_path / "record.json", ["--rounds", 20, "--bound", 5]
    assert run("refine", "--data", given, *settings, "--output", refined, "--provenance", record) == 0
    before, after = map(
        float, re.findall(r"error of the positions ([\d.]+) pixels before, ([\d.]+) after", caplog.text)[0]
    )
    assert after < 0.5 * before
    assert json.loads(record.read_text())["source"]["file"] == "given.cxi"
    assert run("refine", "--data", given, "--bound", "-1", "--output", tmp_path / "bad.cxi") == 2
    assert not (tmp_path / "bad.cxi").exists()


def test_the_same_figure_is_the_same_file(run: Callable, tmp_path: Path):
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss/epoch\n0,9,1.0\n1,19,0.5\n")
    for name in ("first", "second"):
        picture = ["--png", tmp_path / f"{name}.png", "--svg", tmp_path / f"{name}.svg"]
        assert run("plot_training", "--metrics", tmp_path / "metrics.csv", *picture) == 0
    for suffix in ("png", "svg"):
        assert (tmp_path / f"first.{suffix}").read_bytes() == (tmp_path / f"second.{suffix}").read_bytes()


def test_the_flags_that_users_of_ptychopinn_know(npz: Path, tmp_path: Path):
    # As real processes: this is what a user types.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out, image = tmp_path / "out", tmp_path / "image"
    training = ["--train_data_file", npz, "--test_data_file", npz, "--output_dir", out, "--max_epochs", "2"]
    training += ["--n_images", "64", "--gridsize", "1", "--batch_size", "4", "--device", "cpu", "--disable_mlflow"]
    command = [sys.executable, SCRIPTS / "train.py", *training]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert (out / "checkpoints/last.ckpt").exists()
    assert "--device is deprecated: use --accelerator" in result.stderr
    assert "--n_images is deprecated: use --n_groups" in result.stderr
    assert "--disable_mlflow is deprecated: use --logger without mlflow" in result.stderr
    assert "Poisson deviance per pixel" in result.stderr
    reconstruction = ["--model_path", out, "--test_data", npz, "--output_dir", image, "--n_images", "64"]
    command = [sys.executable, SCRIPTS / "reconstruct.py", *reconstruction, "--device", "cpu"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    for part in ("amplitude", "phase"):
        assert (image / f"reconstructed_{part}.png").stat().st_size > 1000


def test_the_last_checkpoint_serves_where_none_is_published(run: Callable, npz: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert run("train", "--train_data_file", npz, "--output_dir", out, "--max_epochs", 1, *TINY) == 0
    (out / "model.ckpt").unlink()
    image = ["--test_data", npz, "--output_dir", tmp_path / "image", "--accelerator", "cpu"]
    assert run("reconstruct", "--model_path", out, *image) == 0
    (out / "checkpoints/last.ckpt").unlink()
    assert run("reconstruct", "--model_path", out, *image) == 2


def test_without_a_model_path_the_pretrained_network_reconstructs(
    run: Callable, npz: Path, blind_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    monkeypatch.setattr("ptychoflow.blind.pretrained.SHIPPED", blind_weights)
    caplog.set_level(logging.INFO)
    image = ["--test_data", npz, "--output_dir", tmp_path / "image", "--accelerator", "cpu"]
    settings = tmp_path / "settings.yaml"
    settings.write_text("blind: {iterations: 3, most_iterations: 3, probe_modes: 2}\n")
    assert run("reconstruct", *image, "--config", settings, "--seed", 4) == 0
    made = json.loads((tmp_path / "image/provenance.json").read_text())
    assert made["checkpoint_sha256"] == hashlib.sha256(blind_weights.read_bytes()).hexdigest()
    assert (made["method"], made["checkpoint_file"], made["seed"]) == ("pretrained", "pretrained", 4)
    assert (made["config"]["reconstruction"]["iterations"], made["iterations"]) == (3, 3)
    assert len(made["probe_mode_shares"]) == 2
    assert {path.name for path in (tmp_path / "image").iterdir()} == {
        *("reconstruction.h5", "reconstructed_amplitude.png", "reconstructed_phase.png", "provenance.json")
    }
    assert caplog.messages[0] == f"reading {npz}"
    assert sum(line.startswith("iteration ") for line in caplog.messages) == 3
    assert any(re.match(r"deviance of the held-out frames \S+, that of a perfect model", m) for m in caplog.messages)
    assert run("reconstruct", *image, "--model_path", blind_weights, "--blind.iterations", 2) == 0
    assert run("reconstruct", *image, "--n_groups", 3) == 2
    assert run("reconstruct", *image, "--batch_size", 3) == 2


def test_the_geometry_of_a_file_that_nobody_ingested_is_looked_at(
    run: Callable, npz: Path, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looked_at: list[str] = []

    def doubts(dataset: Dataset, source: str, whole: bool) -> list[str]:
        looked_at.append(source)
        assert not whole
        return ["the scan seems to be wider"]

    monkeypatch.setattr("ptychoflow.measurement.geometry_check.geometry_doubts", doubts)
    short = ["--accelerator", "cpu", "--blind.iterations", 1, "--blind.most_iterations", 1]
    for scan in (npz, small_cxi):
        assert run("reconstruct", "--test_data", scan, "--output_dir", tmp_path / scan.stem, *short) == 0
    assert looked_at == [str(npz)]
    foreign, own = (read_reconstruction(tmp_path / scan.stem / "reconstruction.h5") for scan in (npz, small_cxi))
    assert "the scan seems to be wider" in foreign.provenance["warnings"]
    assert "the scan seems to be wider" not in own.provenance["warnings"]
    assert foreign.provenance == json.loads((tmp_path / npz.stem / "provenance.json").read_text())


def test_settings_of_the_pretrained_network_are_refused_beside_another(
    run: Callable, npz: Path, tmp_path: Path, capsys
):
    out = tmp_path / "out"
    assert run("train", "--train_data_file", npz, "--output_dir", out, "--max_epochs", 1, *TINY) == 0
    image = ["--model_path", out, "--test_data", npz, "--output_dir", tmp_path / "image"]
    capsys.readouterr()
    assert run("reconstruct", *image, "--blind.iterations", 3) == 2
    assert "blind.iterations given for a network of train.py" in capsys.readouterr().err
    assert not (tmp_path / "image").exists()


def test_no_logger_leaves_no_table(run: Callable, npz: Path, tmp_path: Path):
    out = tmp_path / "out"
    settings = ["--output_dir", out, "--max_epochs", 1, "--logger", "none", *TINY]
    assert run("train", "--train_data_file", npz, *settings) == 0
    assert (out / "model.ckpt").exists()
    assert not (out / "metrics.csv").exists()


def test_gridsize_is_the_edge_of_a_group(run: Callable, npz: Path, tmp_path: Path):
    settings = ["--output_dir", tmp_path, "--max_epochs", 1, "--gridsize", 3, *TINY]
    assert run("train", "--train_data_file", npz, *settings) == 0
    assert "size: 9" in (tmp_path / "config.yaml").read_text()


def spoil(path: Path, arrays: dict, kind: str) -> None:
    """Write a PtychoPINN file that has one thing wrong."""
    frames = arrays["diffraction"]
    changes = {
        "pickled": {"xcoords": np.array([{}] * len(frames), dtype=object)},
        "nan": {"xcoords": np.where(np.arange(len(frames)) == 3, np.nan, arrays["xcoords"])},
        "wrong key": {"diffraction": None, "frames": frames},
        "zero frames": {"diffraction": frames[:0], "xcoords": np.zeros(0), "ycoords": np.zeros(0)},
    }
    np.savez(path, **{k: v for k, v in (arrays | changes.get(kind, {})).items() if v is not None})
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "corrupt":
        path.write_bytes(content[:2000] + bytes(500) + content[2500:])


@pytest.mark.parametrize("program", ["train", "ingest", "reconstruct"])
@pytest.mark.parametrize("kind", ["corrupt", "truncated", "pickled", "nan", "wrong key", "zero frames"])
def test_a_bad_scan_ends_in_one_sentence_and_leaves_nothing(
    program: str, kind: str, run: Callable, arrays: dict, tmp_path: Path, capsys: pytest.CaptureFixture
):
    bad, out = tmp_path / "bad.npz", tmp_path / "out"
    spoil(bad, arrays, kind)
    arguments = {
        "train": ["--train_data_file", bad, "--output_dir", out, *TINY],
        "ingest": ["--input", bad, "--output", out / "scan.cxi"],
        "reconstruct": ["--model_path", bad, "--test_data", bad, "--output_dir", out],
    }
    capsys.readouterr()
    assert run(program, *arguments[program]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(bad) in lines[0]
    assert not out.exists() or not list(out.iterdir())


def test_a_transposed_scan_is_accepted(run: Callable, arrays: dict, tmp_path: Path):
    arrays["diffraction"] = np.moveaxis(arrays["diffraction"], 0, 2)
    np.savez(tmp_path / "legacy.npz", **arrays)
    assert run("ingest", "--input", tmp_path / "legacy.npz", "--output", tmp_path / "scan.cxi") == 0


def test_ingest_keeps_what_it_found_of_the_detector(run: Callable, arrays: dict, tmp_path: Path):
    arrays["diffraction"][:, 16, 17] = 0
    np.savez(tmp_path / "scan.npz", **arrays)
    record = tmp_path / "scan.json"
    output = ["--output", tmp_path / "scan.cxi", "--provenance", record]
    settings = ["--detector.find_dead", "--detector.centre", "[16,16]", "--detector.size", "28"]
    assert run("ingest", "--input", tmp_path / "scan.npz", *output, *settings) == 0
    made = json.loads(record.read_text())
    assert made["settings"]["detector"]["size"] == 28
    assert made["detector"]["dead_pixels"] == made["detector"]["bad_pixels_of_dataset"] == 1
    mask = read_dataset(tmp_path / "scan.cxi").mask
    assert np.argwhere(~mask).tolist() == [[14, 15]]
    # A second ingest takes the dataset as it is: what was found belongs to the first.
    again = ["--output", tmp_path / "again.cxi", "--provenance", tmp_path / "again.json"]
    assert run("ingest", "--input", tmp_path / "scan.cxi", *again) == 0
    copied = json.loads((tmp_path / "again.json").read_text())
    assert "detector" not in copied
    assert copied["source"]["made_by"]["detector"] == made["detector"]
    assert copied["source"]["made_by"]["settings"]["detector"]["size"] == 28


@pytest.mark.parametrize(
    ("program", "arguments", "sentence"),
    [
        (
            "train",
            ["--train_data_file", "x.npz", "--output_dir", "{out}", "--learning_rate", "-1"],
            "is -1",
        ),
        ("train", ["--train_data_file", "x.npz", "--output_dir", "{out}", "--model.name", "best"], "best"),
        ("train", ["--train_data_file", "x.npz", "--output_dir", "{out}", "--logger", "disk"], "csv"),
        ("train", ["--train_data_file", "nowhere.npz", "--output_dir", "{out}"], "nowhere.npz"),
        ("simulate", ["--output", "{out}/a.cxi", "--size", "31"], "size is 31"),
        ("simulate", ["--output", "{out}/a.cxi", "--probe.defocus", "1"], "spreads the beam"),
        ("ingest", ["--input", "nowhere.npz", "--output", "{out}/a.cxi"], "nowhere.npz"),
        ("ingest", ["--input", str(SCRIPTS / "train.py"), "--output", "{out}/a.cxi", "--sha256", "00"], "sha256"),
        ("fetch", ["--url", "http://x.org/a", "--sha256", "00", "--output", "{out}/a"], "https"),
        ("infer", ["--checkpoint", "nowhere.ckpt", "--data", "nowhere.cxi", "--output", "{out}/p.h5"], "nowhere"),
        (
            "stitch",
            ["--patches", "no.h5", "--output", "{out}/r", "--amplitude", "a", "--phase", "p"],
            "no.h5",
        ),
        (
            "evaluate",
            ["--reconstruction", "no.h5", "--data", "a", "--output", "{out}/m", "--correlation", "c"],
            "no.",
        ),
        (
            "train",
            ["--train_data_file", "{npz}", "--output_dir", "{out}", "--test_data_file", "nowhere.npz"],
            "nowhere.npz",
        ),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--gridsize", "0"], "gridsize"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--n_images", "-5"], "n_images"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--seed", "-1"], "seed is -1"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--threads", "0"], "threads"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--max_epoch", "3"], "--max_epoch"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{out}", "--model.depth", "5"], "frame size 32"),
        ("train", ["--train_data_file", "{npz}", "--output_dir", "{npz}/run", "--max_epochs", "1"], "scan.npz"),
        ("simulate", ["--config", "{yaml}", "--output", "{out}/a.cxi"], "frame"),
        ("simulate", ["--config", "{npz}", "--output", "{out}/a.cxi"], "expected YAML"),
        ("infer", ["--checkpoint", "{npz}", "--data", "{npz}", "--output", "{out}/p.h5"], "not a whole checkpoint"),
        (
            "infer",
            ["--checkpoint", "a", "--data", "b", "--output", "{out}/p.h5", "--batch_size", "0"],
            "batch_size",
        ),
        (
            "stitch",
            ["--patches", "{npz}", "--output", "{out}/r", "--amplitude", "a", "--phase", "p"],
            "cannot be read as an HDF5 file",
        ),
        (
            "stitch",
            ["--patches", "a", "--output", "{out}/r", "--amplitude", "a", "--phase", "p", "--phase_iterations", "-1"],
            "phase_iterations",
        ),
        ("plot_training", ["--metrics", "{npz}", "--png", "{out}/a.png", "--svg", "{out}/a.svg"], "no CSV table"),
        ("plot_training", ["--metrics", "{yaml}", "--png", "{out}/a.png", "--svg", "{out}/a.svg"], "epoch and step"),
        ("plot_training", ["--metrics", "{csv}", "--png", "{out}/a.foo", "--svg", "{out}/a.svg"], "a.foo"),
        ("plot_training", ["--metrics", "nowhere.csv", "--png", "{out}/a.png", "--svg", "{out}/a.svg"], "nowhere.csv"),
        ("plot_probe", ["--reconstruction", "no.h5", "--png", "{out}/a.png", "--svg", "{out}/a.svg"], "no.h5"),
        ("reconstruct", ["--model_path", "nowhere", "--test_data", "no.npz", "--output_dir", "{out}"], "nowhere"),
    ],
)
def test_a_bad_argument_ends_in_one_sentence_and_leaves_nothing(
    program: str,
    arguments: list[str],
    sentence: str,
    run: Callable,
    npz: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
):
    out, settings, table = tmp_path / "out", tmp_path / "settings.yaml", tmp_path / "metrics.csv"
    settings.write_text("scan: {frame: 3}\n")
    table.write_text("epoch,step,train/loss/epoch\n0,9,1.0\n")
    before = sorted(tmp_path.rglob("*"))
    paths = {"out": out, "npz": npz, "yaml": settings, "csv": table}
    assert run(program, *(argument.format(**paths) for argument in arguments)) == 2
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in (*before, out)] == []
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]


@pytest.fixture(autouse=True)
def fresh_logging():
    """Let each program set up its own logging to the standard error of the test."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    root.handlers.clear()
    yield
    root.handlers[:] = handlers


def test_a_scan_of_two_files_is_ingested_with_a_record_of_both(
    run: Callable, small_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path, _ = foreign_files.write_ptychi(tmp_path, small_dataset)
    arguments = ["--output", tmp_path / "scan.cxi", "--provenance", tmp_path / "scan.json"]
    settings = ["--energy", 9000, "--positions.row_sign", -1, "--orientation", "flip_rows"]
    assert run("ingest", "--input", path, *arguments, *settings) == 0
    record = json.loads((tmp_path / "scan.json").read_text())
    assert record["settings"]["positions"]["row_sign"] == -1
    source = record["source"]
    assert source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    second = tmp_path / "ptychodus_para.hdf5"
    assert source["companion"] == {"file": second.name, "sha256": hashlib.sha256(second.read_bytes()).hexdigest()}
    assert "detector_pixel_size is taken as 7.5e-05" in caplog.text


def test_a_named_companion_is_ingested_by_its_name(run: Callable, small_dataset: Dataset, tmp_path: Path):
    path, settings = foreign_files.write_plain(tmp_path, small_dataset)
    paths = {key: value for key, value in asdict(settings.paths).items() if value}
    pixel = small_dataset.detector_pixel_size
    text = {"format": "hdf5", "companion": "motors.h5", "paths": paths, "detector_pixel_size": pixel}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(text))
    arguments = ["--config", tmp_path / "settings.yaml", "--input", path, "--output", tmp_path / "scan.cxi"]
    assert run("ingest", *arguments) == 0
    read = read_cxi(tmp_path / "scan.cxi")
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(small_dataset.positions, axis=0), atol=1e-6)
    (tmp_path / "scan.cxi").unlink()
    (tmp_path / "motors.h5").unlink()
    assert run("ingest", *arguments) == 2
    assert not (tmp_path / "scan.cxi").exists()
