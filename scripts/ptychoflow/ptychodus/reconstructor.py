"""PtychoFlow's networks as a reconstructor of Ptychodus, which runs each call in a process of its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args

from ptychodus.api.parameters import Parameter, ParameterGroup
from ptychodus.api.reconstruct import (
    ReconstructInput,
    Reconstructor,
    ReconstructorLibrary,
    ReconstructOutput,
    TrainOutput,
)
from ptychodus.api.settings import SettingsRegistry
from ptychodus.model.processing.subprocess_reconstructor import SubprocessReconstructor
from pydantic import TypeAdapter, ValidationError

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.errors import InputError
from ptychoflow.ptychodus.products import dataset_of
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import Settings, in_words, kinds_of, section_of, within

CHILD = "ptychoflow.ptychodus.child"
SUFFIX = ".ckpt"
AUTO = "auto"
"""What Ptychodus' settings say for null, which they have no word for."""


class SectionParameters:
    """One of the sections of config/README.md as a group of Ptychodus' settings: ``max_epochs`` is ``MaxEpochs`` there.

    What may be null is text there: a value, or `AUTO`. Sections within the section are left as they are.

    Parameters
    ----------
    group : ParameterGroup
        The group.
    settings : type
        Class of the section.
    **usual
        Values that are others here than its defaults.
    """

    def __init__(self, group: ParameterGroup, settings: type[Settings], **usual: Any) -> None:
        makers = {
            bool: group.create_boolean_parameter,
            int: group.create_integer_parameter,
            float: group.create_real_parameter,
            str: group.create_string_parameter,
        }
        defaults = {field.name: field.default for field in fields(settings)} | usual
        self.kinds = {key: kind for key, kind in kinds_of(settings).items() if section_of(kind) is None}
        self.parameters: dict[str, Parameter[Any]] = {}
        for key, kind in self.kinds.items():
            name, value = _name(key), defaults[key]
            if _may_be_null(kind):
                self.parameters[key] = group.create_string_parameter(name, AUTO if value is None else str(value))
            else:
                self.parameters[key] = makers[type(value)](name, value)

    def value(self, key: str) -> Any:
        """What a setting is now, by its name in the section."""
        found, kind = self.parameters[key].get_value(), self.kinds[key]
        return _meant(key, kind, str(found)) if _may_be_null(kind) else found

    def values(self) -> dict[str, Any]:
        """What they are now, by the names of the section."""
        return {key: self.value(key) for key in self.parameters}


def _name(key: str) -> str:
    return key.title().replace("_", "")


def _may_be_null(kind: Any) -> bool:
    return NoneType in get_args(kind)


def _meant(key: str, kind: Any, text: str) -> Any:
    """Value of a setting that may be null."""
    # No modes, no groups: files that earlier versions wrote say it so, too.
    if text.lower() == AUTO or (text == "0" and not within(kind, 0)):
        return None
    known = Union[tuple(one for one in get_args(kind) if one is not NoneType)]  # noqa: UP007
    try:
        return TypeAdapter(known).validate_strings(text)
    except ValidationError:
        raise InputError(f"{_name(key)} is {text}: expected {in_words(known)}, or {AUTO}") from None


class PtychoFlowSettings:
    """What Ptychodus' settings file says to PtychoFlow, in its groups PtychoFlow, …Training and …Model.

    Parameters
    ----------
    registry : SettingsRegistry
        All settings of Ptychodus.
    """

    def __init__(self, registry: SettingsRegistry) -> None:
        group = registry.create_group("PtychoFlow")
        # A product has no place for images of half the frames each.
        self.reconstruction = SectionParameters(group, BlindReconstructionSettings, probe_modes=None, halves=False)
        self.report_interval = group.create_integer_parameter("ReportInterval", 5, minimum=1)
        self.seed = group.create_integer_parameter("Seed", 0, minimum=0)
        self.accelerator = group.create_string_parameter("Accelerator", "auto")
        training, model = (registry.create_group(f"PtychoFlow{name}") for name in ("Training", "Model"))
        self.training = SectionParameters(training, TrainingSettings, learn_flux=True)
        self.model = SectionParameters(model, ModelSettings)


@dataclass(frozen=True)
class ReconstructPayload:
    """What the process of a reconstruction is told.

    Parameters
    ----------
    parameters : ReconstructInput
        Patterns, bad pixels and product.
    checkpoint : Path or None
        Of a blind network or of one that was trained; None of the shipped one.
    settings : dict
        Of `BlindReconstructionSettings`.
    interval : int
        Iterations from product to product.
    seed : int
        Fixes which frames a blind network holds out, and their order.
    accelerator : str
        What to run on, by Lightning's names.
    """

    parameters: ReconstructInput
    checkpoint: Path | None
    settings: dict[str, Any]
    interval: int
    seed: int
    accelerator: str


@dataclass(frozen=True)
class TrainPayload:
    """What the process of a training is told.

    Parameters
    ----------
    input_path : Path
        Folder of scans that were exported, or of Ptychodus' diffraction.h5 and product.h5.
    output_path : Path
        Folder for model.ckpt and what belongs to it.
    training, model : dict
        Of `TrainingSettings` and `ModelSettings`.
    seed : int
        Fixes initial weights, split and order of the frames.
    """

    input_path: Path
    output_path: Path
    training: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


class PtychoFlowReconstructor(SubprocessReconstructor):
    """The pretrained network, or one that was opened or trained: `model.ckpt` of either kind.

    Parameters
    ----------
    settings : PtychoFlowSettings
        What is solved for, for how long, and how it is trained.
    """

    def __init__(self, settings: PtychoFlowSettings) -> None:
        self.settings = settings
        self.goal: int | None = None
        super().__init__(
            name="Network",
            reconstruct_entry_point=f"{CHILD}:run_reconstruct",
            train_entry_point=f"{CHILD}:run_train",
            is_trainable=True,
            progress_goal_fn=self._goal,
            build_reconstruct_payload=self._told,
            build_train_payload=self._training,
            export_training_data=export_training_data,
            model_file_filter=f"PtychoFlow Networks (*{SUFFIX})",
            model_file_extension=SUFFIX,
            training_data_file_filter="PtychoFlow Scans (*.cxi)",
        )

    def is_model_loaded(self) -> bool:
        return True  # the shipped one, until another is

    def save_model(self, file_path: Path) -> None:
        if self._loaded_model_path is None:
            # Only here: it brings torch, which the process of Ptychodus has no other need of.
            from ptychoflow.blind.pretrained import weights_file

            shutil.copyfile(weights_file(None), file_path)
        else:
            super().save_model(file_path)

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        self.goal = planned = self.settings.reconstruction.value("iterations")
        for output in super().reconstruct(parameters):
            # It goes on while the frames that are left out are explained better.
            self.goal = max(planned, output.progress)
            yield output

    def train(self, input_path: Path, output_path: Path) -> Iterator[TrainOutput]:
        self.goal = self.settings.training.value("max_epochs")
        yield from super().train(input_path, output_path)

    def _goal(self) -> int:
        return self.settings.reconstruction.value("iterations") if self.goal is None else self.goal

    def _told(self, parameters: ReconstructInput, checkpoint: Path | None) -> ReconstructPayload:
        settings = self.settings
        asked = settings.reconstruction.values()
        # A start that is found from the photons knows nothing of the product's modes.
        modes = asked["probe_modes"] or parameters.product.probes.num_incoherent_modes
        return ReconstructPayload(
            parameters,
            checkpoint,
            asked | {"probe_modes": modes},
            settings.report_interval.get_value(),
            settings.seed.get_value(),
            settings.accelerator.get_value(),
        )

    def _training(self, input_path: Path, output_path: Path) -> TrainPayload:
        settings = self.settings
        return TrainPayload(
            Path(input_path),
            Path(output_path),
            settings.training.values(),
            settings.model.values(),
            settings.seed.get_value(),
        )


def export_training_data(file_path: Path, parameters: ReconstructInput) -> None:
    """Write what a reconstructor is handed as a scan, CXI, which `train` and all programs of PtychoFlow read."""
    write_cxi(Path(file_path), dataset_of(parameters).dataset)


class PtychoFlowLibrary(ReconstructorLibrary):
    """The reconstructors of PtychoFlow: one, whose key among Ptychodus' algorithms is ``ptychoflow_network``.

    Parameters
    ----------
    registry : SettingsRegistry
        All settings of Ptychodus.
    """

    def __init__(self, registry: SettingsRegistry) -> None:
        super().__init__("ptychoflow")
        self.settings = PtychoFlowSettings(registry)
        self.reconstructor = PtychoFlowReconstructor(self.settings)

    @property
    def name(self) -> str:
        return "PtychoFlow"

    def __iter__(self) -> Iterator[Reconstructor]:
        return iter([self.reconstructor])
