"""Training learns, repeats itself bit for bit, goes on where it stopped, and refuses foreign checkpoints."""

import csv
import dataclasses
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.flux import probe_by_photons
from ptychoflow.errors import InputError
from ptychoflow.loading.groups import nearest_frames
from ptychoflow.loading.loaders import GroupLoader
from ptychoflow.loading.tables import Batch, FrameTable
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.losses import poisson_deviance
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.training import GroupSettings, RegionSettings, TrainingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.tracking.loggers import collect_metrics
from ptychoflow.training.checkpoint import load_checkpoint, restore, trained_frames
from ptychoflow.training.module import Reconstructor

pytestmark = pytest.mark.slow

CIRCUMSTANCES = {"train/frames_per_second", "train/device_memory_mb"}
TINY = ModelSettings(features=4, depth=1, iterations=2)


def train(
    data: Path | list[Path], folder: Path, seed: int = 0, model: ModelSettings = TINY, **settings: object
) -> Path:
    """Train a tiny network and give its checkpoint."""
    given = {"max_epochs": 2, "batch_size": 8, "accelerator": "cpu", "groups": GroupSettings(size=2)}
    settings = given | {"precision": "32-true"} | settings
    data = data if isinstance(data, list) else [data]
    return TrainingRun(data, folder, folder / "run", model, TrainingSettings(**settings), seed).run()


def fail_to_publish(self: TrainingRun, *arguments: object) -> None:
    raise RuntimeError("the disk is full")


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(checkpoint)["state_dict"]


def assert_same_weights(first: Path, second: Path) -> None:
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def metric_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv, without what differs from one run to the next: speed and memory."""
    with open(folder / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: row[key] for key in row if key not in CIRCUMSTANCES} for row in rows]


def epoch_values(folder: Path, key: str) -> list[float]:
    return [float(row[key]) for row in metric_rows(folder) if row[key]]


def reconstructor(dataset: Dataset, model: ModelSettings = TINY, **settings: object) -> Reconstructor:
    probes, masks = torch.from_numpy(dataset.probe)[None], torch.from_numpy(dataset.mask)[None]
    return Reconstructor(model, TrainingSettings(**settings), probes, masks)


def test_the_loss_falls(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, max_epochs=6)
    losses = epoch_values(tmp_path, "train/loss/epoch")
    assert len(losses) == 6
    assert losses[-1] < 0.7 * losses[0]
    assert epoch_values(tmp_path, "val/metrics/deviance/epoch")[-1] > 0
    assert epoch_values(tmp_path, "train/beta2") == pytest.approx([0.999] * 6)


@pytest.mark.parametrize("name", ["autoencoder", "unet"])
def test_other_models_learn_too(name: str, small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, max_epochs=6, model=dataclasses.replace(TINY, name=name))
    losses = epoch_values(tmp_path, "train/loss/epoch")
    assert losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small_cxi: Path, tmp_path: Path):
    first, second = (train(small_cxi, tmp_path / name) for name in ("first", "second"))
    assert_same_weights(first, second)
    other = train(small_cxi, tmp_path / "other", seed=1)
    name = "network.corrections.0.entry.first.weight"
    assert not torch.equal(weights(first)[name], weights(other)[name])


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


@pytest.mark.usefixtures("threads")
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    undisturbed = train(small_cxi, tmp_path / "undisturbed", max_epochs=4)
    step = Reconstructor.training_step

    def fail_in_the_third_epoch(self: Reconstructor, batch: object, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 2 and batch_idx == 3:
            raise RuntimeError("the node went down")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Reconstructor, "training_step", fail_in_the_third_epoch)
        with pytest.raises(RuntimeError, match="the node went down"):
            train(small_cxi, tmp_path / "interrupted", max_epochs=4)
    assert not (tmp_path / "interrupted/model.ckpt").exists()
    assert_same_weights(train(small_cxi, tmp_path / "interrupted", max_epochs=4), undisturbed)
    rows = [metric_rows(tmp_path / name) for name in ("interrupted", "undisturbed")]
    assert [row["train/loss/epoch"] for row in rows[0]] == [row["train/loss/epoch"] for row in rows[1]]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]


@pytest.mark.parametrize(
    "settings",
    [
        {"publish": "best", "learning_rate": 0.05, "schedule": "constant"},
        {"train_probe": True, "learn_flux": True, "precision": "bf16-mixed"},
        {"validation_fraction": 0.0, "groups": GroupSettings(size=2, per_anchor=2)},
        {"early_stopping": 1, "learning_rate": 0.05, "schedule": "constant", "max_epochs": 20},
    ],
    ids=["best", "probe", "no validation", "early stopping"],
)
def test_a_run_interrupted_before_publication_ends_like_an_undisturbed_one(
    settings: dict, small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = {"max_epochs": 5} | settings
    undisturbed = train(small_cxi, tmp_path / "undisturbed", **settings)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_publish", fail_to_publish)
        with pytest.raises(RuntimeError, match="the disk is full"):
            train(small_cxi, tmp_path / "interrupted", **settings)
    resumed = train(small_cxi, tmp_path / "interrupted", **settings)
    assert_same_weights(resumed, undisturbed)
    assert load_checkpoint(resumed)["epoch"] == load_checkpoint(undisturbed)["epoch"]
    assert metric_rows(tmp_path / "interrupted") == metric_rows(tmp_path / "undisturbed")


def test_the_best_and_the_last_epoch_can_be_published(small_cxi: Path, tmp_path: Path):
    # Steps this large soon make the validation loss rise again.
    settings = {"max_epochs": 8, "learning_rate": 0.05, "schedule": "constant"}
    best = load_checkpoint(train(small_cxi, tmp_path / "best", publish="best", **settings))
    last = load_checkpoint(train(small_cxi, tmp_path / "last", publish="last", **settings))
    losses = epoch_values(tmp_path / "best", "val/loss/epoch")
    assert np.argmin(losses) < 7
    assert best["epoch"] == np.argmin(losses)
    assert last["epoch"] == 7


def test_training_stops_where_the_validation_loss_no_longer_falls(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, max_epochs=30, learning_rate=0.05, schedule="constant", early_stopping=2)
    losses = epoch_values(tmp_path, "val/loss/epoch")
    assert len(losses) < 30
    assert len(losses) - 1 == np.argmin(losses) + 2


def test_a_damaged_state_starts_afresh(small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    undisturbed = train(small_cxi, tmp_path / "undisturbed")
    (tmp_path / "damaged/run").mkdir(parents=True)
    whole = (tmp_path / "undisturbed/run/last.ckpt").read_bytes()
    (tmp_path / "damaged/run/last.ckpt").write_bytes(whole[: len(whole) // 2])
    assert_same_weights(train(small_cxi, tmp_path / "damaged"), undisturbed)


def test_a_finished_run_is_published_again_and_one_of_other_settings_starts_afresh(
    small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level("INFO")
    published = ("model.ckpt", "metrics.csv", "config.yaml", "provenance.json")
    first = weights(train(small_cxi, tmp_path))
    before = {name: (tmp_path / name).read_bytes() for name in published}
    for name in published:
        (tmp_path / name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr("lightning.pytorch.Trainer.fit", fail_to_publish)
        train(small_cxi, tmp_path)
    assert "of this very training, finished: published again" in caplog.text
    assert {name: (tmp_path / name).read_bytes() for name in published} == before
    again = weights(train(small_cxi, tmp_path, learning_rate=1e-4))
    assert "was begun with learning_rate 0.003 (now 0.0001)" in caplog.text
    assert not torch.equal(first["network.step_sizes"], again["network.step_sizes"])
    assert len(epoch_values(tmp_path, "train/loss/epoch")) == 2


def test_a_finished_training_goes_on_with_more_epochs(
    small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level("INFO")
    steady = {"schedule": "constant", "warmup": 0.0}
    train(small_cxi, tmp_path / "in two", max_epochs=1, **steady)
    # An interruption on the way changes nothing.
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the disk is full"):
        patch.setattr(TrainingRun, "_publish", fail_to_publish)
        train(small_cxi, tmp_path / "in two", max_epochs=3, **steady)
    assert "ended after 1 epochs, to epoch 3" in caplog.text
    assert "what the constant schedule of 3 epochs says" in caplog.text
    more = train(small_cxi, tmp_path / "in two", max_epochs=3, **steady)
    assert_same_weights(more, train(small_cxi, tmp_path / "in one", max_epochs=3, **steady))
    losses = [epoch_values(tmp_path / name, "train/loss/epoch") for name in ("in two", "in one")]
    np.testing.assert_array_equal(*losses)
    assert load_checkpoint(more)["ptychoflow"]["provenance"]["went_on_from"]["max_epochs"] == 1
    train(small_cxi, tmp_path / "in two", max_epochs=2, **steady)
    assert "starting afresh" in caplog.text


def test_the_published_checkpoint_describes_itself(small_cxi: Path, tmp_path: Path):
    checkpoint = load_checkpoint(train(small_cxi, tmp_path, region=RegionSettings(columns=(0.0, 0.5))))
    description = checkpoint["ptychoflow"]
    assert "optimizer_states" not in checkpoint
    assert description["scans"][0]["file"] == small_cxi.name
    module = restore(checkpoint)
    assert module.model_settings == TINY
    assert module.training_settings.region == RegionSettings(columns=(0.0, 0.5))


def test_a_network_knows_which_frames_it_was_trained_on(small_cxi: Path, small_dataset: Dataset, tmp_path: Path):
    region = RegionSettings(columns=(0.0, 0.5))
    description = load_checkpoint(train(small_cxi, tmp_path, region=region))["ptychoflow"]
    source = description["scans"][0]
    trained = trained_frames(description, source["sha256"], {}, 64).numpy()
    middle = small_dataset.positions[:, 1].min() + np.ptp(small_dataset.positions[:, 1]) / 2
    assert not trained[small_dataset.positions[:, 1] > middle].any()
    assert 0 < np.count_nonzero(~trained[small_dataset.positions[:, 1] <= middle]) < 5
    assert not trained_frames(description, "of another file", {}, 64).any()
    np.testing.assert_array_equal(trained_frames(description, source["sha256"], {}, 30), trained[:30])


def test_frames_with_refined_positions_are_the_frames_that_they_were():
    def refined(sha256: str) -> dict:
        return {"program": "refine.py", "source": {"sha256": sha256}}

    scans = [{"sha256": "a2", "made_by": refined("a"), "frames": [0, 1]}, {"sha256": "b", "made_by": {}, "frames": [2]}]
    trained = {"scans": scans}

    def found(sha256: str, made_by: dict) -> list[int]:
        return np.flatnonzero(trained_frames(trained, sha256, made_by, 4)).tolist()

    assert found("a2", refined("a")) == found("a", {}) == found("a3", refined("a")) == [0, 1]
    assert found("b2", refined("b")) == [2]
    # Ingested anew, frames may have other numbers.
    assert found("c", {"program": "ingest.py", "source": {"sha256": "b"}}) == []


def true_batch(dataset: Dataset, groups: GroupSettings) -> Batch:
    """All groups of a dataset with their true patches."""
    frames = np.arange(len(dataset.frames))
    neighbours = torch.from_numpy(nearest_frames(dataset.positions, frames, frames, groups))
    table = FrameTable.of([dataset], torch.device("cpu"), with_truth=True)
    return next(iter(GroupLoader(table, neighbours, groups, len(frames))))


def test_true_patches_pass_the_overlap_constraint_and_explain_the_photons():
    groups, dataset = GroupSettings(size=4), simulate(SimulationSettings(scan=ScanSettings(frames=49, step=4.0)))
    module, batch = reconstructor(dataset, groups=groups), true_batch(dataset, groups)
    merged = module.merged(batch.truth, batch)
    lit = np.abs(dataset.probe[0]) > 0.3 * np.abs(dataset.probe).max()
    error = (merged - batch.truth)[..., torch.from_numpy(lit)].abs().square().mean().sqrt()
    assert error < 5e-3
    mask = torch.ones(64, 64, dtype=torch.bool)
    counts = batch.amplitudes.square()
    at_truth = poisson_deviance(module.intensity(merged, batch), counts, mask)
    empty = poisson_deviance(module.intensity(torch.ones_like(merged), batch), counts, mask)
    assert 0.5 < at_truth < 1.5
    assert empty > 20 * at_truth


def test_the_flux_that_explains_the_photons_is_found(small_dataset: Dataset):
    weak = dataclasses.replace(small_dataset, probe=small_dataset.probe * np.float32(np.sqrt(0.5)))
    module = reconstructor(weak, dataclasses.replace(TINY, name="unet"), learn_flux=True)
    batch = true_batch(small_dataset, GroupSettings(size=1))
    optimizer = torch.optim.Adam([module.log_flux], lr=0.1)
    mask = torch.ones(32, 32, dtype=torch.bool)
    for _ in range(100):
        optimizer.zero_grad()
        poisson_deviance(module.intensity(batch.truth, batch), batch.amplitudes.square(), mask).backward()
        optimizer.step()
    assert float(module.log_flux.detach()) == pytest.approx(np.log(2), abs=0.01)
    assert float(module.probes.detach().abs().square().sum()) == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("name", ["unrolled", "unet"])
def test_no_image_depends_on_the_flux_of_a_file_that_is_not_to_be_trusted(
    name: str, small_dataset: Dataset, small_cxi: Path, tmp_path: Path
):
    images, fluxes = [], []
    for factor in (1.0, 0.1):
        probe = (small_dataset.probe * np.sqrt(factor)).astype(np.complex64)
        own, path = dataclasses.replace(small_dataset, probe=probe), tmp_path / f"{factor}.cxi"
        write_cxi(path, own)
        model = dataclasses.replace(TINY, name=name)
        checkpoint = train(path, tmp_path / str(factor), model=model, learn_flux=True, probe_delay=0.0)
        inference = Inference(checkpoint, own, path)
        images.append(inference.reconstruct(16, accelerator="cpu").object)
        fluxes.append(np.square(np.abs(inference.probe)).sum())
    np.testing.assert_allclose(images[1], images[0], atol=2e-3)
    # The sample has clear spots, whose frames are as bright as the empty beam of a million photons.
    assert fluxes == pytest.approx([1e6, 1e6], rel=0.03)
    # Without the setting the file is trusted, and its empty beam is all that the network knows of.
    trusted = train(tmp_path / "0.1.cxi", tmp_path / "trusted")
    weak = restore(load_checkpoint(trusted)).probes.detach()
    assert float(weak.abs().square().sum()) == pytest.approx(1e5, rel=1e-3)


def test_network_and_diffraction_model_have_the_same_flux(small_dataset: Dataset):
    batch = true_batch(small_dataset, GroupSettings(size=4))
    bright = dataclasses.replace(small_dataset, probe=small_dataset.probe * 1.5)
    told, learned = reconstructor(bright), reconstructor(small_dataset)
    learned.network.load_state_dict(told.network.state_dict())
    learned.log_flux.data += 2 * np.log(1.5)
    torch.testing.assert_close(learned.probes, told.probes)
    torch.testing.assert_close(learned(batch), told(batch), rtol=1e-3, atol=1e-3)


def test_a_flux_is_not_told_by_dark_frames(small_dataset: Dataset, tmp_path: Path):
    dark = dataclasses.replace(small_dataset, frames=0 * small_dataset.frames)
    with pytest.raises(InputError, match="61 frames have no photons"):
        probe_by_photons(dark, np.arange(61))


def test_a_probe_that_is_trained_keeps_its_power(small_dataset: Dataset, tmp_path: Path):
    two = np.concatenate([small_dataset.probe, 0.5 * np.roll(small_dataset.probe, 2, axis=-1)]).astype(np.complex64)
    write_cxi(tmp_path / "two.cxi", dataclasses.replace(small_dataset, probe=two))
    path = train(tmp_path / "two.cxi", tmp_path, train_probe=True, probe_delay=0.0, probe_learning_rate=0.03)
    probes = restore(load_checkpoint(path)).probes[0]
    assert (probes - torch.from_numpy(two)).abs().max() > 0.1 * np.abs(two).max()
    assert float(probes.detach().abs().square().sum()) == pytest.approx(np.square(np.abs(two)).sum(), rel=1e-4)


def test_the_probe_is_refined_only_on_request(small_dataset: Dataset, small_cxi: Path, tmp_path: Path):
    fixed = restore(load_checkpoint(train(small_cxi, tmp_path / "fixed"))).probes[0]
    torch.testing.assert_close(fixed, torch.from_numpy(small_dataset.probe))
    refined = restore(load_checkpoint(train(small_cxi, tmp_path / "refined", train_probe=True))).probes[0]
    assert (refined - fixed).abs().max() > 1e-3 * fixed.abs().max()


def test_a_slightly_wrong_probe_is_mended(small_dataset: Dataset):
    # With the true patches given, nothing but the probe can explain the photons better.
    bent = small_dataset.probe * np.exp(6j * np.linspace(-1, 1, 32) ** 2).astype(np.complex64)
    module = reconstructor(dataclasses.replace(small_dataset, probe=bent), train_probe=True)
    batch, mask = true_batch(small_dataset, GroupSettings(size=1)), torch.ones(32, 32, dtype=torch.bool)
    optimizer = torch.optim.Adam([module.probe_pairs], lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        poisson_deviance(module.intensity(batch.truth, batch), batch.amplitudes.square(), mask).backward()
        optimizer.step()

    def distance(probe: np.ndarray) -> float:
        overlap = np.vdot(probe, small_dataset.probe)
        return np.linalg.norm(probe * overlap / abs(overlap) - small_dataset.probe) / np.linalg.norm(probe)

    assert distance(bent) > 0.1
    assert distance(module.probes[0].detach().numpy()) < 0.5 * distance(bent)


def test_supervised_training_nears_the_truth(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, max_epochs=6, supervised=True)
    losses = epoch_values(tmp_path, "train/loss/supervised/epoch")
    assert losses[-1] < losses[0]


def test_supervised_training_needs_a_truth(small_dataset: Dataset, tmp_path: Path):
    write_cxi(tmp_path / "measured.cxi", dataclasses.replace(small_dataset, truth=None))
    with pytest.raises(InputError, match="needs the true object"):
        train(tmp_path / "measured.cxi", tmp_path / "run", supervised=True)


def test_two_scans_train_together_with_a_probe_each(small_dataset: Dataset, small_cxi: Path, tmp_path: Path):
    turned = dataclasses.replace(small_dataset, probe=1j * small_dataset.probe)
    write_cxi(tmp_path / "turned.cxi", turned)
    module = restore(load_checkpoint(train([small_cxi, tmp_path / "turned.cxi"], tmp_path / "run", max_epochs=1)))
    torch.testing.assert_close(module.probes[1], 1j * module.probes[0])


def test_a_near_field_is_trained_on_and_rebuilt(small_dataset: Dataset, small_cxi: Path, tmp_path: Path):
    optics = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}
    near = simulate(
        SimulationSettings(
            size=32, probe=ProbeSettings(kind="diffuser"), scan=ScanSettings(frames=36, step=4.0), seed=7, **optics
        )
    )
    write_cxi(tmp_path / "near.cxi", near)
    expected = Propagator(32, near.fresnel_number)
    for name in ("unrolled", "unet"):
        model = dataclasses.replace(TINY, name=name)
        path = train(tmp_path / "near.cxi", tmp_path / name, model=model)
        losses = epoch_values(tmp_path / name, "train/loss/poisson/epoch")
        assert losses[-1] < losses[0]
        assert not any("transfer" in key for key in weights(path))
        torch.testing.assert_close(restore(load_checkpoint(path)).propagator.transfer, expected.transfer)
    # The photons that the true patches diffract are those of the model.
    module = reconstructor(near)
    module.propagator = expected
    batch, mask = true_batch(near, GroupSettings(size=1)), torch.ones(32, 32, dtype=torch.bool)
    assert 0.5 < poisson_deviance(module.intensity(batch.truth, batch), batch.amplitudes.square(), mask) < 1.5
    with pytest.raises(InputError, match=r"Fresnel numbers of .*: expected one number to train together"):
        train([small_cxi, tmp_path / "near.cxi"], tmp_path / "both")


def test_early_stopping_without_validation_is_refused(small_cxi: Path, tmp_path: Path):
    with pytest.raises(InputError, match="validation_fraction is 0"):
        train(small_cxi, tmp_path, early_stopping=2, validation_fraction=0.0)


def test_of_steps_done_twice_the_later_attempt_stays(tmp_path: Path):
    for start, rows in ((0, "0,9,a\n0,19,b\n0,29,c\n"), (20, "0,29,d\n1,39,e\n")):
        folder = tmp_path / f"logs/from_step_{start:08d}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("epoch,step,value\n" + rows)
    collect_metrics(tmp_path / "logs", tmp_path / "metrics.csv")
    assert [row["value"] for row in metric_rows(tmp_path)] == ["a", "b", "d", "e"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 0),
        ("batch_size", -1),
        ("n_groups", 0),
        ("early_stopping", 0),
        ("weight_decay", -0.1),
        ("gradient_clip", -1.0),
        ("learning_rate", 0.0),
        ("probe_learning_rate", float("nan")),
        ("validation_fraction", 1.0),
        ("warmup", -0.1),
    ],
)
def test_settings_that_cannot_be_right_are_refused(name: str, value: float):
    with pytest.raises(InputError, match=rf"^{name} is {value}: expected"):
        TrainingSettings(**{name: value})


def test_what_lightning_refuses_is_an_input_error_and_leaves_nothing(small_cxi: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"strategy telepathy, .* cannot be used here"):
        train(small_cxi, tmp_path / "run", strategy="telepathy")
    with pytest.raises(InputError, match="seed is -1"):
        train(small_cxi, tmp_path / "run", seed=-1)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_other_settings_or_weights_is_refused(small_cxi: Path, tmp_path: Path):
    path = train(small_cxi, tmp_path, max_epochs=1)
    unknown, lacking, older = (load_checkpoint(path) for _ in range(3))
    unknown["ptychoflow"]["model"]["attention"] = True
    del lacking["state_dict"]["network.step_sizes"]
    # An older version kept the transfer function of a near field among the weights, and its Fresnel number nowhere.
    older["state_dict"]["transfer"] = Propagator(32, 0.3).transfer
    for checkpoint, reason in ((unknown, "attention"), (lacking, "step_sizes"), (older, "transfer")):
        with pytest.raises(InputError, match=reason):
            restore(checkpoint)


class Unwanted:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def test_foreign_checkpoints_are_refused(small_cxi: Path, tmp_path: Path):
    whole = train(small_cxi, tmp_path, max_epochs=1).read_bytes()
    files = {
        "garbage": b"not a checkpoint",
        "truncated": whole[: len(whole) // 2],
        "pickle": pickle.dumps({"state_dict": Unwanted(tmp_path / "trace")}),
        "empty": b"",
        "pickle_like": b"0a.",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.ckpt").write_bytes(content)
    torch.save({"state_dict": {}, "ptychoflow": Unwanted(tmp_path / "trace")}, tmp_path / "object.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    for name in (*files, "object", "other", "missing"):
        with pytest.raises(InputError, match=rf"{name}\.ckpt"):
            load_checkpoint(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "trace").exists()


def test_a_scan_larger_than_memory_is_learned_from_its_file(small_cxi: Path, tmp_path: Path):
    settings = {"frames_in_memory": 40, "groups": GroupSettings(size=2, neighbours=4), "max_epochs": 3}
    checkpoint = train(small_cxi, tmp_path / "a", **settings)
    losses = epoch_values(tmp_path / "a", "train/loss/epoch")
    assert losses[-1] < losses[0]
    again = weights(train(small_cxi, tmp_path / "b", **settings))
    assert all(torch.equal(value, again[name]) for name, value in weights(checkpoint).items())


def test_the_precision_that_auto_stood_for_is_recorded_and_the_config_keeps_what_was_written(
    small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    precisions = {True: "bf16-mixed", False: "32-true"}
    for able, precision in precisions.items():
        monkeypatch.setattr("ptychoflow.training.trainer.computes_bfloat16", lambda on_gpu, able=able: able)
        checkpoint = load_checkpoint(train(small_cxi, tmp_path / precision, precision="auto", max_epochs=1))
        provenance = checkpoint["ptychoflow"]["provenance"]
        assert provenance["precision"] == precision
        assert provenance["config"]["precision"] == checkpoint["ptychoflow"]["training"]["precision"] == "auto"
        assert yaml.safe_load((tmp_path / precision / "config.yaml").read_text())["precision"] == "auto"
        assert json.loads((tmp_path / precision / "provenance.json").read_text())["precision"] == precision
    first, second = (weights(tmp_path / name / "model.ckpt")["network.step_sizes"] for name in precisions.values())
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("begun", "goes_on"), [("auto", True), ("32-true", True), ("bf16-mixed", False)])
def test_a_run_goes_on_in_the_precision_that_it_was_begun_in_or_starts_afresh(
    begun: str,
    goes_on: bool,
    small_cxi: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr("ptychoflow.training.trainer.computes_bfloat16", lambda on_gpu: False)
    caplog.set_level("INFO")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the disk is full"):
        patch.setattr(TrainingRun, "_publish", fail_to_publish)
        train(small_cxi, tmp_path / "run", precision=begun)
    resumed = train(small_cxi, tmp_path / "run", precision="auto")
    assert ("going on from" in caplog.text) is goes_on
    assert ("begun with precision bf16-mixed (now 32-true)" in caplog.text) is not goes_on
    assert_same_weights(resumed, train(small_cxi, tmp_path / "undisturbed", precision="32-true"))


def test_auto_starts_afresh_where_another_processor_means_another_precision(
    small_cxi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the disk is full"):
        patch.setattr("ptychoflow.training.trainer.computes_bfloat16", lambda on_gpu: True)
        patch.setattr(TrainingRun, "_publish", fail_to_publish)
        train(small_cxi, tmp_path / "moved", precision="auto")
    monkeypatch.setattr("ptychoflow.training.trainer.computes_bfloat16", lambda on_gpu: False)
    moved = train(small_cxi, tmp_path / "moved", precision="auto")
    assert "begun with precision bf16-mixed (now 32-true)" in caplog.text
    assert_same_weights(moved, train(small_cxi, tmp_path / "undisturbed"))
