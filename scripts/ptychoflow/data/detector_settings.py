"""How frames of a detector are prepared, as a config file or a command line may say it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptychoflow.errors import InputError


@dataclass
class DetectorSettings:
    """How frames are prepared. The defaults leave even, square frames of photon counts as they are.

    Parameters
    ----------
    size : int, optional
        Edge length N of the frames wanted, cropped or padded about the beam; the largest that fits if not given.
    binning : int
        Pixels that are summed into one along each axis, before `size` counts.
    centre : tuple of float, "found" or None
        (row, column) of the direct beam in pixels of the raw frames, or found by symmetry; the middle if not given.
    gaps : list of float, optional
        Numbers that mark pixels without a count, NaN among them; if not given, numbers are marks that stay in the same
        pixels in every frame as no light does, NaN, and the largest of an integer type.
    mask_file : str, optional
        Image of the detector, .npy, TIFF or HDF5 (``file.h5::key``), that marks pixels by numbers other than zero.
    mask_marks : {"bad", "good"}
        What the mask file marks.
    saturation : float, optional
        Number in the file from which on a pixel is saturated; one that ever is counts as bad.
    find_dead : bool
        Look for pixels that never count while there is light round them.
    hot_factor : float, optional
        Look for pixels that count this many times more than those round them, or always the same; 1.7 is cautious.
    dark_file : str, optional
        Image of the detector without light, or several, whose mean is subtracted.
    pedestal : float
        Number in the file that stands for no light, where it is not 0; it may lie below.
    threshold : float
        Counts below it, after the dark ones and the pedestal are subtracted, are zero.
    photons_per_count : float
        Gain by which counts become photons.
    background : float
        Photons subtracted from each raw pixel.
    background_percentile : float, optional
        Percentile of the mean frame that is subtracted as background instead.
    """

    size: int | None = None
    binning: int = 1
    centre: tuple[float, float] | Literal["found"] | None = None
    gaps: list[float] | None = None
    mask_file: str | None = None
    mask_marks: Literal["bad", "good"] = "bad"
    saturation: float | None = None
    find_dead: bool = False
    hot_factor: float | None = None
    dark_file: str | None = None
    pedestal: float = 0.0
    threshold: float = 0.0
    photons_per_count: float = 1.0
    background: float = 0.0
    background_percentile: float | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (self.size < 8 or self.size % 2):
            raise InputError(f"detector.size is {self.size}: expected an even number of at least 8 pixels")
        if self.binning < 1:
            raise InputError(f"detector.binning is {self.binning}: expected at least 1")
        if self.centre is not None and self.centre != "found":
            self.centre = tuple(self.centre)
            if len(self.centre) != 2 or not np.isfinite(self.centre).all():
                raise InputError(f"detector.centre is {self.centre}: expected (row, column)")
        if self.hot_factor is not None and not self.hot_factor > 1:
            raise InputError(f"detector.hot_factor is {self.hot_factor}: expected a number above 1")
        for key in ("photons_per_count", "saturation"):
            value = getattr(self, key)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"detector.{key} is {value}: expected a positive number")
        for key in ("threshold", "background"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise InputError(f"detector.{key} is {getattr(self, key)}: expected a number of at least 0")
        if not np.isfinite(self.pedestal):
            raise InputError(f"detector.pedestal is {self.pedestal}: expected a number")
        if self.background_percentile is not None and not 0 <= self.background_percentile <= 100:
            raise InputError(f"detector.background_percentile is {self.background_percentile}: expected 0 to 100")
        if self.background and self.background_percentile is not None:
            raise InputError("detector has background and background_percentile: expected one of them")

    @property
    def needs_sums(self) -> bool:
        """Whether anything is to be found in the photons over all frames."""
        return self.find_dead or self.centre == "found" or {self.hot_factor, self.background_percentile} != {None}
