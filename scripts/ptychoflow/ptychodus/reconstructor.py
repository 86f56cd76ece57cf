"""PtychoFlow's networks as a reconstructor of Ptychodus, which runs each call in a process of its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptychodus.api.parameters import ParameterGroup
from ptychodus.api.reconstruct import (
    ReconstructInput,
    Reconstructor,
    ReconstructorLibrary,
    ReconstructOutput,
    TrainOutput,
)
from ptychodus.api.settings import SettingsRegistry
from ptychodus.model.processing.subprocess_reconstructor import SubprocessReconstructor

from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.errors import InputError
from ptychoflow.ptychodus.products import dataset_of
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import TrainingSettings

CHILD = "ptychoflow.ptychodus.child"
SUFFIX = ".ckpt"
ASKED = {"auto": None, "true": True, "false": False}
"""Whether something is solved for: where frames show that it must be, always, never."""


class SectionParameters:
    """One of the sections of config/README.md as a group of Ptychodus' settings: ``max_epochs`` is ``MaxEpochs`` there.

    Parameters
    ----------
    group : ParameterGroup
        The group.
    settings : Settings
        Its usual values. Those that are no number, text, or true or false are left as they are.
    """

    def __init__(self, group: ParameterGroup, settings: Any) -> None:
        makers = {
            bool: group.create_boolean_parameter,
            int: group.create_integer_parameter,
            float: group.create_real_parameter,
            str: group.create_string_parameter,
        }
        self.parameters = {
            key: makers[type(value)](key.title().replace("_", ""), value)
            for key, value in vars(settings).items()
            if type(value) in makers
        }

    def values(self) -> dict[str, Any]:
        """What they are now, by the names of the section."""
        return {key: parameter.get_value() for key, parameter in self.parameters.items()}


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
        usual = BlindReconstructionSettings(probe_modes=None, halves=False)
        self.reconstruction = SectionParameters(group, usual)
        self.probe_modes = group.create_integer_parameter("ProbeModes", 0, minimum=0)
        self.solve_brightness = group.create_string_parameter("SolveBrightness", "auto")
        self.report_interval = group.create_integer_parameter("ReportInterval", 5, minimum=1)
        self.seed = group.create_integer_parameter("Seed", 0, minimum=0)
        self.accelerator = group.create_string_parameter("Accelerator", "auto")
        self.training = SectionParameters(
            registry.create_group("PtychoFlowTraining"), TrainingSettings(learn_flux=True)
        )
        self.model = SectionParameters(registry.create_group("PtychoFlowModel"), ModelSettings())


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
        self.goal = planned = self.settings.reconstruction.values()["iterations"]
        for output in super().reconstruct(parameters):
            # It goes on while the frames that are left out are explained better.
            self.goal = max(planned, output.progress)
            yield output

    def train(self, input_path: Path, output_path: Path) -> Iterator[TrainOutput]:
        self.goal = self.settings.training.values()["max_epochs"]
        yield from super().train(input_path, output_path)

    def _goal(self) -> int:
        return self.settings.reconstruction.values()["iterations"] if self.goal is None else self.goal

    def _told(self, parameters: ReconstructInput, checkpoint: Path | None) -> ReconstructPayload:
        settings = self.settings
        modes = settings.probe_modes.get_value() or parameters.product.probes.num_incoherent_modes
        brightness = settings.solve_brightness.get_value()
        if brightness.lower() not in ASKED:
            raise InputError(f"SolveBrightness is {brightness}: expected one of {', '.join(ASKED)}")
        return ReconstructPayload(
            parameters,
            checkpoint,
            settings.reconstruction.values() | {"probe_modes": modes, "solve_brightness": ASKED[brightness.lower()]},
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
