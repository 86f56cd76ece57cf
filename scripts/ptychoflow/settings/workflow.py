"""What a config file may say: datasets, experiments, and studies of many of both."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from ptychoflow.settings.experiment import DatasetSettings, ExperimentSettings, Label, Name, SharedSettings
from ptychoflow.settings.values import Count, Pattern, Settings

Image = Annotated[str, Pattern(r"^([a-z]+://)?\S+$", "an image such as docker://ghcr.io/me/ptychoflow:latest")]


@dataclass
class OverlaySettings(Settings):
    """What a value of an axis of a study lays over its datasets and its experiment.

    Parameters
    ----------
    only : dict
        Values of other axes, by axis, with which alone it goes together.
    datasets : dict
        Changes by the part that a dataset plays; those of `*` are for all.
    experiment : ExperimentSettings
        Changes of the experiment.
    """

    only: dict[Label, list[Label]] = field(default_factory=dict)
    datasets: dict[Label, DatasetSettings] = field(default_factory=dict)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)


@dataclass
class ScaleSettings(Settings):
    """What a scale lays over a study.

    Parameters
    ----------
    datasets : dict
        Changes by the part that a dataset plays.
    experiment : ExperimentSettings
        Changes of the experiment.
    axes : dict
        Which values of an axis are asked for; all where an axis is not named.
    """

    datasets: dict[Label, DatasetSettings] = field(default_factory=dict)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)
    axes: dict[Label, list[Label]] = field(default_factory=dict)


@dataclass
class StudySettings(Settings):
    """One question, asked of every combination of some axes.

    Parameters
    ----------
    question : str
        What is asked, in words.
    scores : list of str
        Scores of docs/scores.md that answer, `training_seconds` or `seconds_on_scan`.
    x : str, optional
        Axis of numbers, or measured column such as `seconds_on_scan`, that the figure is drawn over.
    compare : str, optional
        Axis along which results are compared in words.
    datasets : dict
        Templates of datasets, named by the part that they play.
    experiment : ExperimentSettings
        Template of the experiments.
    axes : dict
        Values of each axis, with what they lay over datasets and experiment.
    published : list
        Scores of others beside the labels that they belong to.
    scales : dict
        Sizes in which the study can be made.
    """

    question: str = ""
    scores: list[Label] = field(default_factory=list)
    x: Label | None = None
    compare: Label | None = None
    datasets: dict[Name, DatasetSettings] = field(default_factory=dict)
    experiment: ExperimentSettings = field(default_factory=ExperimentSettings)
    axes: dict[Label, dict[Label, OverlaySettings]] = field(default_factory=dict)
    published: list[dict[Label, Any]] = field(default_factory=list)
    scales: dict[Label, ScaleSettings] = field(default_factory=dict)


@dataclass
class WorkflowSettings(Settings):
    """A config file.

    Parameters
    ----------
    parts : int
        Into how many parts inference and stitching of a scan are split, to run side by side; the pretrained network has
        one job for each scan, which reads its frames piece by piece.
    defaults : SharedSettings
        Settings that every experiment starts from; an experiment's own keys win, one by one, in nested sections too.
    datasets : dict
        Where frames come from, by the name of the dataset.
    experiments : dict
        What is trained on what, and tested on what, by the name of the experiment.
    studies : dict
        Questions asked of many experiments at once, by the name of the study; see docs/studies.md.
    scale : str, optional
        Which of the scales of the studies.
    container : str, optional
        Image with all environments, such as `docker://ghcr.io/me/ptychoflow:latest`, that rules run in with
        `--software-deployment-method conda apptainer`; see docs/clusters.md.
    """

    parts: Count = 1
    defaults: SharedSettings = field(default_factory=SharedSettings)
    datasets: dict[Name, DatasetSettings] = field(default_factory=dict)
    experiments: dict[Name, ExperimentSettings] = field(default_factory=dict)
    studies: dict[Name, StudySettings] = field(default_factory=dict)
    scale: Label | None = None
    container: Image | None = None
