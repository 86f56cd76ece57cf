"""Frames of one scan or of several, as blind iterations take them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

from torch import Tensor

from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import JointChange, detector_waves, joint_change, modelled_frames


@dataclass
class ScanFrames:
    """Frames of a batch of scans that are reconstructed side by side.

    Parameters
    ----------
    amplitudes : Tensor
        (batch, frames, N, N) float32, square roots of photon counts over `scale`, zero frequency in the corner.
    positions : Tensor
        (batch, frames, 2) float32, (row, column) pixels of the patch centres in the object frame.
    mask : Tensor
        (batch, 1, N, N) bool, True for good pixels.
    scale : Tensor
        (batch,) float32, the root of the mean count, so that no network meets photon numbers but where it is told.
    propagator : Propagator
        Of all frames.
    brightness : Tensor, optional
        (batch, frames) float32, the light of each frame, 1 on average; 1 if not given.
    unbiased : bool
        Whether few photons are asked for without bias, see `joint_change`.
    """

    amplitudes: Tensor
    positions: Tensor
    mask: Tensor
    scale: Tensor
    propagator: Propagator
    brightness: Tensor | None = field(default=None, kw_only=True)
    unbiased: bool = field(default=False, kw_only=True)

    def subset(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitudes (batch, chosen, N, N) and positions (batch, chosen, 2) of some frames (chosen,) int64."""
        return self.amplitudes[:, frames], self.positions[:, frames]

    def pieces(self, frames: Tensor) -> Sequence[Tensor]:
        """Cut some frames (chosen,) int64 into as many as may be in memory at a time."""
        return [frames]

    def chosen(self, scans: Tensor) -> "ScanFrames":
        """Some of the scans (chosen,) int64 that differ in their positions alone."""
        return replace(self, positions=self.positions[scans])

    def change(self, objects: Tensor, probes: Tensor, background: Tensor, frames: Tensor) -> JointChange:
        """What some frames (chosen,) int64 ask of objects and probes; see `joint_change`."""
        return reduce(
            add,
            (
                joint_change(
                    objects,
                    probes,
                    *self.subset(piece),
                    self.mask,
                    self.propagator,
                    background,
                    self.scale,
                    self.light(piece),
                    self.unbiased,
                )
                for piece in self.pieces(frames)
            ),
        )

    def modelled(self, objects: Tensor, probes: Tensor, background: Tensor, frames: Tensor) -> Tensor:
        """Intensities (batch, chosen, N, N) that objects and probes make of some frames (chosen,) int64."""
        light = self.light(frames)
        return modelled_frames(objects, probes, self.positions[:, frames], self.propagator, background, light)

    def waves(self, objects: Tensor, probes: Tensor, frames: Tensor) -> Tensor:
        """Detector waves (batch, chosen, modes, N, N) that objects and probes make of some frames (chosen,) int64."""
        return detector_waves(objects, probes, self.positions[:, frames], self.propagator, self.light(frames))

    def light(self, frames: Tensor) -> Tensor | None:
        """Brightness (batch, chosen) of some frames (chosen,) int64, if it is not 1."""
        return None if self.brightness is None else self.brightness[:, frames]
