"""Probes that a blind reconstruction may start from: the file's, and those that a pupil tells, at many defoci."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptychoflow.blind.pupils import defocused, disk, pupil_radius
from ptychoflow.dataset.position_axes import ORIENTATIONS
from ptychoflow.physics.diffraction import Propagator

GIVEN = "the file's probe"
"""Name of that candidate."""
WIDEST = 0.4
"""Radius of the widest beam that is tried, as a share of the frame."""
DEFOCI = 8
"""On either side of the focus."""
DISKS = (0.15, 0.25, 0.4, 0.55)
"""Diameters of flat disks that are tried, as shares of the frame."""
TWINLESS = (0, 1, 4, 5)
"""Orientations of which none is another turned by half a circle."""


@dataclass
class Candidate:
    """A probe to start from.

    Parameters
    ----------
    name : str
        What it is, for the record.
    probe : Tensor
        (modes, N, N) complex64.
    orientation : int
        Which of the eight orientations of the positions it goes with, see `ORIENTATIONS`.
    defocus : float or None
        Turns of phase at the pupil's frequency of one cycle a pixel over π, in pixels².
    given : bool
        Whether it is the file's, as it is there or under the measured pupil.
    as_written : bool
        Whether it is the file's as it is there.
    """

    name: str
    probe: Tensor
    orientation: int = 0
    defocus: float | None = None
    given: bool = False
    as_written: bool = False


def candidates_from(
    pupil: Tensor,
    guess: Tensor | None,
    propagator: Propagator,
    every_orientation: bool,
    corrected: Tensor | None = None,
    widest: float = WIDEST,
) -> list[Candidate]:
    """Probes to try: the file's, also as it is `corrected`, and those that a pupil (N, N) float tells.

    The radius of the widest beam among them is a share of the frame.
    """
    size = len(pupil)
    found = [] if guess is None else [Candidate(GIVEN, guess, given=True, as_written=True)]
    if corrected is not None:
        found.append(Candidate(f"{GIVEN} under the measured pupil", corrected, given=True))
    if propagator.transfer is not None:
        found.append(Candidate("the mean frame propagated back", propagator.adjoint(pupil.to(torch.complex64))[None]))
    else:
        most = widest * size / pupil_radius(pupil)
        found += [
            Candidate(f"a pupil at defocus {c:+.4g} px²", defocused(pupil, c)[None], defocus=c)
            for c in (most * step / DEFOCI for step in range(-DEFOCI, DEFOCI + 1))
        ]
        found += [
            Candidate(f"a disk of {share:.0%} of the frame", disk(size, share)[None].to(pupil.device))
            for share in DISKS
        ]
    if not every_orientation:
        return found
    # A scan turned by half a circle under the other defocus is a twin that diffracts alike: without a guess one of the
    # two is enough.
    return [
        replace(one, name=f"{one.name} (positions: {name})", orientation=number)
        for one in found
        for number, name in enumerate(ORIENTATIONS)
        if one.given or number in TWINLESS
    ]
