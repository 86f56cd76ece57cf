"""Fine-tuning starts from a checkpoint's weights, may keep the encoder, and says whose child it is."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import torch

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.models import build_model
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.checkpoint import load_checkpoint

TINY = ModelSettings(features=4, depth=1, iterations=2)


def train(
    data: Path, folder: Path, model: ModelSettings = TINY, init_from: Path | None = None, **settings: object
) -> Path:
    settings = {"max_epochs": 1, "batch_size": 8, "accelerator": "cpu", "groups": GroupSettings(size=2)} | settings
    tracking = TrackingSettings(logger="mlflow", mlflow_tracking_uri=f"sqlite:///{data.parent}/mlflow.db")
    run = TrainingRun([data], folder, folder / "run", model, TrainingSettings(**settings), 0, tracking)
    run.init_from = init_from
    return run.run()


def network(checkpoint: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(checkpoint)["state_dict"]
    return {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}


@pytest.fixture(scope="module")
def data(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scan.cxi"
    write_cxi(path, small_dataset)
    return path


@pytest.fixture(scope="module")
def parent(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(data, tmp_path_factory.mktemp("parent"))


def test_training_goes_on_from_the_given_weights(data: Path, parent: Path, tmp_path: Path):
    # With a rate this small the weights stay where they began.
    child = train(data, tmp_path, init_from=parent, learning_rate=1e-12, weight_decay=0.0)
    before, after = network(parent), network(child)
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["unrolled", "unet", "autoencoder"])
def test_a_frozen_encoder_stays_and_the_decoder_learns(name: str, data: Path, tmp_path: Path):
    model = replace(TINY, name=name)
    before = network(origin := train(data, tmp_path / "parent", model))
    after = network(train(data, tmp_path / "child", model, origin, freeze_encoder=True))
    built = build_model(model, 32, 2)
    frozen = {id(parameter) for parameter in built.encoder_parameters()}
    names = {key for key, parameter in built.named_parameters() if id(parameter) in frozen}
    assert 0 < len(names) < len(before)
    assert all(("entry" in key or "down" in key or "encode" in key) == (key in names) for key in before)
    for key in before:
        assert torch.equal(after[key], before[key]) == (key in names), key


def test_the_child_knows_its_parent(data: Path, parent: Path, tmp_path: Path):
    child = train(data, tmp_path, init_from=parent, freeze_encoder=True)
    made, origin = read_provenance(child), read_provenance(parent)
    assert origin["stage"] == "train"
    assert made["stage"] == "finetune"
    assert made["parent"] == {"checkpoint_sha256": sha256_of(parent), "run_id": origin["run_id"]}
    client = mlflow.MlflowClient(f"sqlite:///{data.parent}/mlflow.db")
    tags = client.get_run(made["run_id"]).data.tags
    assert made["run_id"] != origin["run_id"]
    assert tags["mlflow.parentRunId"] == tags["parent_run"] == origin["run_id"]
    assert (tags["stage"], tags["encoder_frozen"]) == ("finetune", "true")


def test_another_network_is_refused(data: Path, parent: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"model.ckpt has a network of model.features 4: expected 6"):
        train(data, tmp_path, replace(TINY, features=6), parent)
    assert not list(tmp_path.iterdir())


def test_other_groups_that_the_network_was_built_for_are_refused(data: Path, tmp_path: Path):
    model = replace(TINY, name="unet")
    origin = train(data, tmp_path / "parent", model)
    with pytest.raises(InputError, match=r"model.ckpt does not fit the network .*: expected its weights"):
        train(data, tmp_path / "child", model, origin, groups=GroupSettings(size=3))


def test_there_is_no_encoder_to_freeze_without_a_checkpoint(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match="freeze_encoder is set without init_from"):
        train(data, tmp_path, freeze_encoder=True)
