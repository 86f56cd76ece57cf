"""What becomes of a detector's frames before they are a dataset: bad pixels, background, gain, crop and binning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ptychoflow.dataset.frame_blocks import narrowest_dtype
from ptychoflow.dataset.raw_scan import Frames, shape_of
from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.ingest.detector.geometry import binned_weight, largest_size, resampled_probe, tilted, window
from ptychoflow.ingest.detector.images import detector_file, known_good, mean_dark
from ptychoflow.ingest.detector.orientation import oriented, oriented_offset
from ptychoflow.ingest.detector.pixels import beam_centre, judged_pixels
from ptychoflow.ingest.detector.signal import Signal
from ptychoflow.ingest.detector.survey import Survey, survey
from ptychoflow.settings.detector import DetectorSettings
from ptychoflow.settings.ingest import Orientation


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
    counts_dtype : dtype
        Unsigned integers that hold the prepared frames, but for one that is far brighter; float32 where they are not
        whole.
    """

    mask: np.ndarray
    summary: dict[str, Any]
    binning: int
    offset: tuple[float, float]
    counts_dtype: np.dtype
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
        seen: Survey | None = None,
    ) -> "DetectorPreparation":
        """Look at the frames, block by block, and decide what to do with them.

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
        seen : Survey, optional
            What a look at the frames found, if there was one before.

        Raises
        ------
        InputError
            Where shapes do not fit together or nothing is left.
        """
        shape = shape_of(raw_frames)
        if seen is None:
            seen = surveyed(raw_frames, good, dark, settings, quantity)
        signal = signal_of(dark, settings, quantity, shape, zero_frequency == "corner")
        known = signal.oriented(known_good(good, settings.mask_file, settings.mask_marks, shape))
        sums = signal.oriented(seen.sums) if seen.sums.size else np.zeros(shape)
        count = max(1, int(seen.counted.sum()))
        pixels = judged_pixels(seen, signal, known, sums, count, settings)
        usable = pixels.usable
        if not usable.any():
            raise InputError("no pixel of the detector is good: expected at least one")

        mean, background = sums / count, settings.background
        if settings.background_percentile is not None:
            background = float(np.percentile(mean[usable], settings.background_percentile))
        centre, pixel, origin = _centre(settings, mean - background, usable)
        size = settings.size or largest_size(pixel, shape, settings.binning)
        # Binned pixel N // 2 begins with the pixel of the direct beam, so that frames of 2^k pixels stay whole.
        start = tuple(place - size // 2 * settings.binning for place in pixel)
        weight = binned_weight(usable, pixels.saturated, start, size, settings.binning)
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
            **pixels.numbers,
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
        whole = signal.is_plain and background == 0 and np.isin(weight, (0, 1)).all()
        return cls(mask, summary, settings.binning, offset, _counts_dtype(seen, settings.binning, whole), *hidden)

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


def signal_of(
    dark: np.ndarray | None,
    settings: DetectorSettings,
    quantity: Literal["amplitude", "intensity"],
    shape: tuple[int, int],
    corner: bool = False,
) -> Signal:
    """What numbers in frames of a shape mean by the settings; of frames in corner order, after they are turned."""
    signal = Signal(quantity, corner, None, settings.threshold, settings.photons_per_count, settings.pedestal)
    if (dark := mean_dark(dark, settings.dark_file, shape)) is not None:
        signal.dark = signal.oriented(dark)
    return signal


def surveyed(
    raw_frames: Frames,
    good: np.ndarray | None,
    dark: np.ndarray | None,
    settings: DetectorSettings,
    quantity: Literal["amplitude", "intensity"],
    pulse: Callable[[], None] = lambda: None,
) -> Survey:
    """Look at all frames once, as `DetectorPreparation.of` needs it; `pulse` is called after each block."""
    shape = shape_of(raw_frames)
    known = known_good(good, settings.mask_file, settings.mask_marks, shape)
    signal = signal_of(dark, settings, quantity, shape)
    return survey(raw_frames, signal, known, settings.gaps, settings.needs_sums, pulse)


def _centre(
    settings: DetectorSettings, mean: np.ndarray, good: np.ndarray
) -> tuple[tuple[float, float], tuple[int, ...], str]:
    """Where the direct beam falls, in which pixel that is, and who says so."""
    if settings.centre == "found":
        centre, score = beam_centre(np.maximum(mean, 0), good)
        origin = f"symmetry of the mean frame, {score:.4f} of 1"
    elif settings.centre:
        centre, origin = settings.centre, "settings"
    else:
        centre, origin = (mean.shape[0] // 2, mean.shape[1] // 2), "middle"
    pixel = tuple(int(np.floor(place + 0.5)) for place in centre)
    if not all(0 <= place < length for place, length in zip(pixel, mean.shape, strict=True)):
        raise InputError(f"detector.centre is {tuple(centre)}: expected a pixel of frames of {mean.shape}")
    return centre, pixel, origin


def _counts_dtype(seen: Survey, binning: int, whole: bool) -> np.dtype:
    """What holds prepared frames: the narrowest integers, where whole counts stay `whole`."""
    if not whole or seen.largest.dtype.kind not in "ui":
        return np.dtype(np.float32)
    return narrowest_dtype(float(seen.largest.max(where=~seen.gap, initial=0)) * binning**2)
