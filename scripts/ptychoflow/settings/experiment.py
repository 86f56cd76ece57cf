"""Where the frames of a dataset come from, and what an experiment does with them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ptychoflow.settings.blind import BlindSettings, PretrainingSettings, TuningSettings
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.solver import RefinementSettings, SolverSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import Natural, Pattern, Settings

Name = Annotated[str, Pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "a name of letters, digits, '.', '_' and '-'")]
Address = Annotated[str, Pattern(r"^https://\S+$", "an address that begins with https://")]
Digest = Annotated[str, Pattern(r"^[0-9a-f]{64}$", "a SHA-256 digest, 64 hexadecimal digits")]
Device = Literal["cpu", "gpu"]
Label = Annotated[str, Pattern(r"\S", "text")]
Reference = Label | dict[Label, Label]


@dataclass
class IngestedSettings(IngestSettings):
    """A file of another format, and what it does not say about itself, or says wrongly.

    Parameters
    ----------
    path : str, optional
        Local file of any of the formats of docs/formats.md.
    url : str, optional
        Public https address, used where there is no local file.
    sha256 : str, optional
        Digest of the file, needed beside `url`.
    """

    path: str | None = None
    url: Address | None = None
    sha256: Digest | None = None

    def settle(self) -> None:
        super().settle()
        if self.path is None and self.url is None:
            raise self.wrong("path", "expected a local file, or url and sha256")
        if self.url is not None and self.sha256 is None:
            raise self.wrong("sha256", "expected the digest of what is at url")
        if self.companion is not None and self.url is not None:
            raise self.wrong("companion", "expected none beside url: two files must be here, and path name one of them")


@dataclass
class RefinedSettings(RefinementSettings):
    """Another dataset, whose scan positions are found again from its photons.

    Parameters
    ----------
    dataset : str
        Dataset that is simulated or ingested, and stays as it is; see docs/refinement.md.
    """

    dataset: Name | None = None

    def settle(self) -> None:
        if self.dataset is None:
            raise self.wrong("dataset", "expected the name of a dataset that is simulated or ingested")


@dataclass
class DatasetSettings(Settings):
    """Where the frames of a dataset come from: one of three.

    Parameters
    ----------
    simulate : SimulationSettings, optional
        A simulation.
    ingest : IngestedSettings, optional
        A file.
    refine : RefinedSettings, optional
        Another dataset, with its positions refined.
    """

    simulate: SimulationSettings | None = None
    ingest: IngestedSettings | None = None
    refine: RefinedSettings | None = None


@dataclass
class PretrainSettings(Settings):
    """A training of the blind network.

    Parameters
    ----------
    model : BlindSettings
        The network.
    pretraining : PretrainingSettings
        How it is trained.
    recipe : RecipeSettings
        The scans that it is trained on.
    """

    model: BlindSettings = field(default_factory=BlindSettings)
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    recipe: RecipeSettings = field(default_factory=RecipeSettings)


@dataclass
class StitchingSettings(Settings):
    """How patches become one object.

    Parameters
    ----------
    phase_iterations : int, optional
        How often the global phases of the patches are brought into agreement; if not given, once where frames are
        reconstructed together, and 5 times elsewhere.
    """

    phase_iterations: Natural | None = None


@dataclass
class FiguresSettings(Settings):
    """How results are drawn.

    Parameters
    ----------
    unwrap : bool
        Whether phases are drawn without jumps of a turn, where the image is scored alone, with the points marked round
        which no such phase can be.
    """

    unwrap: bool = False


@dataclass
class SharedSettings(Settings):
    """What all experiments may have in common.

    Parameters
    ----------
    seeds : list of int
        One training for each; the seed fixes weights, split and order of the frames.
    device : {"cpu", "gpu"}
        With `gpu`, training and inference ask the scheduler for GPUs (`resources: gpu=…`).
    model : ModelSettings
        The network.
    training : TrainingSettings
        How it is trained.
    tuning : TuningSettings
        How the pretrained network, or another blind one, is tuned on scans.
    tracking : TrackingSettings
        What is kept of a training.
    inference : InferenceSettings
        How it reconstructs a scan.
    reconstruction : BlindReconstructionSettings
        How the pretrained network reconstructs a scan.
    stitching : StitchingSettings
        How patches become one object.
    figures : FiguresSettings
        How results are drawn.
    """

    seeds: list[Natural] = field(default_factory=lambda: [0])
    device: Device = "cpu"
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    reconstruction: BlindReconstructionSettings = field(default_factory=BlindReconstructionSettings)
    stitching: StitchingSettings = field(default_factory=StitchingSettings)
    figures: FiguresSettings = field(default_factory=FiguresSettings)


@dataclass
class ExperimentSettings(SharedSettings):
    """What is trained on what, and tested on what.

    Parameters
    ----------
    train : list of str
        Datasets to train on; their frames are pooled.
    test : list of str
        Datasets to reconstruct with the trained network.
    init_from : str, optional
        Another experiment, whose network of the same seed this one starts from: fine-tuning. `pretrained` is the
        network that is shipped; that, or a blind one of one's own, is tuned by `tuning`, and reconstructs by
        `reconstruction`.
    network_of : str, optional
        Another experiment, whose network of the same seed is used; such an experiment has no `train`.
    solver : SolverSettings, optional
        Settings of an iterative solver that takes the network's place; such an experiment has no `train`.
    network : str, optional
        `pretrained`, the network that is shipped and needs no training, or the checkpoint file of another such network;
        such an experiment has no `train`.
    pretrain : PretrainSettings, optional
        Trains a blind network. Its checkpoint is one that `network` takes; such an experiment has neither `train` nor
        `test`.
    start_from : str, optional
        Another experiment, whose image of the same dataset and seed the solver starts from; one that has collapsed is
        refused.
    reference : str, optional
        Another experiment, with whose image of the same dataset and seed this one's is compared where it was not
        trained.
    """

    train: list[Name] = field(default_factory=list)
    test: list[Name] = field(default_factory=list)
    init_from: Reference | None = None
    network_of: Reference | None = None
    solver: SolverSettings | None = None
    network: Label | None = None
    pretrain: PretrainSettings | None = None
    start_from: Reference | None = None
    reference: Reference | None = None

    def settle(self) -> None:
        for key in ("seeds", "train", "test"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise self.wrong(key, "expected each of them once")
