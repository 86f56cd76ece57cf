"""Settings of a reconstruction by the blind network: what is solved for beside the object.

No torch here, so that a program can answer ``--help`` and refuse a bad setting at once.
"""

from dataclasses import dataclass
from typing import Literal

from ptychoflow.errors import InputError
from ptychoflow.settings import at_least


@dataclass
class BlindReconstructionSettings:
    """A reconstruction by the blind network: what is solved for beside the object, and for how long.

    Parameters
    ----------
    probe_modes : int, optional
        Mutually incoherent probe modes; as many as the start has if not given.
    iterations : int
        Passes over the frames; it goes on while the held-out frames are still explained better.
    most_iterations : int
        Where it ends in any case.
    held_out : float
        Share of the frames that are left out, drawn by the seed: they judge, and tell when to end.
    start : {"best", "dataset", "photons"}
        The probe to start from: the file's or one that the photons tell, whichever explains a few frames better; the
        file's; or one that the photons tell.
    orientation : bool
        Find out which way the axes of the positions run.
    solve_positions : bool
        Solve for the scan positions as well.
    position_bound : float
        Pixels that a frame may move from where it was given, besides a shift of the whole scan.
    solve_brightness : bool
        Solve for the light of each frame as well: a source that flickers or decays.
    solve_background : bool
        Solve for a constant background as well.
    learned : bool
        Use the learned network; without it the plain engine iterates.
    learned_rates : bool
        Use learned sizes, damping and momentum of the steps as well: they find far starts sooner, and end less exactly.
    smoothing : bool
        Smooth the object, edges kept, as far as the frames that are left out are explained better for it.
    halves : bool
        Where no truth is known, make two more images, from the even and from the odd frames, which tell the resolution.
    """

    probe_modes: int | None = 3
    iterations: int = 30
    most_iterations: int = 120
    held_out: float = 0.05
    start: Literal["best", "dataset", "photons"] = "best"
    orientation: bool = False
    solve_positions: bool = False
    position_bound: float = 8.0
    solve_brightness: bool = False
    solve_background: bool = True
    learned: bool = True
    learned_rates: bool = False
    smoothing: bool = True
    halves: bool = True

    def __post_init__(self) -> None:
        at_least("iterations", self.iterations, 1)
        at_least("most_iterations", self.most_iterations, self.iterations)
        if self.probe_modes is not None:
            at_least("probe_modes", self.probe_modes, 1)
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}: expected a fraction of at least 0 and below 1")
        if not 0 < self.position_bound < float("inf"):
            raise InputError(f"position_bound is {self.position_bound}: expected a positive number of pixels")
