"""TensorBoard's own readers find hyperparameters beside final metrics, and train and val of a metric in one chart."""

import csv
import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings


@pytest.fixture(scope="module")
def two_runs(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings that differ in their learning rate."""
    folder = tmp_path_factory.mktemp("events")
    for rate in (0.003, 0.001):
        place = folder / str(rate)
        training = TrainingSettings(
            max_epochs=2, batch_size=16, learning_rate=rate, accelerator="cpu", groups=GroupSettings(size=2)
        )
        model, tracking = ModelSettings(features=4, iterations=2), TrackingSettings(logger=["csv", "tensorboard"])
        TrainingRun([small_cxi], place, place / "run", model, training, 0, tracking, quiet=True).run()
    return folder


@pytest.fixture(scope="module")
def context(two_runs: Path) -> TBContext:
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(two_runs))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(two_runs))
    return TBContext(data_provider=provider, multiplexer=events, logdir=str(two_runs))


def last_value(folder: Path, name: str) -> float:
    with open(folder / "metrics.csv", newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream) if row[name]][-1]


def test_the_hparams_tab_compares_runs_by_settings_and_final_metrics(two_runs: Path, context: TBContext):
    backend, request = Context(context), api_pb2.ListSessionGroupsRequest(slice_size=10)
    told = backend.experiment_from_metadata(
        RequestContext(), "", True, backend.hparams_metadata(RequestContext(), ""), []
    )
    assert {"learning_rate", "model.name", "groups.size", "seed"} <= {info.name for info in told.hparam_infos}
    # It shows the first five: those that were changed, and the network's.
    shown = [info.name for info in told.hparam_infos[:5]]
    assert shown == ["batch_size", "groups.size", "max_epochs", "model.depth", "model.features"]
    metric = next(info.name for info in told.metric_infos if info.name.tag == "val/metrics/deviance/epoch")
    column = request.col_params.add(metric=metric)
    column.include_in_result = True
    request.col_params.add(hparam="learning_rate").include_in_result = True
    request.allowed_statuses.extend([api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN])
    groups = Handler(RequestContext(), backend, "", request).run().session_groups
    found = {}
    for group in groups:
        (session,) = group.sessions
        assert session.status == api_pb2.STATUS_SUCCESS
        values = {value.name.tag: value.value for value in session.metric_values}
        found[group.hparams["learning_rate"].number_value] = values["val/metrics/deviance/epoch"]
    expected = {rate: last_value(two_runs / str(rate), "val/metrics/deviance/epoch") for rate in (0.003, 0.001)}
    assert found == pytest.approx(expected, rel=1e-6)
    assert "logger" not in {info.name for info in told.hparam_infos}


def test_custom_scalars_show_training_and_validation_in_one_chart(context: TBContext):
    layout = json.loads(CustomScalarsPlugin(context).layout_impl(RequestContext(), ""))
    charts = {chart["title"]: chart["multiline"]["tag"] for part in layout["category"] for chart in part["chart"]}
    assert charts["loss"] == ["^(train|val)/loss/epoch$"]
    scalars = context.data_provider.list_scalars(RequestContext(), experiment_id="", plugin_name="scalars")
    (tags, *_) = scalars.values()
    assert {"train/loss/epoch", "val/loss/epoch"} <= set(tags)
