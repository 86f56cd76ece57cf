"""MLflow shows where a network comes from and what it is, and loads it without pickle."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from ptychoflow.configuration.results import STUDY_FIGURES, STUDY_TABLES
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.tracking.mlflow_models import find_model
from ptychoflow.tracking.results import track
from ptychoflow.tracking.study import track_study

pytestmark = pytest.mark.slow

LOAD = """
import sys
import mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/reconstructor@champion")
given = dict(numpy.load(sys.argv[2]))
numpy.savez(sys.argv[3], **model.predict(given))
"""


@pytest.fixture(scope="module")
def tracked(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of an experiment of a study, the network of the second of which is registered."""
    folder = tmp_path_factory.mktemp("tracked")
    for seed in (0, 1):
        tracking = TrackingSettings(
            logger=["csv", "mlflow"],
            mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
            tags={"experiment": "first", "seeds": "2", "study": "dose"},
            register_as="reconstructor" if seed else None,
            register_alias="champion" if seed else None,
        )
        training = TrainingSettings(max_epochs=2, batch_size=16, accelerator="cpu", groups=GroupSettings(size=2))
        place, model = folder / f"seed{seed}", ModelSettings(features=4, iterations=2)
        TrainingRun([small_cxi], place, place / "run", model, training, seed, tracking, quiet=True).run()
    return folder


@pytest.fixture
def client(tracked: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{tracked}/mlflow.db")


def runs_by_name(client: mlflow.MlflowClient) -> dict[str, mlflow.entities.Run]:
    experiment = client.get_experiment_by_name("ptychoflow").experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment])}


def test_seeds_stand_under_their_experiment_and_that_under_its_study(client: mlflow.MlflowClient):
    runs = runs_by_name(client)
    assert runs.keys() == {"dose", "first", "first/seed0", "first/seed1"}
    parents = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    ids = {name: run.info.run_id for name, run in runs.items()}
    assert parents == {"dose": None, "first": ids["dose"], "first/seed0": ids["first"], "first/seed1": ids["first"]}


def test_a_study_has_its_tables_and_figure_in_the_run_that_its_trainings_stand_under(
    client: mlflow.MlflowClient, tracked: Path, tmp_path: Path
):
    study = tmp_path / "dose"
    study.mkdir()
    for name in (*STUDY_TABLES, *STUDY_FIGURES):
        (study / name).write_text("| dose | score |", encoding="utf-8")
    run = track_study(study, f"sqlite:///{tracked}/mlflow.db", "ptychoflow")
    assert run == track_study(study, f"sqlite:///{tracked}/mlflow.db", "ptychoflow")
    parent = runs_by_name(client)["dose"]
    assert parent.info.run_id == run
    kept = {Path(artifact.path).name for artifact in client.list_artifacts(run, "study")}
    assert kept == {*STUDY_TABLES, *STUDY_FIGURES}
    note = parent.data.tags["mlflow.note.content"]
    assert "| dose | score |" in note
    assert f"study%2Ffigure.png&run_uuid={run}" in note


def test_a_result_without_figures_shows_its_plain_pictures(
    client: mlflow.MlflowClient, tracked: Path, small_cxi: Path, monkeypatch: pytest.MonkeyPatch
):
    run, result = tracked / "seed1", tracked / "result"
    training = read_provenance(run / "provenance.json")
    provenance = {"training": training, "data_file": str(small_cxi), "data_sha256": sha256_of(small_cxi)}
    result.mkdir()
    (result / "provenance.json").write_text(json.dumps(provenance | {"checkpoint_sha256": "00"}), encoding="utf-8")
    (result / "metrics.json").write_text('{"amplitude_ssim": 0.5}', encoding="utf-8")
    for name in ("reconstructed_amplitude.png", "reconstructed_phase.png"):
        (result / name).write_bytes(b"a picture")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracked}/mlflow.db")
    assert track(result, run / "run")[1] == 0
    note = client.get_run(training["run_id"]).data.tags["mlflow.note.content"]
    shown = {name.replace("%2F", "/") for name in re.findall(r"get-artifact\?path=([^&]+)", note)}
    (folder,) = {name.rpartition("/")[0] for name in shown}
    assert shown == {artifact.path for artifact in client.list_artifacts(training["run_id"], folder)}


def test_a_store_that_takes_no_study_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(InputError, match="MLflow's store"):
        track_study(tmp_path, f"sqlite:///{tmp_path}/file/mlflow.db", "ptychoflow")


def test_a_run_names_its_dataset_machine_and_commit(client: mlflow.MlflowClient, small_cxi: Path):
    run = runs_by_name(client)["first/seed0"]
    (entry,) = run.inputs.dataset_inputs
    sha256 = sha256_of(small_cxi)
    assert (entry.dataset.name, entry.dataset.digest) == ("small", sha256[:36])
    assert json.loads(entry.dataset.source) == {"uri": str(small_cxi)}
    assert json.loads(entry.dataset.profile) == {"frames": 61, "sha256": sha256}
    assert {tag.key: tag.value for tag in entry.tags} == {"mlflow.data.context": "training"}
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0
    assert run.data.tags["mlflow.source.git.commit"] == run.data.tags["commit"]
    assert "`unrolled` trained on small.cxi, seed 0" in run.data.tags["mlflow.note.content"]


def test_the_checkpoint_is_a_model_with_settings_metrics_and_dataset(client: mlflow.MlflowClient, tracked: Path):
    run = runs_by_name(client)["first/seed1"]
    model = find_model(client, run.info.run_id, sha256_of(tracked / "seed1/model.ckpt"))
    assert (str(model.status), model.name) == ("READY", "first")
    assert model.params["model/features"] == "4"
    metrics = {metric.key: metric for metric in model.metrics}
    assert metrics["val/loss/epoch"].value == run.data.metrics["val/loss/epoch"]
    assert metrics["val/loss/epoch"].dataset_name == "small"
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    history = client.get_metric_history(run.info.run_id, "val/loss/epoch")
    assert len(history) == len({metric.step for metric in history}) == 2
    (version,) = client.search_model_versions("name = 'reconstructor'")
    assert version.run_id == run.info.run_id


def test_the_registered_model_is_loaded_by_its_alias_without_pickle_and_reconstructs(
    tracked: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    pairs = np.stack([small_dataset.probe.real, small_dataset.probe.imag], -1).astype(np.float32)
    frames = np.asarray(small_dataset.frames, np.float32)
    given = {"frames": frames, "positions": small_dataset.positions, "probe": pairs, "mask": small_dataset.mask}
    np.savez(tmp_path / "given.npz", **given)
    program = [sys.executable, "-c", LOAD, f"sqlite:///{tracked}/mlflow.db"]
    # In another process, which has the library from the model alone.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [*program, str(tmp_path / "given.npz"), str(tmp_path / "made.npz")],
        cwd=tmp_path,
        env={**environment, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    made = dict(np.load(tmp_path / "made.npz"))
    dataset = read_dataset(small_cxi, frames_in_memory=1000)
    image = Inference(tracked / "seed1/model.ckpt", dataset, small_cxi).reconstruct(16).object
    # The model lays its own frame round the positions.
    shift = np.rint(small_dataset.positions.min(axis=0) - 16 - 2).astype(int)
    inner = np.s_[20:40, 20:40]
    theirs = made["amplitude"][inner]
    ours = np.abs(image)[20 + shift[0] : 40 + shift[0], 20 + shift[1] : 40 + shift[1]]
    assert np.abs(theirs - ours).mean() < 0.05 * ours.mean()
    assert made["phase"].dtype == np.float32


@pytest.mark.parametrize("wrong", [{"register_alias": "best"}, {"register_as": "a", "log_checkpoint": False}])
def test_what_cannot_be_registered_is_refused(wrong: dict):
    with pytest.raises(InputError, match=r"expected a model"):
        TrackingSettings(**wrong)
