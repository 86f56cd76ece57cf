"""A reconstruction by the blind network: what is solved for beside the object."""

from dataclasses import dataclass
from typing import Literal

from ptychoflow.settings.values import Count, Positive, Settings, ShareBelowOne


@dataclass
class BlindReconstructionSettings(Settings):
    """A reconstruction by the blind network: what is solved for beside the object, and for how long.

    Parameters
    ----------
    probe_modes : int, optional
        Mutually incoherent probe modes; as many as the start has if `null`.
    iterations : int
        Passes over the frames; it goes on while the held-out frames are still explained better.
    most_iterations : int
        Most passes over the frames; there it ends in any case.
    held_out : float
        Share of the frames that are left out, drawn by the seed: they judge, and tell when to end.
    start : {"best", "dataset", "photons"}
        The probe to start from: the `dataset`'s, one found from the `photons`, or whichever of both explains a few
        frames better (`best`).
    orientation : bool
        Find out which way the axes of the positions run. The image follows them as they were found, and a warning says
        what `ingest` should be told.
    solve_positions : bool
        Solve for the scan positions as well.
    position_bound : float
        Pixels that a frame may move from where it was given, besides a shift of the whole scan.
    solve_brightness : bool, optional
        Solve for the light of each frame as well: a source that flickers or decays. If not said, it is where frames
        are explained far better so on the way.
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
    uncertainty : bool
        Tell how far amplitude and phase may be off at each pixel, by two more reconstructions, from halves of the
        frames.
    """

    probe_modes: Count | None = 3
    iterations: Count = 30
    most_iterations: Count = 120
    held_out: ShareBelowOne = 0.05
    start: Literal["best", "dataset", "photons"] = "best"
    orientation: bool = False
    solve_positions: bool = False
    position_bound: Positive = 8.0
    solve_brightness: bool | None = None
    solve_background: bool = True
    learned: bool = True
    learned_rates: bool = False
    smoothing: bool = True
    halves: bool = True
    uncertainty: bool = False

    def settle(self) -> None:
        if self.most_iterations < self.iterations:
            raise self.wrong("most_iterations", f"expected at least iterations, {self.iterations}")
