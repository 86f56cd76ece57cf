"""What an instrument knows of its probe without having measured it."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from ptychoflow.errors import InputError
from ptychoflow.settings.values import NotNegative, Positive, Range, Real, Settings

NEEDED = {
    "none": (),
    "zone_plate": ("outer_zone_width",),
    "mirrors": ("aperture", "focal_lengths"),
    "lens": ("convergence_angle",),
    "pinhole": ("diameter",),
}
"""What each kind must say."""
BESIDE = {"zone_plate": ("diameter", "central_stop")}
"""What a kind may say beside that and its defocus."""


@dataclass
class OpticsSettings(Settings):
    """What shapes the light before the sample, where no probe was measured.

    Parameters
    ----------
    kind : {"none", "zone_plate", "mirrors", "lens", "pinhole"}
        A `zone_plate`; `mirrors`, a crossed pair; a `lens`, for X-rays or electrons; or a `pinhole`, a round hole near
        the sample.
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

    section: ClassVar[str] = "optics"
    kind: Literal["none", "zone_plate", "mirrors", "lens", "pinhole"] = "none"
    outer_zone_width: Positive | None = None
    diameter: Positive | None = None
    central_stop: NotNegative = 0.0
    aperture: tuple[Positive, Positive] | None = None
    focal_lengths: tuple[Positive, Positive] | None = None
    convergence_angle: Annotated[float, Range(above=0, below=1.5)] | None = None
    defocus: Real = 0.0

    def settle(self) -> None:
        shapes = {key for keys in (*NEEDED.values(), *BESIDE.values()) for key in keys}
        given = {key for key in shapes if getattr(self, key) not in (None, 0.0)}
        needed = NEEDED[self.kind]
        missing = [key for key in needed if key not in given]
        useless = sorted(given - {*needed, *BESIDE.get(self.kind, ())})
        if self.kind == "none" and self.defocus:
            useless.append("defocus")
        if missing:
            raise InputError(f"{self.section} is a {self.kind} without {missing[0]}: expected {' and '.join(needed)}")
        if useless:
            others = [kind for kind in NEEDED if kind != "none"]
            raise self.wrong("kind", f"expected the kind that has {useless[0]}, one of {', '.join(others)}")
        if self.central_stop and not self.central_stop < (self.diameter or -math.inf):
            raise self.wrong("central_stop", f"expected less than the diameter of the zone plate, {self.diameter}")

    @property
    def known(self) -> bool:
        """Whether they say anything."""
        return self.kind != "none"
