"""What an instrument knows of its probe without having measured it; neither torch nor HDF5 here."""

import math
from dataclasses import dataclass
from typing import Literal

from ptychoflow.errors import InputError

NEEDED = {
    "none": (),
    "zone_plate": ("outer_zone_width",),
    "mirrors": ("aperture", "focal_lengths"),
    "lens": ("convergence_angle",),
    "pinhole": ("diameter",),
}
"""What each kind must say."""
ALLOWED = {
    "none": (),
    "zone_plate": ("diameter", "central_stop"),
    "mirrors": (),
    "lens": (),
    "pinhole": (),
}
"""What each kind may say beside that and its defocus."""


@dataclass
class OpticsSettings:
    """What shapes the light before the sample.

    Parameters
    ----------
    kind : {"none", "zone_plate", "mirrors", "lens", "pinhole"}
        A zone plate, a pair of crossed mirrors, a lens, for X-rays or electrons, or a round hole near the sample.
    outer_zone_width : float, optional
        Metres, of `zone_plate`, whose first order is used.
    diameter : float, optional
        Metres, of `pinhole`, and of `zone_plate` where it has a stop.
    central_stop : float
        Metres; diameter of the stop in the middle of `zone_plate`, 0 for none.
    aperture : tuple of float, optional
        Metres along the rows and along the columns of the light that `mirrors` take in.
    focal_lengths : tuple of float, optional
        Metres, of the mirrors that focus along the rows and along the columns.
    convergence_angle : float, optional
        Radians, half the angle of the cone of `lens`.
    defocus : float
        Metres from the focus, or from `pinhole`, to the sample; the beam diverges where it is positive, which is
        overfocus for electrons.
    """

    kind: Literal["none", "zone_plate", "mirrors", "lens", "pinhole"] = "none"
    outer_zone_width: float | None = None
    diameter: float | None = None
    central_stop: float = 0.0
    aperture: tuple[float, float] | None = None
    focal_lengths: tuple[float, float] | None = None
    convergence_angle: float | None = None
    defocus: float = 0.0

    def __post_init__(self) -> None:
        for key in ("aperture", "focal_lengths"):
            pair = getattr(self, key)
            if pair is not None:
                setattr(self, key, tuple(pair))
                if len(pair) != 2 or not all(0 < length < math.inf for length in pair):
                    raise InputError(f"optics.{key} is {list(pair)}: expected two positive lengths in metres")
        for key in ("outer_zone_width", "diameter", "convergence_angle"):
            value = getattr(self, key)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"optics.{key} is {value}: expected a positive number")
        if self.convergence_angle is not None and self.convergence_angle >= math.pi / 2:
            raise InputError(f"optics.convergence_angle is {self.convergence_angle}: expected radians, below π / 2")
        if not math.isfinite(self.defocus):
            raise InputError(f"optics.defocus is {self.defocus}: expected a number of metres")
        self._require_what_belongs()

    def _require_what_belongs(self) -> None:
        said = {
            key: getattr(self, key)
            for key in (
                "outer_zone_width",
                "diameter",
                "central_stop",
                "aperture",
                "focal_lengths",
                "convergence_angle",
            )
        }
        given = {key for key, value in said.items() if value not in (None, 0.0)}
        missing = [key for key in NEEDED[self.kind] if key not in given]
        useless = sorted(given - {*NEEDED[self.kind], *ALLOWED[self.kind]})
        if missing:
            raise InputError(f"optics is a {self.kind} without {missing[0]}: expected {', '.join(NEEDED[self.kind])}")
        if useless or (self.kind == "none" and self.defocus):
            raise InputError(
                f"optics.kind is {self.kind} beside {useless[0] if useless else 'defocus'}: expected the kind that it "
                f"belongs to, one of {', '.join(kind for kind in NEEDED if kind != 'none')}"
            )
        if self.central_stop and not (self.diameter and 0 < self.central_stop < self.diameter):
            raise InputError(
                f"optics.central_stop is {self.central_stop} beside a diameter of {self.diameter}: expected that of "
                "the zone plate, and a smaller one of its stop"
            )

    @property
    def known(self) -> bool:
        """Whether they say anything."""
        return self.kind != "none"
