"""A scan in memory, validated once: what every format is read into and every later step relies on."""

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ptychoflow.dataset.frame_blocks import frame_blocks
from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.errors import InputError
from ptychoflow.physics.geometry import Geometry

log = logging.getLogger(__name__)


@dataclass
class Dataset(Geometry):
    """A ptychographic scan.

    Parameters
    ----------
    frames : ndarray or Frames
        (frames, N, N) float32, photon counts with the zero frequency at pixel N // 2; read block by block from a file
        where they are no array.
    positions : ndarray
        (frames, 2) float64, (row, column) pixels of the patch centres in the object frame.
    probe : ndarray
        (modes, N, N) complex64, Σ|P|² = photons in the empty beam.
    mask : ndarray
        (N, N) bool, True for good pixels.
    object_shape : tuple of int
        (H, W) pixels of the object frame.
    energy : float
        Photon energy in electronvolts.
    detector_distance : float
        Metres from sample to detector.
    detector_pixel_size : float
        Metres.
    propagation : {"far", "near"}
        Whether frames are far fields or, behind a short distance, near ones (Fresnel's).
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample; the beam of a near field is parallel if not given.
    truth : ndarray, optional
        (H, W) complex64, the true object of a simulation.
    true_positions : ndarray, optional
        (frames, 2) float64, where the frames of a simulation were taken, if `positions` are off.
    true_probe : ndarray, optional
        (modes, N, N) complex64, what the frames of a simulation were taken with, if `probe` is another.
    probe_known : bool
        Whether `probe` is more than a disk in the place of one of which nothing is known.
    provenance : dict
        What made it: the program, its settings and its source, but no time, so that the same data make the same file.
    """

    frames: np.ndarray | Frames
    positions: np.ndarray
    probe: np.ndarray
    mask: np.ndarray
    object_shape: tuple[int, int]
    energy: float
    detector_distance: float
    detector_pixel_size: float
    propagation: Literal["far", "near"] = "far"
    source_distance: float | None = None
    truth: np.ndarray | None = None
    true_positions: np.ndarray | None = None
    true_probe: np.ndarray | None = None
    probe_known: bool = True
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Edge length N of a frame in pixels."""
        return self.frames.shape[-1]

    @property
    def reference_probe(self) -> np.ndarray:
        """The probe (modes, N, N) that the true object belongs to: the true one of a simulation, else the given one."""
        return self.probe if self.true_probe is None else self.true_probe

    def validate(self, source: str) -> "Dataset":
        """Return the dataset itself once everything about it has been checked.

        Parameters
        ----------
        source : str
            Name of the file it came from, for the message.

        Raises
        ------
        InputError
            For the first shape, value or position that cannot be right.
        """
        try:
            self._check_shapes()
            self._check_values()
            self._check_positions()
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        return self

    def _check_shapes(self) -> None:
        if len(self.frames.shape) != 3 or self.frames.shape[1] != self.frames.shape[2]:
            raise InputError(f"frames have shape {self.frames.shape}: expected (frames, N, N)")
        count, size = len(self.frames), self.size
        if count == 0:
            raise InputError("frames are empty: expected at least one frame")
        if size % 2 or size < 8:
            raise InputError(f"frames are {size} pixels wide: expected an even number of at least 8")
        modes = len(self.probe) if self.probe.ndim == 3 and self.probe.size else "modes"
        for name, found, expected in (
            ("positions", self.positions.shape, (count, 2)),
            ("probe", self.probe.shape, (modes, size, size)),
            ("mask", self.mask.shape, (size, size)),
        ):
            if found != expected:
                raise InputError(
                    f"{name} has shape {found}: expected {expected} beside {count} frames of {size} pixels"
                )
        if len(self.object_shape) != 2:
            raise InputError(f"object_shape is {tuple(self.object_shape)}: expected (H, W)")
        if self.truth is not None and self.truth.shape != tuple(self.object_shape):
            raise InputError(f"true object has shape {self.truth.shape}: expected {tuple(self.object_shape)}")
        if self.true_positions is not None and self.true_positions.shape != (count, 2):
            raise InputError(f"true_positions have shape {self.true_positions.shape}: expected {(count, 2)}")
        if self.true_probe is not None:
            found = self.true_probe.shape
            if len(found) != 3 or found[0] == 0 or found[1:] != (size, size):
                raise InputError(f"true_probe has shape {found}: expected {('modes', size, size)}")

    def _check_values(self) -> None:
        if not self.mask.any():
            raise InputError("mask has no good pixel: expected at least one")
        if isinstance(self.frames, np.ndarray):  # those of a file are checked as they are read
            self._check_frames()
        for name in ("positions", "probe", "truth", "true_positions", "true_probe"):
            array = getattr(self, name)
            if array is not None:
                _refuse_strange(name, np.count_nonzero(~np.isfinite(array)))
        if not self.probe.any():
            raise InputError("probe is zero everywhere: expected some light")
        if self.true_probe is not None and not self.true_probe.any():
            raise InputError("true_probe is zero everywhere: expected some light")
        for name in ("energy", "detector_distance", "detector_pixel_size"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}: expected a positive number")

        if self.propagation not in ("far", "near"):
            raise InputError(f"propagation is {self.propagation}: expected far or near")
        if self.source_distance is not None and not (np.isfinite(self.source_distance) and self.source_distance > 0):
            raise InputError(f"source_distance is {self.source_distance}: expected a positive number")
        # Below that, the transfer function turns by more than half a circle from one frequency to the next.
        if self.propagation == "near" and self.fresnel_number < 1 / self.size:
            raise InputError(
                f"the Fresnel number of a pixel is {self.fresnel_number:.3g}: expected at least 1 / {self.size} in a "
                "near field of as many pixels"
            )

    def _check_frames(self) -> None:
        strange, lowest, dark = self._survey()
        _refuse_strange("frames", strange)
        if lowest < 0:
            raise InputError(f"frames hold counts down to {lowest:g}: expected none below 0")
        if dark.size == len(self.frames):
            raise InputError(f"none of the {dark.size} frames has a photon on a good pixel: expected some")
        if dark.size:
            # That no photon came is a measurement too: behind a thick sample there may be none.
            log.warning(
                "%d of %d frames have no photon on a good pixel, the first of them frame %d: expected those only where "
                "the object lets no light through",
                dark.size,
                len(self.frames),
                dark[0],
            )

    def _survey(self) -> tuple[int, float, np.ndarray]:
        """Count NaN and infinite values in the frames, and find the lowest count and the frames without photons."""
        strange, lowest, dark = 0, np.inf, []
        for block in frame_blocks(self.frames):
            counts = self.frames[block]
            strange += np.count_nonzero(~np.isfinite(counts))
            lowest = min(lowest, counts.min())
            dark.append(block.start + np.flatnonzero(~(counts * self.mask).any(axis=(1, 2))))
        return strange, lowest, np.concatenate(dark)

    def _check_positions(self) -> None:
        lowest, highest = self.size / 2, np.array(self.object_shape) - self.size / 2
        outside = np.flatnonzero(((self.positions < lowest) | (self.positions > highest)).any(axis=1))
        if outside.size:
            row, column = self.positions[outside[0]]
            raise InputError(
                f"position {outside[0]} is ({row:.1f}, {column:.1f}), its patch outside the object of "
                f"{self.object_shape[0]}×{self.object_shape[1]} pixels: expected all {len(self.positions)} inside"
            )


def _refuse_strange(name: str, count: int) -> None:
    if count:
        raise InputError(f"{name} holds {count} NaN or infinite values: expected none")


def object_frame(offsets: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Put scan positions of any origin into the smallest object frame that holds all patches with a small border.

    Parameters
    ----------
    offsets : ndarray
        (frames, 2) float, (row, column) pixels about any origin.
    size : int
        Edge length N of a frame.

    Returns
    -------
    positions : ndarray
        (frames, 2) float64, pixels of the patch centres in the object frame.
    object_shape : tuple of int
        (H, W), even.
    """
    border = size // 2 + 2
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    shape = 2 * np.ceil((high - low + 2 * border) / 2).astype(int)
    return offsets - (low + high) / 2 + shape / 2, (int(shape[0]), int(shape[1]))
