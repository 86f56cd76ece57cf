"""How frames of a detector are prepared, as a config file or a command line may say it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from ptychoflow.errors import InputError
from ptychoflow.settings.values import Count, FrameSize, NotNegative, Pair, Positive, Range, Real, Settings


@dataclass
class DetectorSettings(Settings):
    """How frames are prepared. The defaults leave even, square frames of photon counts as they are.

    Parameters
    ----------
    size : int, optional
        Edge length N of the frames wanted, cropped or padded about the beam; the largest that fits if not given.
    binning : int
        Pixels that are summed into one along each axis, before `size` counts.
    centre : tuple of float, "found" or None
        `[row, column]` of the direct beam in pixels of the raw frames, or `found` by symmetry; the middle if not given.
    gaps : list of float, optional
        List of numbers that mark pixels without a count, `.nan` among them; if not given, numbers that stay in the same
        pixels in every frame as no light does, NaN, and the largest of an integer type.
    mask_file : str, optional
        Image of the detector, .npy, TIFF or HDF5 (`file.h5::key`), that marks pixels by numbers other than zero.
    mask_marks : {"bad", "good"}
        What the mask file marks, `bad` or `good` pixels.
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

    section: ClassVar[str] = "detector"
    size: FrameSize | None = None
    binning: Count = 1
    centre: Pair | Literal["found"] | None = None
    gaps: list[float] | None = None
    mask_file: str | None = None
    mask_marks: Literal["bad", "good"] = "bad"
    saturation: Positive | None = None
    find_dead: bool = False
    hot_factor: Annotated[float, Range(above=1)] | None = None
    dark_file: str | None = None
    pedestal: Real = 0.0
    threshold: NotNegative = 0.0
    photons_per_count: Positive = 1.0
    background: NotNegative = 0.0
    background_percentile: Annotated[float, Range(at_least=0, at_most=100)] | None = None

    def settle(self) -> None:
        if self.background and self.background_percentile is not None:
            raise InputError("detector has background and background_percentile: expected one of them")

    @property
    def needs_sums(self) -> bool:
        """Whether anything is to be found in the photons over all frames."""
        return self.find_dead or self.centre == "found" or {self.hot_factor, self.background_percentile} != {None}
