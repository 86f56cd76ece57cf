"""Probes that a blind reconstruction may start from: the file's, and those that a pupil tells, at many defoci."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptychoflow.blind.pupils import defocused, disk, pupil_radius, refocused
from ptychoflow.dataset.position_axes import ORIENTATIONS, orientations
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


def saddle_like(found: Candidate, pupil: Tensor) -> Candidate | None:
    """Probe that makes of the positions as they are what another makes of mirrored ones.

    Out of focus, a frame is a shadow of the object. A beam whose foci along two directions lie on either side of the
    sample mirrors that shadow, as an axis that runs the other way, or two that are exchanged, do under a single focus.

    Parameters
    ----------
    found : Candidate
        Which explains a few frames best.
    pupil : Tensor
        (N, N) float, zero frequency in the corner.

    Returns
    -------
    Candidate or None
        None where its positions are not mirrored, or it has no defocus.
    """
    rows, columns, exchanged = orientations()[found.orientation]
    if not found.defocus or (rows == columns) != exchanged:
        return None
    across = rows * found.defocus
    probe = refocused(defocused(pupil, 0.0), 0.0, *((0.0, across) if exchanged else (across, 0.0)))
    kind = "between rows and columns" if exchanged else "along rows and columns"
    return Candidate(f"a pupil at opposite defoci {kind} of {across:+.4g} px²", probe[None])
