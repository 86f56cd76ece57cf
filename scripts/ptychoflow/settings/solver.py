"""What iterates on a dataset without a network: the solver, and the refinement of scan positions."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ptychoflow.settings.values import Count, Natural, NotNegative, Positive, Settings, ShareBelowOne


@dataclass
class SolverSettings(Settings):
    """An iterative reconstruction by pty-chi.

    Parameters
    ----------
    algorithm : {"lsqml", "rpie"}
        Least-squares maximum likelihood (Odstrcil et al., Opt. Express 26, 3108, 2018) or rPIE (Maiden, Johnson and
        Li, Optica 4, 736, 2017).
    epochs : int
        Passes over the frames.
    batch_size : int, optional
        Frames in an update; if not given, 32 for `lsqml`, and 8 for `rpie`, which diverges with many that overlap.
    momentum : float
        Gain of the accelerated steps of `lsqml`; `rpie` ignores it.
    refine_probe : bool
        Solve for the probe as well.
    probe_modes : int, optional
        Mutually incoherent probe modes; as many as the dataset's probe has if not given.
    refine_positions : bool
        Solve for the scan positions as well.
    positions_delay : int
        Epochs during which the positions stay as they were given.
    held_out : float
        Share of the frames that are not fitted, for the deviance: those that a network of the same seed holds out.
    """

    section: ClassVar[str] = "solver"
    algorithm: Literal["lsqml", "rpie"] = "lsqml"
    epochs: Count = 60
    batch_size: Count | None = None
    momentum: NotNegative = 0.5
    refine_probe: bool = True
    probe_modes: Count | None = None
    refine_positions: bool = False
    positions_delay: Natural = 10
    held_out: ShareBelowOne = 0.0

    def settle(self) -> None:
        if self.batch_size is None:
            self.batch_size = {"lsqml": 32, "rpie": 8}[self.algorithm]


@dataclass
class RefinementSettings(Settings):
    """Scan positions found again from the photons of a dataset, with its probe known.

    Parameters
    ----------
    rounds : int
        Steps on object and positions.
    bound : float
        Pixels that a frame may move from where it was given, besides a shift of the whole scan.
    deformation : bool
        Fit by itself what all frames have in common, a stretched or sheared scan; the size of the probe is its measure.
    """

    rounds: Count = 20
    bound: Positive = 8.0
    deformation: bool = False
