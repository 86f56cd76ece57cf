"""Settings of what iterates on a dataset without a network: the solver, and the refinement of scan positions.

No torch here, so that a program can answer ``--help`` and refuse a bad setting at once.
"""

from dataclasses import dataclass
from typing import Literal

from ptychoflow.errors import InputError
from ptychoflow.settings import at_least


@dataclass
class SolverSettings:
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

    algorithm: Literal["lsqml", "rpie"] = "lsqml"
    epochs: int = 60
    batch_size: int | None = None
    momentum: float = 0.5
    refine_probe: bool = True
    probe_modes: int | None = None
    refine_positions: bool = False
    positions_delay: int = 10
    held_out: float = 0.0

    def __post_init__(self) -> None:
        if self.batch_size is None:
            self.batch_size = {"lsqml": 32, "rpie": 8}[self.algorithm]
        for key in ("epochs", "batch_size"):
            at_least(f"solver.{key}", getattr(self, key), 1)
        for key in ("momentum", "positions_delay"):
            at_least(f"solver.{key}", getattr(self, key), 0)
        if self.probe_modes is not None:
            at_least("solver.probe_modes", self.probe_modes, 1)
        if not 0 <= self.held_out < 1:
            raise InputError(f"solver.held_out is {self.held_out}: expected a fraction of at least 0 and below 1")


@dataclass
class RefinementSettings:
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

    rounds: int = 20
    bound: float = 8.0
    deformation: bool = False

    def __post_init__(self) -> None:
        at_least("rounds", self.rounds, 1)
        if not 0 < self.bound < float("inf"):
            raise InputError(f"bound is {self.bound}: expected a positive number of pixels")
