"""Concurrent jobs, one real MLflow server, a killed training: nothing is lost, nothing is there twice."""

import copy
import csv
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from held_training import HELD, held_before
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from workflow_runs import SMALL, environment_of, kill, run_snakemake, start_snakemake

CIRCUMSTANCES = {"train/frames_per_second", "train/device_memory_mb"}


def tracked(seeds: list[int], **training: object) -> dict:
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {
        "seeds": seeds,
        "tracking": {
            "logger": ["mlflow", "tensorboard"],
            "log_every_n_steps": 1,
            "recon_log_every_n_epochs": 2,
            "recon_log_stitch": True,
            "recon_log_num_patches": 1,
        },
    }
    config["experiments"]["small"]["training"] |= training
    return config


def checkpoints(config: dict) -> list[str]:
    return [f"results/small/seed{seed}/model.ckpt" for seed in config["experiments"]["small"]["seeds"]]


def curves_of_table(path: Path) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            for key in row.keys() - {"step", "epoch"}:
                if row[key]:
                    curves.setdefault(key, []).append((int(row["step"]), float(row[key])))
    return curves


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, with a SQLite store and artifacts of its own."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    log = open(folder / "log", "w")  # noqa: SIM115, closed with the server
    process = subprocess.Popen(
        command,
        env=environment_of(MLFLOW_DISABLE_TELEMETRY="true"),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.5)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    log.close()


def rest(address: str, path: str, **query: object) -> dict:
    """Ask the server's REST interface itself, without MLflow's client."""
    data = json.dumps(query).encode()
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def history(address: str, run_id: str, key: str) -> list[tuple[int, float]]:
    query = urllib.parse.urlencode({"run_id": run_id, "metric_key": key})
    with urllib.request.urlopen(f"{address}/api/2.0/mlflow/metrics/get-history?{query}") as answer:
        return [(int(metric["step"]), metric["value"]) for metric in json.load(answer)["metrics"]]


def test_two_jobs_at_once_lose_nothing_on_a_server(server: str, finished: Path, tmp_path: Path):
    config = tracked([3, 4])
    shutil.copytree(finished / "results/data", tmp_path / "results/data", copy_function=shutil.copy2)
    result = run_snakemake(
        tmp_path,
        config,
        *checkpoints(config),
        "results/small/seed3/unseen/tracked.json",
        "--set-threads",
        "train=1",
        MLFLOW_TRACKING_URI=server,
    )
    assert result.returncode == 0, result.stderr
    (experiment,) = [
        found
        for found in rest(server, "experiments/search", max_results=10)["experiments"]
        if found["name"] == "ptychoflow"
    ]
    runs = rest(server, "runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]
    assert [run["info"]["status"] for run in runs] == ["FINISHED"] * 3
    (parent,) = (run["info"]["run_id"] for run in runs if run["info"]["run_name"] == "small")
    runs = [run for run in runs if run["info"]["run_id"] != parent]
    for run in runs:
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        assert (tags["experiment"], tags["snakemake_rule"], tags["dataset"]) == ("small", "train", "seen")
        assert tags["mlflow.parentRunId"] == parent
        assert tags["snakemake_wildcards"] == f"experiment=small, seed={tags['seed']}"
        folder = tmp_path / f"results/small/seed{tags['seed']}"
        table = curves_of_table(folder / "metrics.csv")
        events = EventAccumulator(str(folder / "run/tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        told = {metric["key"] for metric in run["data"]["metrics"]} - {"epoch"}
        scored = {key for key in told if key.startswith("unseen/")}
        assert {key for key in told - scored if not key.startswith("system/")} == table.keys()
        assert bool(scored) == (tags["seed"] == "3")
        for key, points in table.items():
            told = history(server, run["info"]["run_id"], key)
            shown = [(event.step, event.value) for event in events.Scalars(key)]
            for other in (told, shown):
                assert [step for step, _ in other] == [step for step, _ in points]
                np.testing.assert_allclose([value for _, value in other], [value for _, value in points], rtol=1e-6)
        provenance = json.loads((folder / "provenance.json").read_text())
        assert (provenance["run_id"], provenance["mlflow"]) == (run["info"]["run_id"], server)
        client = mlflow.MlflowClient(server)
        if scored:
            scores = json.loads((folder / "unseen/metrics.json").read_text())
            known = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
            assert known["unseen/phase_ssim"] == pytest.approx(scores["phase_ssim"])
            figures = {file.path for file in client.list_artifacts(run["info"]["run_id"], "unseen")}
            assert "unseen/reconstruction.png" in figures
            shown = f"get-artifact?path=unseen%2Freconstruction.png&run_uuid={run['info']['run_id']}"
            assert shown in tags["mlflow.note.content"]
            with urllib.request.urlopen(f"{server}/{shown}") as answer:
                assert answer.read() == (folder / "unseen/figures/reconstruction.png").read_bytes()
            named = client.get_run(run["info"]["run_id"]).inputs.dataset_inputs
            assert {entry.dataset.name for entry in named} == {"seen", "unseen"}
        kept = {file.path for file in client.list_artifacts(run["info"]["run_id"], "epoch_0002/patch_00")}
        assert len(kept) == 9
        copy_of_config = client.download_artifacts(run["info"]["run_id"], "config.yaml", str(tmp_path))
        assert Path(copy_of_config).read_text() == (folder / "config.yaml").read_text()


def test_a_killed_training_goes_on_in_its_run_to_the_same_weights(finished: Path, tmp_path: Path):
    config = tracked([3], max_epochs=5)
    # 46 frames in batches of 16 are 3 steps: step 7 lies in the middle of the third epoch.
    config["experiments"]["small"]["tracking"]["callbacks"] = [held_before(step=8)]
    own = {"PYTHONPATH": str(Path(__file__).parent)}
    (goal,) = checkpoints(config)
    for name in ("killed", "undisturbed"):
        shutil.copytree(finished / "results/data", tmp_path / name / "results/data", copy_function=shutil.copy2)
    folder = tmp_path / "killed"
    (folder / HELD).touch()
    process = start_snakemake(folder, config, goal, **own)
    rows = folder / "results/small/seed3/run/logs/from_step_00000000/metrics.csv"
    deadline = time.monotonic() + 300
    while not (rows.exists() and any(row.startswith("2,7,") for row in rows.read_text().splitlines())):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kill(process)
    (folder / HELD).unlink()
    store = f"sqlite:///{folder}/results/mlflow/mlflow.db"
    (before,) = runs_of(store)
    assert before.info.status == "RUNNING"
    closed = subprocess.run(
        [sys.executable, str(Path(__file__).parents[2] / "scripts/close_runs.py"), "--mlflow_tracking_uri", store],
        capture_output=True,
        text=True,
    )
    assert f"run {before.info.run_id} was killed: marked FAILED" in closed.stderr
    run_snakemake(folder, config, "--unlock")
    resumed = run_snakemake(folder, config, "--rerun-incomplete", goal, **own)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from" in (folder / "results/small/seed3/logs/train.log").read_text()
    (after,) = runs_of(store)
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")

    # Without a store, for the other ran on as it would have without one.
    config["experiments"]["small"]["tracking"]["logger"] = ["csv"]
    assert run_snakemake(tmp_path / "undisturbed", config, goal, **own).returncode == 0
    states = [torch.load(tmp_path / name / goal, weights_only=True)["state_dict"] for name in ("killed", "undisturbed")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    tables = [
        curves_of_table(tmp_path / name / "results/small/seed3/metrics.csv") for name in ("killed", "undisturbed")
    ]
    client = mlflow.MlflowClient(store)
    events = EventAccumulator(str(folder / "results/small/seed3/run/tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    assert tables[0].keys() == tables[1].keys()
    for key, points in tables[1].items():
        told = [(metric.step, metric.value) for metric in client.get_metric_history(after.info.run_id, key)]
        shown = sorted((event.step, event.value) for event in events.Scalars(key))
        for other in (tables[0][key], told, shown):
            assert [step for step, _ in other] == [step for step, _ in points], key
            if key not in CIRCUMSTANCES:
                np.testing.assert_allclose([value for _, value in other], [value for _, value in points], rtol=1e-6)


def runs_of(store: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(store)
    return list(client.search_runs([client.get_experiment_by_name("ptychoflow").experiment_id]))


def test_a_cancelled_training_is_marked_failed(finished: Path, tmp_path: Path):
    shutil.copytree(finished / "results/data", tmp_path / "results/data", copy_function=shutil.copy2)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, str(Path(__file__).parents[2] / "scripts/train.py"), "--train_data_file"]
    command += [str(tmp_path / "results/data/seen.cxi"), "--output_dir", str(tmp_path / "out"), "--logger", "mlflow"]
    command += ["--mlflow_tracking_uri", store, "--max_epochs", "2000", "--accelerator", "cpu", "--model.depth", "1"]
    process = subprocess.Popen(command, env=environment_of(), stderr=subprocess.DEVNULL)
    last, deadline = tmp_path / "out/checkpoints/last.ckpt", time.monotonic() + 300
    while not last.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
    (run,) = runs_of(store)
    assert run.info.status == "FAILED"


def test_processes_of_a_distributed_training_do_what_one_does_and_log_one_run(finished: Path, tmp_path: Path):
    # 34 frames to train on: the last batch has two groups, one for each process.
    common = ["--train_data_file", str(finished / "results/data/seen.cxi"), "--precision", "32-true"]
    common += ["--max_epochs", "2", "--accelerator", "cpu", "--model.features", "4", "--loss", "amplitude_mae"]
    common += ["--model.depth", "1", "--model.iterations", "2", "--total_variation", "0.1", "--train_probe", "true"]
    common += ["--recon_log_every_n_epochs", "1", "--validation_fraction", "0.3", "--log_every_n_steps", "1"]
    shares = ["--batch_size", "8", "--devices", "2", "--strategy", "ddp", "--logger", "csv", "mlflow"]
    for name, own in (("one", ["--batch_size", "16", "--logger", "csv"]), ("two", shares)):
        command = [sys.executable, str(Path(__file__).parents[2] / "scripts/train.py"), *common, *own]
        command += ["--output_dir", str(tmp_path / name), "--mlflow_tracking_uri", f"sqlite:///{tmp_path}/{name}.db"]
        result = subprocess.run(command, env=environment_of(OMP_NUM_THREADS="1"), capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    states = [torch.load(tmp_path / name / "model.ckpt", weights_only=True)["state_dict"] for name in ("one", "two")]
    for name, weights in states[0].items():
        np.testing.assert_allclose(states[1][name], weights, atol=2e-5, err_msg=name)
    one, two = (curves_of_table(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for key in one:
        assert len(two[key]) == len({step for step, _ in two[key]})
    # Held out is an odd number, so that processes have different shares. SSIM and deviance are plain means of frames.
    means = [f"{mode}/metrics/{name}/epoch" for mode in ("train", "val") for name in ("deviance", "amplitude_ssim")]
    for key in ["train/loss/amplitude/epoch", "val/metrics/phase_ssim/epoch", *means]:
        assert [value for _, value in two[key]] == pytest.approx([value for _, value in one[key]], rel=1e-4), key
    (run,) = runs_of(f"sqlite:///{tmp_path}/two.db")
    assert run.info.status == "FINISHED"
    assert len(list((tmp_path / "two/checkpoints/images/epoch_0002").iterdir())) == 4


def test_all_results_stand_in_one_table_and_one_crate(finished: Path, tmp_path: Path):
    folder = Path(shutil.copytree(finished, tmp_path / "workflow", copy_function=shutil.copy2))
    result = run_snakemake(folder, SMALL, "results/runs.csv", "results/crate.zip")
    assert result.returncode == 0, result.stderr
    with open(folder / "results/runs.csv", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["experiment"], row["seed"], row["dataset"]) == ("small", "3", "unseen")
    scores = json.loads((folder / "results/small/seed3/unseen/metrics.json").read_text())
    assert float(row["amplitude_ssim"]) == scores["amplitude_ssim"]
    assert row["model.features"] == "4"
    with zipfile.ZipFile(folder / "results/crate.zip") as crate:
        metadata = json.loads(crate.read("ro-crate-metadata.json"))
        packed = set(crate.namelist())
        assert crate.read("small/seed3/model.ckpt") == (folder / "results/small/seed3/model.ckpt").read_bytes()
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert entities["./"]["mainEntity"] == {"@id": "workflow/Snakefile"}
    actions = [entity for entity in entities.values() if entity["@type"] == "CreateAction"]
    conforms = {profile["@id"] for profile in entities["./"]["conformsTo"]}
    assert {"https://w3id.org/ro/wfrun/process/0.6", "https://w3id.org/ro/wfrun/workflow/0.6"} < conforms
    assert entities["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.3"}
    by_name: dict[str, list[dict]] = {}
    for action in actions:
        by_name.setdefault(action["name"], []).append(action)
        assert action["startTime"] <= action["endTime"]
        for part in [*action["object"], *action["result"]]:
            entity = entities[part["@id"]]
            file = folder / "results" / part["@id"]
            if file.is_file():
                assert entity["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    jobs = {"simulate": 2, "train": 1, "infer": 1, "stitch": 1, "evaluate": 1, "plot_reconstruction": 1, "workflow": 1}
    assert {name: len(by_name[name]) for name in jobs} == jobs
    (train,) = by_name["train"]
    assert train["instrument"] == {"@id": "workflow/scripts/train.py"}
    assert "--seed 3" in train["description"]
    assert {"@id": "small/seed3/model.ckpt"} in train["result"]
    assert by_name["workflow"][0]["instrument"] == {"@id": "workflow/Snakefile"}
    files = {name for name, entity in entities.items() if "File" in entity["@type"]}
    assert files == packed - {"ro-crate-metadata.json"}


def test_a_figure_alone_leads_back_to_data_code_and_seed(finished: Path):
    program = Path(__file__).parents[2] / "scripts/show_provenance.py"
    for name in ("unseen/figures/probe.svg", "unseen/figures/correlation.png", "unseen/reconstructed_phase.png"):
        figure = finished / "results/small/seed3" / name
        result = subprocess.run([sys.executable, str(program), str(figure)], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        for fact in ("seed: 3", "checkpoint_sha256: ", "data_file: results/data/unseen.cxi", "commit: ", "numpy: "):
            assert fact in result.stdout
