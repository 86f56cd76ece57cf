"""What becomes of a detector's frames before they are a dataset: bad pixels, background, gain, crop and binning."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ptychoflow.data.detector_geometry import binned_weight, largest_size, resampled_probe, tilted, window
from ptychoflow.data.detector_images import detector_file, known_good, mean_dark
from ptychoflow.data.detector_pixels import beam_centre, dead_pixels, hot_pixels
from ptychoflow.data.detector_signal import Signal, look
from ptychoflow.data.frame_orientation import Orientation, oriented, oriented_offset
from ptychoflow.data.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of

LEAST_FRAMES = 16
"""Frames from which on a count that never changes is no chance."""


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
        Numbers that mark pixels without a count; of integer frames, negative ones and the largest if not given.
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
    threshold : float
        Counts below it, after the dark ones are subtracted, are zero.
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
        if self.background_percentile is not None and not 0 <= self.background_percentile <= 100:
            raise InputError(f"detector.background_percentile is {self.background_percentile}: expected 0 to 100")
        if self.background and self.background_percentile is not None:
            raise InputError("detector has background and background_percentile: expected one of them")

    @property
    def needs_sums(self) -> bool:
        """Whether anything is to be found in the photons over all frames."""
        return self.find_dead or self.centre == "found" or {self.hot_factor, self.background_percentile} != {None}


@dataclass
class DetectorPreparation:
    """How the frames of one scan become photon counts; made by `of`.

    Parameters
    ----------
    mask : ndarray
        (N, N) bool, True for good pixels, turned as the prepared frames.
    summary : dict
        For the provenance: sizes, centre, and how many raw pixels were found bad for what reason.
    binning : int
        Raw pixels in one along each axis.
    offset : tuple of float
        (row, column) by which the beam misses the middle of pixel N // 2 of the prepared frames, in their pixels.
    """

    mask: np.ndarray
    summary: dict[str, Any]
    binning: int
    offset: tuple[float, float]
    _signal: Signal
    _good: np.ndarray
    _start: tuple[int, ...]
    _orientation: Orientation
    _weight: np.ndarray
    _background: float
    _raw_width: int

    @classmethod
    def of(
        cls,
        raw_frames: Frames,
        good: np.ndarray | None,
        dark: np.ndarray | None,
        settings: DetectorSettings,
        zero_frequency: Literal["centre", "corner"] = "centre",
        quantity: Literal["amplitude", "intensity"] = "intensity",
        orientation: Orientation = "as_stored",
    ) -> "DetectorPreparation":
        """Look at the frames as far as the settings ask for it, block by block, and decide what to do with them.

        Parameters
        ----------
        raw_frames : Frames
            (frames, H, W) numbers as they stand in the file.
        good : ndarray, optional
            (H, W) bool, True for good pixels.
        dark : ndarray, optional
            (H, W) or (dark frames, H, W) float, counts without light.
        settings : DetectorSettings
            What to do.
        zero_frequency : {"centre", "corner"}
            Where the direct beam falls. A corner is brought to the middle first: `centre` counts after that.
        quantity : {"amplitude", "intensity"}
            What the frames hold; amplitudes are squared.
        orientation : Orientation
            How prepared frames are turned at last, their mask and their beam with them; `centre` counts before that.

        Raises
        ------
        InputError
            Where shapes do not fit together or nothing is left.
        """
        if len(raw_frames.shape) != 3 or 0 in raw_frames.shape:
            raise InputError(f"frames have shape {tuple(raw_frames.shape)}: expected at least one, (frames, H, W)")
        shape = (int(raw_frames.shape[1]), int(raw_frames.shape[2]))
        signal = Signal(quantity, zero_frequency == "corner", None, settings.threshold, settings.photons_per_count)
        if (dark := mean_dark(dark, settings.dark_file, shape)) is not None:
            signal.dark = signal.oriented(dark)
        known = signal.oriented(known_good(good, settings.mask_file, settings.mask_marks, shape))
        seen = look(raw_frames, signal, known, settings.gaps, settings.saturation, settings.needs_sums)
        usable = known & ~seen.gap & ~seen.saturated
        dead = hot = np.zeros(shape, bool)
        if settings.find_dead:
            dead = dead_pixels(seen.sums, usable)
        usable = usable & ~dead
        if settings.hot_factor is not None:
            # The mean of n speckled frames scatters by 1 / √n of itself.
            factor = settings.hot_factor * (1 + 3 / np.sqrt(len(raw_frames)))
            constant = seen.constant & (len(raw_frames) >= LEAST_FRAMES)
            hot = hot_pixels(seen.sums, usable, constant, factor)
        usable = usable & ~hot
        if not usable.any():
            raise InputError("no pixel of the detector is good: expected at least one")

        mean, background = seen.sums / len(raw_frames), settings.background
        if settings.background_percentile is not None:
            background = float(np.percentile(mean[usable], settings.background_percentile))
        centre, origin = _centre(settings, mean - background, usable)
        pixel = tuple(int(np.floor(place + 0.5)) for place in centre)
        if not all(0 <= place < length for place, length in zip(pixel, shape, strict=True)):
            raise InputError(f"detector.centre is {tuple(centre)}: expected a pixel of frames of {shape}")
        size = settings.size or largest_size(pixel, shape, settings.binning)
        # Binned pixel N // 2 begins with the pixel of the direct beam, so that frames of 2^k pixels stay whole.
        start = tuple(place - size // 2 * settings.binning for place in pixel)
        weight = binned_weight(usable, seen.saturated, start, size, settings.binning)
        if not weight.any():
            raise InputError(f"no pixel of the detector is good in the {size}×{size} pixels about {tuple(pixel)}")
        middle = (settings.binning - 1) / 2
        offset = tuple((place - whole - middle) / settings.binning for place, whole in zip(centre, pixel, strict=True))
        summary = {
            "raw_shape": list(shape),
            "size": size,
            "binning": settings.binning,
            "centre": [float(place) for place in centre],
            "centre_from": origin,
            "background": background,
            "masked_pixels": int((~known).sum()),
            "gap_pixels": int(seen.gap.sum()),
            "saturated_pixels": int(seen.saturated.sum()),
            "dead_pixels": int(dead.sum()),
            "hot_pixels": int(hot.sum()),
            "bad_pixels_of_dataset": int((weight == 0).sum()),
        }
        for key, file in (("mask_sha256", settings.mask_file), ("dark_sha256", settings.dark_file)):
            if file is not None:
                summary[key] = sha256_of(detector_file(file))
        width = size * settings.binning
        if signal.dark is not None:
            signal.dark = window(signal.dark, start, width)
        usable = window(usable, start, width)
        mask = np.ascontiguousarray(oriented(weight > 0, orientation))
        offset = oriented_offset(offset, orientation)
        hidden = signal, usable, start, orientation, weight, background, shape[1]
        return cls(mask, summary, settings.binning, offset, *hidden)

    @property
    def size(self) -> int:
        """Edge length N of the prepared frames."""
        return len(self.mask)

    @property
    def pixel_scale(self) -> float:
        """New pixel at the sample over that of the raw frames, λ z / (W p)."""
        return self._raw_width / len(self._good)

    def frames(self, block: np.ndarray) -> np.ndarray:
        """Prepare frames as the file holds them.

        Parameters
        ----------
        block : ndarray
            (n, H, W) numbers.

        Returns
        -------
        ndarray
            (n, N, N) float32 photon counts with the zero frequency at pixel N // 2; 0 where the mask is False.

        Raises
        ------
        InputError
            Where there is a number below 0 on a good pixel and no dark frame to explain it.
        """
        # Cut first: the rest of a large detector costs nothing.
        cut = window(self._signal.oriented(np.asarray(block)), self._start, len(self._good))
        photons = self._signal.photons(cut, self._good)
        if self._background:
            photons = np.where(self._good, np.maximum(photons - np.float32(self._background), 0), np.float32(0))
        if self.binning > 1:
            photons = photons.reshape(-1, self.size, self.binning, self.size, self.binning).sum(axis=(2, 4))
        if (self._weight != 1).any():
            photons = photons * self._weight
        return np.ascontiguousarray(oriented(photons, self._orientation), dtype=np.float32)

    def probe(self, probe: np.ndarray) -> np.ndarray:
        """Bring a probe (modes, M, M) complex from the sample pixels of the raw frames onto the new, (modes, N, N).

        It is not turned: its rows and columns are those of the positions.
        """
        return self.tilted(resampled_probe(probe, self._raw_width, len(self._good), self.size))

    def tilted(self, probe: np.ndarray) -> np.ndarray:
        """Tilt a probe (modes, N, N) to where the beam falls, if that is not the very middle of pixel N // 2.

        So it is in binned frames, whose pixel begins with the one of the beam.
        """
        return tilted(probe, self.offset)


def _centre(settings: DetectorSettings, mean: np.ndarray, good: np.ndarray) -> tuple[tuple[float, float], str]:
    """Where the direct beam falls, and who says so."""
    if settings.centre == "found":
        centre, score = beam_centre(np.maximum(mean, 0), good)
        return centre, f"symmetry of the mean frame, {score:.4f} of 1"
    return (settings.centre, "settings") if settings.centre else ((mean.shape[0] // 2, mean.shape[1] // 2), "middle")
