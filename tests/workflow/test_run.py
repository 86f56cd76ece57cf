"""The workflow leaves what it promises, goes on where it stopped, and redoes just what a change affects."""

import copy
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from foreign_files import write_zarr
from held_training import HELD, held_before
from workflow_runs import ROOT, SMALL, checkout, kill, planned, run_snakemake, start_snakemake

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.reconstruction.file import read_reconstruction
from ptychoflow.settings.values import plain

PLOTS = ("plot_reconstruction", "plot_correlation", "plot_probe", "plot_scan", "plot_training")
EVERYTHING = {"simulate", "train", "infer", "stitch", "evaluate", "view", *PLOTS}


def rerun_rules(folder: Path, config: dict) -> set[str]:
    """Rules that a dry run would run again, the collecting rule aside."""
    result = run_snakemake(folder, config, "--dry-run")
    assert result.returncode == 0, result.stderr
    return planned(result.stdout).keys() - {"all", "collect_runs", "collect_warnings"}


@pytest.fixture
def workflow(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished workflow to change, with times kept."""
    return Path(shutil.copytree(finished, tmp_path / "workflow", copy_function=shutil.copy2))


@pytest.fixture(scope="module")
def copied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snakefile of a copy of the checkout, to change its code; as it is, it makes nothing again."""
    snakefile = checkout(tmp_path_factory.mktemp("checkout") / "copied")
    unchanged = run_snakemake(finished, SMALL, "--dry-run", "--snakefile", str(snakefile))
    assert "Nothing to be done" in unchanged.stdout, unchanged.stdout
    return snakefile


def test_every_promised_file_is_there_and_what_was_predicted_is_not(finished: Path):
    result = finished / "results/small/seed3/unseen"
    for name in ("reconstruction.h5", "reconstructed_amplitude.png", "reconstructed_phase.png", "metrics.json"):
        assert (result / name).stat().st_size > 200
    assert "Bokeh" in (result / "view.html").read_text()
    for kind in ("reconstruction", "correlation", "probe", "scan"):
        assert (result / f"figures/{kind}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (result / f"figures/{kind}.svg").read_text()[:2000]
    assert (finished / "results/small/seed3/figures/training.png").exists()
    assert (finished / "results/small/seed3/run/last.ckpt").exists()
    assert not (result / "predicted.h5").exists()
    assert not list(finished.rglob(".*.h5")) + list(finished.rglob(".model*"))


def test_what_is_doubtful_is_said_at_the_end_and_the_same_bytes_make_nothing_again(finished: Path, tmp_path: Path):
    scan = read_dataset(finished / "results/data/seen.cxi")
    frames = scan.frames.astype(np.uint32)
    frames[:, 3:5], frames[7] = 65535, 0
    # Above the size up to which Snakemake itself compares files by their bytes.
    np.savez(tmp_path / "scan.npz", counts=frames, places=scan.positions, probe=scan.probe, more=np.zeros(2**17))
    ingest = {
        "path": str(tmp_path / "scan.npz"),
        "paths": {"frames": "counts", "positions": "places", "probe": "probe"},
        "positions": {"unit": "pixels", "rotation": 0.0},
        "frames": {"leave_out": [2, "45:"], "photons": [0.0, None]},
        "voltage": 300e3,
    }
    config = {**SMALL, "datasets": {**SMALL["datasets"], "measured": {"ingest": ingest}}}
    result = run_snakemake(tmp_path, config, "results/data/measured.cxi")
    assert result.returncode == 0, result.stdout + result.stderr
    shown = [
        line for line in (result.stdout + result.stderr).splitlines() if line.startswith("warning: dataset measured")
    ]
    assert any("64 pixels hold 65535 in every frame" in line for line in shown)
    assert any("frame 7 holds photons far from" in line for line in shown)
    record = json.loads((tmp_path / "results/data/measured.provenance.json").read_text())
    assert [f"warning: dataset measured: {sentence}" for sentence in record["warnings"]] == shown
    assert record["frames"] == [49 - 1 - 1 - 4, 32]
    os.utime(tmp_path / "scan.npz")
    assert "Nothing to be done" in run_snakemake(tmp_path, config, "--dry-run", "results/data/measured.cxi").stdout


def test_a_store_in_a_folder_is_an_input_that_is_watched(small_dataset: Dataset, tmp_path: Path):
    path, settings = write_zarr(tmp_path, small_dataset)
    named = {key: value for key, value in plain(settings.paths).items() if value}
    ingest = {"path": str(path), "paths": named, "measure": False}
    config = {**SMALL, "datasets": {**SMALL["datasets"], "stored": {"ingest": ingest}}}
    result = run_snakemake(tmp_path, config, "results/data/stored.cxi")
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(read_dataset(tmp_path / "results/data/stored.cxi").frames) == len(small_dataset.frames)
    plan = ("--dry-run", "results/data/stored.cxi")
    assert "Nothing to be done" in run_snakemake(tmp_path, config, *plan).stdout
    zarr.open_group(path, mode="r+")["entry/dp"][:3] = 1
    assert planned(run_snakemake(tmp_path, config, *plan).stdout)["ingest"] == 1


def test_scores_are_flat_numbers(finished: Path):
    scores = json.loads((finished / "results/small/seed3/unseen/metrics.json").read_text())
    assert scores["frames"] == 36
    assert all(value is None or isinstance(value, int | float) for value in scores.values())
    assert 0 < scores["amplitude_ssim"] <= 1


def test_the_checkpoint_says_what_made_it(finished: Path):
    checkpoint = torch.load(finished / "results/small/seed3/model.ckpt", weights_only=True)["ptychoflow"]
    assert checkpoint["seed"] == 3
    assert checkpoint["training"]["groups"]["size"] == 4
    assert checkpoint["scans"][0]["file"] == "seen.cxi"


def test_jobs_run_with_the_threads_of_their_rule(finished: Path):
    # Snakemake sets OMP_NUM_THREADS from threads, and the programs hand the same number to torch.
    output = run_snakemake(finished, SMALL, "--dry-run", "--forceall", "--printshellcmds", "--cores", "2").stdout
    train, infer = (next(line for line in output.splitlines() if name in line) for name in ("/train.py", "/infer.py"))
    assert "--threads 2" in infer
    # Several processes of one training share them.
    assert "--threads $(( (2 + 1 - 1) / 1 ))" in train


def test_nothing_is_left_to_do_however_the_path_of_the_checkout_is_spelled(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert "Nothing to be done" in run_snakemake(finished, SMALL, "--dry-run").stdout
    (tmp_path / "link").symlink_to(ROOT)
    for place, spelled in (
        (ROOT, "Snakefile"),
        (ROOT / "docs", "../Snakefile"),
        (tmp_path, str(tmp_path / "link/Snakefile")),
        (tmp_path / "link/docs", "../Snakefile"),
    ):
        monkeypatch.chdir(place)
        assert "Nothing to be done" in run_snakemake(finished, SMALL, "--dry-run", "--snakefile", spelled).stdout


def test_a_default_that_is_written_out_makes_nothing_again(finished: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["training"] |= {"devices": 1, "schedule": "cosine"}
    config["experiments"]["small"]["model"]["name"] = "unrolled"
    config["datasets"]["seen"]["simulate"]["scan"]["kind"] = "raster"
    assert "Nothing to be done" in run_snakemake(finished, config, "--dry-run").stdout


def test_changed_stitching_spares_the_training(workflow: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["stitching"] = {"phase_iterations": 3}
    rules = rerun_rules(workflow, config)
    assert {"infer", "stitch", "evaluate", "plot_reconstruction", "view"} <= rules
    assert not rules & {"train", "simulate", "plot_training", "training_settings"}


def test_changed_training_reruns_all_that_follows_from_it(workflow: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["training"]["max_epochs"] = 3
    rules = rerun_rules(workflow, config)
    assert {"training_settings", "train", "infer", "stitch", "evaluate", "plot_training"} <= rules
    assert "simulate" not in rules


@pytest.mark.parametrize(
    ("file", "reruns"),
    [
        ("scripts/ptychoflow/figures/result.py", set(PLOTS)),
        ("scripts/plot_scan.py", {"plot_scan"}),
        ("scripts/ptychoflow/metrics/similarity.py", {"evaluate", "plot_correlation", "plot_reconstruction", "view"}),
        ("scripts/ptychoflow/simulation/objects.py", EVERYTHING),
        ("scripts/ptychoflow/models/unrolled.py", EVERYTHING - {"simulate"}),
        ("scripts/ptychoflow/studies/comparison.py", set()),
        ("envs/figures.yaml", {"view", *PLOTS}),
        ("scripts/ptychoflow/view/template.py", {"view"}),
        ("envs/train.yaml", EVERYTHING - {"simulate"}),
    ],
)
def test_a_change_of_code_or_environment_reruns_what_it_affects(
    file: str, reruns: set[str], finished: Path, copied: Path
):
    code = (copied.parent / file).read_text()
    (copied.parent / file).write_text(code + "\n# changed\n")
    result = run_snakemake(finished, SMALL, "--dry-run", "--snakefile", str(copied))
    (copied.parent / file).write_text(code)
    assert result.returncode == 0, result.stderr
    assert planned(result.stdout).keys() - {"all", "collect_runs", "collect_warnings"} == reruns


def test_a_scan_in_parts_gives_the_same_image(finished: Path, tmp_path: Path):
    folder = Path(shutil.copytree(finished, tmp_path / "parts", copy_function=shutil.copy2))
    goal = "results/small/seed3/unseen/reconstruction.h5"
    result = run_snakemake(folder, SMALL | {"parts": 2}, "--forcerun", "infer_part", "--", goal)
    assert result.returncode == 0, result.stderr
    whole, parts = (read_reconstruction(place / goal) for place in (finished, folder))
    np.testing.assert_allclose(parts.object, whole.object, atol=2e-5)
    np.testing.assert_allclose(parts.coverage, whole.coverage, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.halves, whole.halves, atol=2e-5)
    np.testing.assert_array_equal(parts.positions, whole.positions)
    np.testing.assert_array_equal(parts.held_out, whole.held_out)
    assert parts.provenance["parts"] == 2
    assert not list(folder.rglob("sums_*"))
    assert (folder / "results/small/seed3/unseen/reconstructed_phase.png").exists()


def test_a_failure_is_told_with_its_log_and_last_sentence(finished: Path, tmp_path: Path):
    folder = Path(shutil.copytree(finished, tmp_path / "failing", copy_function=shutil.copy2))
    (folder / "results/small/seed3/model.ckpt").write_bytes(b"no checkpoint")
    goal = "results/small/seed3/unseen/reconstruction.h5"
    result = run_snakemake(folder, SMALL, "--forcerun", "infer", "--rerun-triggers", "input", "--", goal)
    assert result.returncode != 0
    log = "results/small/seed3/unseen/logs/infer.log"
    assert f"infer failed, see {log}: infer.py: error: results/small/seed3/model.ckpt is not a whole" in result.stdout


def test_another_seed_adds_its_own_run_only(workflow: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["seeds"] = [3, 4]
    output = run_snakemake(workflow, config, "--dry-run").stdout
    assert planned(output)["train"] == planned(output)["infer"] == 1
    assert "train small, seed 4" in output
    assert "seed 3" not in output


def test_a_killed_workflow_goes_on_to_the_same_image(finished: Path, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["training"]["max_epochs"] = 4
    config["experiments"]["small"]["tracking"] = {"callbacks": [held_before(step=4)]}
    own = {"PYTHONPATH": str(Path(__file__).parent)}
    goal = "results/small/seed3/unseen/reconstruction.h5"
    folder = tmp_path / "killed"
    shutil.copytree(finished / "results/data", folder / "results/data", copy_function=shutil.copy2)
    (folder / HELD).touch()
    process = start_snakemake(folder, config, goal, **own)
    last = folder / "results/small/seed3/run/last.ckpt"
    deadline = time.monotonic() + 300
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    kill(process)
    assert last.exists()
    assert not (folder / "results/small/seed3/model.ckpt").exists()
    (folder / HELD).unlink()
    run_snakemake(folder, config, "--unlock")
    resumed = run_snakemake(folder, config, "--rerun-incomplete", goal, **own)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from" in (folder / "results/small/seed3/logs/train.log").read_text()

    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(finished / "results/data", undisturbed / "results/data", copy_function=shutil.copy2)
    assert run_snakemake(undisturbed, config, goal, **own).returncode == 0
    images = [read_reconstruction(place / goal).object for place in (folder, undisturbed)]
    np.testing.assert_array_equal(*images)


def test_a_blind_network_reconstructs_in_the_workflow_and_a_solver_goes_on(
    finished: Path, blind_weights: Path, tmp_path: Path
):
    shutil.copytree(finished / "results/data", tmp_path / "results/data", copy_function=shutil.copy2)
    quick = {"iterations": 3, "most_iterations": 3, "probe_modes": 2}
    config = {
        "defaults": {"seeds": [3]},
        "datasets": SMALL["datasets"],
        "experiments": {
            "first": {"network": str(blind_weights), "test": ["unseen"], "reconstruction": quick},
            "solved": {"solver": {"epochs": 1, "probe_modes": 2}, "start_from": "first", "test": ["unseen"]},
        },
    }
    goals = ["results/runs.csv", "results/first/seed3/unseen/figures/probe.png"]
    result = run_snakemake(tmp_path, config, "--", *goals)
    assert result.returncode == 0, result.stdout + result.stderr
    image = read_reconstruction(tmp_path / "results/first/seed3/unseen/reconstruction.h5")
    assert image.provenance["method"] == "pretrained"
    assert image.held_out.sum() == 2
    scores = json.loads((tmp_path / "results/first/seed3/unseen/metrics.json").read_text())
    assert scores["deviance"] == pytest.approx(image.provenance["held_out_deviance"], rel=1e-5)
    solved = read_reconstruction(tmp_path / "results/solved/seed3/unseen/reconstruction.h5")
    assert solved.provenance["method"] == "lsqml after pretrained"
    assert len(solved.probe) == 2
    assert "pretrained" in (tmp_path / "results/runs.csv").read_text()
    config["experiments"]["first"]["reconstruction"] = quick | {"probe_modes": 1}
    again = planned(run_snakemake(tmp_path, config, "--dry-run", "--", *goals).stdout)
    assert {"reconstruction_settings", "reconstruct", "evaluate", "solve"} <= again.keys()
