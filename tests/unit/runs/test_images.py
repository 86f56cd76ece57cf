"""Reconstruction images: the same patches every time, drawn without touching the training."""

import dataclasses
import json
import logging
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.runs.images import coloured, diffraction_panels, object_panels
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

TINY = ModelSettings(features=4, depth=1, iterations=2)
PANELS = {
    *("amp_pred", "phase_pred", "amp_gt", "phase_gt", "amp_error", "phase_error"),
    *("diff_obs_logI", "diff_pred_logI", "diff_error_logI"),
}


def train(data: Path, folder: Path, training: dict | None = None, **tracking: object) -> dict[str, torch.Tensor]:
    """Train for two epochs and give the weights."""
    settings = {"max_epochs": 2, "batch_size": 8, "accelerator": "cpu", "groups": GroupSettings(size=2)}
    settings |= training or {}
    tracked = TrackingSettings(**{"recon_log_every_n_epochs": 2} | tracking)
    run = TrainingRun([data], folder, folder / "run", TINY, TrainingSettings(**settings), 0, tracked)
    return load_checkpoint(run.run())["state_dict"]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.png")}


def pictures(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): np.asarray(Image.open(path)).tobytes() for path in sorted(folder.rglob("*.png"))
    }


def test_every_logger_gets_the_same_pictures(small_cxi: Path, tmp_path: Path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    loggers = ["csv", "tensorboard", "mlflow"]
    train(
        small_cxi, tmp_path, logger=loggers, mlflow_tracking_uri=store, recon_log_num_patches=2, recon_log_stitch=True
    )
    expected = {f"patch_{number:02d}/{panel}" for number in range(2) for panel in PANELS}
    expected |= {f"stitched/{panel}" for panel in PANELS if not panel.startswith("diff")}
    files = tmp_path / "run/images/epoch_0002"
    assert names(tmp_path / "run/images") == {f"epoch_0002/{name}" for name in expected}
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert set(events.Tags()["images"]) == expected
    assert [event.step for event in events.Images("patch_00/amp_pred")] == [15]
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("ptychoflow").experiment_id])
    copy = client.download_artifacts(run.info.run_id, "epoch_0002", str(tmp_path))
    assert pictures(Path(copy)) == pictures(files)
    with Image.open(files / "patch_00/amp_pred.png") as image:
        assert json.loads(image.info["Description"])["run_id"] == run.info.run_id
        assert image.size == (192, 192)


def test_drawing_leaves_the_training_as_it_is(small_cxi: Path, tmp_path: Path):
    drawn = train(small_cxi, tmp_path / "drawn", recon_log_every_n_epochs=1, recon_log_stitch=True)
    plain = train(small_cxi, tmp_path / "plain", recon_log_every_n_epochs=None)
    assert drawn.keys() == plain.keys()
    assert all(torch.equal(drawn[name], plain[name]) for name in drawn)
    assert not (tmp_path / "plain/run/images").exists()


def test_fixed_patches_are_the_same_in_every_run_and_epoch(small_cxi: Path, tmp_path: Path):
    for name in ("first", "second"):
        train(small_cxi, tmp_path / name, recon_log_every_n_epochs=1, recon_log_num_patches=2)
    first, second = (pictures(tmp_path / f"{name}/run/images") for name in ("first", "second"))
    assert first == second
    for panel in ("amp_gt", "diff_obs_logI"):
        assert first[f"epoch_0001/patch_00/{panel}.png"] == first[f"epoch_0002/patch_00/{panel}.png"]
    assert first["epoch_0001/patch_00/amp_pred.png"] != first["epoch_0002/patch_00/amp_pred.png"]


def test_the_chosen_indices_are_drawn_in_their_order(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path / "both", recon_log_fixed_indices=[2, 0])
    train(small_cxi, tmp_path / "one", recon_log_fixed_indices=[0])
    both, one = (pictures(tmp_path / f"{name}/run/images") for name in ("both", "one"))
    assert both["epoch_0002/patch_01/diff_obs_logI.png"] == one["epoch_0002/patch_00/diff_obs_logI.png"]
    assert len(one) == len(PANELS)


def test_an_index_beyond_the_frames_is_refused_before_training(small_cxi: Path, tmp_path: Path):
    with pytest.raises(InputError, match="recon_log_fixed_indices names 50: expected indices below 3"):
        train(small_cxi, tmp_path, recon_log_fixed_indices=[0, 50])
    assert not (tmp_path / "run/last.ckpt").exists()


def test_without_held_out_frames_training_frames_are_drawn_with_a_warning(
    small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "ptychoflow"):
        train(small_cxi, tmp_path, training={"validation_fraction": 0.0}, recon_log_every_n_epochs=1)
    assert [record.message for record in caplog.records if "held-out" in record.message] == [
        "no held-out frames: reconstruction images show training frames"
    ]
    assert len(names(tmp_path / "run/images/epoch_0001")) == 4 * len(PANELS)


def test_without_a_true_object_its_panels_are_skipped_with_one_line(
    small_dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write_cxi(tmp_path / "measured.cxi", dataclasses.replace(small_dataset, truth=None))
    with caplog.at_level(logging.WARNING, "ptychoflow"):
        train(tmp_path / "measured.cxi", tmp_path, recon_log_every_n_epochs=1, recon_log_num_patches=2)
    assert sum("no true object" in record.message for record in caplog.records) == 1
    panels = {name.split("/")[-1] for name in names(tmp_path / "run/images")}
    assert panels == {panel for panel in PANELS if not panel.endswith(("gt", "error"))} | {"diff_error_logI"}


def test_a_part_of_the_frames_is_stitched(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path / "all", recon_log_stitch=True)
    train(small_cxi, tmp_path / "part", recon_log_stitch=True, recon_log_max_stitch_samples=9)
    sizes = [
        Image.open(tmp_path / f"{name}/run/images/epoch_0002/stitched/amp_gt.png").size for name in ("all", "part")
    ]
    assert sizes[0] != sizes[1]


def test_switched_on_means_every_fifth_epoch():
    assert TrackingSettings(recon_log_every_n_epochs=True).recon_log_every_n_epochs == 5
    assert TrackingSettings(recon_log_every_n_epochs=False).recon_log_every_n_epochs is None
    assert TrackingSettings().recon_log_every_n_epochs is None
    with pytest.raises(InputError, match="recon_log_every_n_epochs is 0"):
        TrackingSettings(recon_log_every_n_epochs=0)


def test_colours_are_those_of_the_limits():
    image = np.array([[0.0, 1.0], [-3.0, 7.0]]).repeat(200, axis=0).repeat(200, axis=1)
    picture = coloured(image, (0.0, 1.0), "gray")
    assert picture.shape == (400, 400, 3)
    assert picture[0, 0].tolist() == picture[399, 0].tolist() == [0, 0, 0]
    assert picture[0, 399].tolist() == picture[399, 399].tolist() == [255, 255, 255]
    assert coloured(image[:50, :10], (0.0, 1.0), "gray").shape == (1000, 200, 3)


def test_an_object_without_error_has_black_errors():
    truth = np.exp(1j * np.linspace(0, 1, 1024)).reshape(32, 32)
    lit = np.ones((32, 32), bool)
    panels = object_panels(truth, truth, lit)
    for name in ("amp", "phase"):
        assert (panels[f"{name}_pred"] == panels[f"{name}_gt"]).all()
        assert (panels[f"{name}_error"] == panels[f"{name}_error"][0, 0]).all()
    dark = object_panels(truth * np.where(np.arange(32) < 16, 1, 3), truth, np.arange(32)[None] < np.full((32, 1), 16))
    assert (dark["amp_error"] == panels["amp_error"]).all()


def test_patterns_are_drawn_as_logarithms_with_the_beam_in_the_middle():
    observed = np.zeros((200, 200))
    observed[0, 0] = 999
    panels = diffraction_panels(observed, observed / 10)
    brightest = panels["diff_obs_logI"].astype(int).sum(axis=-1)
    assert np.unravel_index(brightest.argmax(), brightest.shape) == (100, 100)
    half = coloured(np.full((200, 200), np.log10(1 + 99.9)), (0.0, 3.0), "viridis")
    assert panels["diff_pred_logI"][100, 100].tolist() == half[0, 0].tolist()
